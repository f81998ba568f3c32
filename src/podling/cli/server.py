"""podling server: the cluster's server in the foreground."""

from typing import Any

import click

from podling.cli.settings import settings


@click.command("server")
@settings
def command(**flags: Any) -> None:
    """Run store, Kubernetes API, controllers and scheduler until SIGTERM."""
    from podling.app.config import load
    from podling.app.server import run

    run(load(flags))
