"""podling up: server and agents, side by side."""

from typing import Any

import click

from podling.cli.settings import settings


@click.command("up")
@settings
@click.option("--nodes", type=int, metavar="COUNT", help="Have so many nodes, each further one in a network namespace (1).")
@click.option("-d", "--detach", is_flag=True, help="Return when all is ready; podling goes on in the background.")
def command(detach: bool, nodes: int | None, **flags: Any) -> None:
    """Start a container engine and a cluster on this machine: of one node, or of several.

    Stays in the foreground with a live status; Ctrl-C stops podling, its containers go on.
    """
    from podling.app.up import bring_up
    from podling.cli.progress import Progress

    with Progress() as progress:
        config = bring_up(flags, progress.show, nodes)
        progress.done(f"podling is up: docker --context {config.instance} ps, kubectl --context {config.instance} get nodes")
    if not detach:
        from podling.app.foreground import watch
        from podling.cli.parts import live_table

        with live_table() as show:
            watch(config, show)
