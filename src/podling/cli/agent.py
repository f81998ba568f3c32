"""podling agent: this machine's agent in the foreground."""

from typing import Any

import click

from podling.cli.settings import settings


@click.command("agent")
@settings
def command(**flags: Any) -> None:
    """Run container engine, Docker API and node agent until SIGTERM. Containers go on without it."""
    from podling.app.agent import run
    from podling.app.config import load

    run(load(flags))
