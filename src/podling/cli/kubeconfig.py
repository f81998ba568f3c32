"""podling kubeconfig: how to reach the cluster."""

from typing import Any

import click

from podling.cli.settings import places


@click.command("kubeconfig")
@places
@click.option("--merge", is_flag=True, help="Merge it into your kubeconfig, as the current context.")
def command(merge: bool, **flags: Any) -> None:
    """Print the administrator's kubeconfig."""
    from podling.app.config import load
    from podling.app.contexts import merge_kubeconfig
    from podling.base.errors import NotFound

    config = load(flags)
    if not config.admin_kubeconfig.exists():
        raise NotFound(f"{config.admin_kubeconfig}: there is no cluster here yet. `podling up` makes one.")
    if merge:
        click.echo(f"context {config.instance} is in {merge_kubeconfig(config)}")
    else:
        click.echo(config.admin_kubeconfig.read_text(), nl=False)
