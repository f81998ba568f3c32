"""podling status: what runs."""

from typing import Any

import click

from podling.cli.settings import places


@click.command("status")
@places
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print it.")
def command(output: str, **flags: Any) -> None:
    """Show server, agent, node and pods. Exits with 1 when something is not as it should be."""
    from podling.app.config import load
    from podling.app.status import status

    lines = status(load(flags))
    if output == "json":
        import json
        from dataclasses import asdict

        click.echo(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        from podling.cli.parts import print_table

        print_table(lines)
    if not all(line.good for line in lines):
        raise SystemExit(1)
