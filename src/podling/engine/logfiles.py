"""The files of one log: the one that is written, and the full ones before it.

The container's conmon begins the file anew when it is full: an empty one takes its name. A second name of the file that is
being written, `.held`, keeps the full one from vanishing; it then becomes `.1`, the one before it `.2`, and so on. So a log
is bounded while no engine runs, and one engine suffices to keep several files.
"""

import os
from pathlib import Path

from podling.linux import inotify


def files(path: Path) -> list[Path]:
    """All files of the log, the oldest first, each once."""
    older: list[Path] = []
    while (numbered := _numbered(path, len(older) + 1)).exists():
        older.append(numbered)
    held = _held(path)
    latest = [held] if held.exists() and not _same(held, path) else []
    return [*reversed(older), *latest, *([path] if path.exists() else [])]


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _held(path: Path) -> Path:
    return path.with_name(f"{path.name}.held")


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False


def hold(path: Path, most: int) -> None:
    """Number the full file if the log has been begun anew, and hold the one that is written now. At most `most` files stay."""
    held = _held(path)
    if _same(held, path):
        return
    if held.exists():
        for number in range(most - 2, 0, -1):
            if (full := _numbered(path, number)).exists():
                full.replace(_numbered(path, number + 1))
        held.replace(_numbered(path, 1))
    if path.exists():
        os.link(path, held)


async def keep(path: Path, most: int) -> None:
    """Hold the log's files as they fill up, until cancelled."""
    with inotify.Follower(path.parent, inotify.CREATE | inotify.MOVED_TO) as watcher:
        hold(path, most)
        async for event in watcher:
            if event.name == path.name:
                hold(path, most)
