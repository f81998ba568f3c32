"""`python -m podling` is `podling`."""

from podling.cli.main import main

main()
