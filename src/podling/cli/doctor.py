"""podling doctor: what this machine lacks, and what to type."""

import click


@click.command("doctor")
def command() -> None:
    """Check what podling needs of this machine. Exits with 1 when something it can't do without is missing."""
    from rich.console import Console
    from rich.table import Table

    from podling.app.doctor import examine

    findings = examine()
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("CHECK", "STATE", "DETAIL", "TRY"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        colour = "green" if finding.good else "red" if finding.needed else "yellow"
        state = "ok" if finding.good else "missing" if finding.needed else "absent"
        table.add_row(finding.subject, f"[{colour}]{state}[/{colour}]", finding.detail, "" if finding.good else finding.advice)
    Console(highlight=False).print(table)
    if any(finding.needed and not finding.good for finding in findings):
        raise SystemExit(1)
