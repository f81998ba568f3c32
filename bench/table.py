"""One table on stdout, and how numbers read in it."""

from collections.abc import Sequence

ABSENT = "not installed"


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the table: the first column of each row is what was measured, the others are its numbers."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    print(title)
    for row in (head, *rows):
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]).rstrip())
    print(flush=True)


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ABSENT
    return f"{seconds * 1e3:,.0f} ms" if seconds < 1 else f"{seconds:,.2f} s"


def rate(per_second: float | None) -> str:
    return ABSENT if per_second is None else f"{per_second:,.0f} /s"


def size(octets: float | None) -> str:
    return ABSENT if octets is None else f"{octets / 1e6:,.1f} MB"


def ratio(value: float | None, reference: float | None) -> str:
    """`value` as a multiple of `reference`; a dash where one is missing."""
    return f"{value / reference:.2f} ×" if value and reference else "-"
