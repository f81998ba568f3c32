"""The `podling` command: its verbs in one list, each loaded when it is called."""

import importlib
import sys
from typing import Any

import click

from podling import __version__
from podling.base.errors import PodlingError

# verb -> what `podling --help` says of it; the verb lives in `podling.cli.<verb>` as `command`.
VERBS = {
    "up": "Start a container engine and a one-node cluster.",
    "down": "Stop both; with --purge leave nothing on the machine.",
    "status": "Show what runs.",
    "doctor": "Show what this machine lacks, and what to type.",
    "why": "Explain why something is not running.",
    "kubeconfig": "Print the cluster's kubeconfig, or merge it into yours.",
    "server": "Run the cluster's server in the foreground.",
    "agent": "Run this machine's agent in the foreground.",
}


class Verbs(click.Group):
    """A group whose commands are imported on use, so that `podling --help` imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"podling.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="docker and kubectl drive what runs: `docker --context podling`, `kubectl --context podling`.",
)
@click.version_option(__version__, prog_name="podling")
def cli() -> None:
    """Docker and Kubernetes in one package."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line. Exit codes: 0 done, 1 it failed, 2 wrong usage, 130 interrupted."""
    try:
        return cli.main(arguments, prog_name="podling")
    except (PodlingError, OSError) as error:
        click.echo(f"podling: {error}", err=True)
        sys.exit(1)
