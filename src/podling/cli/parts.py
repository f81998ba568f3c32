"""The parts of a podling as a table, once or as long as it is looked at."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from podling.app.status import Line

Show = Callable[[list[Line]], None]


def table(lines: list[Line]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="")
    for heading in ("PART", "STATE", "DETAIL"):
        made.add_column(heading, overflow="fold")
    for line in lines:
        made.add_row(line.part, "[green]ok[/green]" if line.good else "[red]down[/red]", line.detail)
    return made


def print_table(lines: list[Line]) -> None:
    Console(highlight=False).print(table(lines))


@contextmanager
def live_table() -> Iterator[Show]:
    """On a terminal the table is drawn anew in its place; elsewhere nothing is shown."""
    console = Console(highlight=False)
    if not console.is_terminal:
        yield lambda lines: None
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda lines: live.update(table(lines), refresh=True)
