"""Progress of a command that takes a moment: one live line on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status


class Progress:
    """Shows the step that is being done, and at the end the outcome with the seconds it took. Writes to stderr."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live: Status | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = self._console.status("starting")
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, step: str) -> None:
        """A step begins."""
        if self._live is not None:
            self._live.update(step)
        else:
            self._console.print(f"  {step}", markup=False)

    def done(self, outcome: str) -> None:
        """All steps are over."""
        self._console.print(f"[green]✓[/green] {outcome} [dim]({time.monotonic() - self._began:.1f} s)[/dim]", soft_wrap=True)
