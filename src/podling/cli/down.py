"""podling down: stop what `up` started."""

from typing import Any

import click

from podling.cli.settings import places


@click.command("down")
@places
@click.option("--purge", is_flag=True, help="Remove images, volumes, objects, certificates and contexts too.")
@click.option("--grace", type=float, default=10.0, metavar="SECONDS", help="How long a container may take to end (10).")
def command(purge: bool, grace: float, **flags: Any) -> None:
    """Stop podling and its containers. Its data stays for the next `up`, unless --purge."""
    from podling.app.config import load
    from podling.app.down import take_down
    from podling.cli.progress import Progress

    with Progress() as progress:
        take_down(load(flags), purge=purge, grace=grace, show=progress.show)
        progress.done("nothing of podling is left on this machine" if purge else "podling is down; its data stays")
