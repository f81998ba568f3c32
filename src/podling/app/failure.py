"""Why a start failed, in one line that says what to do. The log has the rest."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from podling.app.config import Config
from podling.base.errors import Failed, PodlingError

CGROUPS = Path("/sys/fs/cgroup")
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
OF_DATABASE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
"""The primary result codes of SQLite that are a system call's failure. Source: https://sqlite.org/rescode.html."""


@contextmanager
def explained(doing: str, config: Config) -> Iterator[None]:
    """Whatever fails within is Failed, with its explanation; podling's own errors explain themselves."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise Failed(explain(error, doing, config)) from error


def explain(error: BaseException, doing: str, config: Config) -> str:
    """One line: what was being done, what was wrong, what to do. `doing` is a step of the start."""
    return "; ".join(line.strip() for line in _text(error, doing, config).splitlines() if line.strip())


def _text(error: BaseException, doing: str, config: Config) -> str:
    match error:
        case PodlingError():
            return error.message
        case sqlite3.Error():
            return f"{doing}: {_of_database(error, config)}"
        case OSError():
            path = _path(error)
            words = os.strerror(error.errno) if path and error.errno else error.strerror or str(error)
            return f"{doing}: {f'{path}: ' if path else ''}{words}. {advice(error.errno, path, config)}"
        case _:
            return f"{doing}: {type(error).__name__}: {error}. This is a defect of podling: the log has its trace"


def advice(number: int | None, path: Path | None, config: Config) -> str:
    """What to do about a system call's error at a path, or at none."""
    match number:
        case errno.ENOSPC | errno.EDQUOT:
            return f"Make room on the disk of {path or config.root}: `df -h {path or config.root}` shows it; `df -i` its inodes"
        case errno.EROFS | errno.EACCES | errno.EPERM if path and path.is_relative_to(CGROUPS):
            return "Control groups must be writable: mount -o remount,rw /sys/fs/cgroup; in a container, --privileged"
        case errno.ENOENT if path and path.is_relative_to(CGROUPS):
            return "Control groups are not mounted as they should be: mount -t cgroup2 none /sys/fs/cgroup"
        case errno.EADDRINUSE:
            return "Another program listens there: `ss -lntp` names it; --api-port and --kubelet-port choose other ports"
        case errno.EADDRNOTAVAIL:
            return "No interface has this address: --api-address and --node-ip name one of this machine's"
        case errno.EMFILE | errno.ENFILE:
            return "Allow more open files: `ulimit -n 65536`"
        case errno.EIO:
            return "The disk is failing: `dmesg` says more"
    if setting := _setting(path, config):
        place = getattr(config, setting)
        if number == errno.ENOENT and setting == "root" and path != place and path and path.is_relative_to(place):
            return f"`podling up` makes what is below --root (now {place})"
        return f"--{setting} (now {place}) must be a directory that podling can make and write, and nobody else's"
    if number in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR) and path:
        return "Make the file, or correct the setting that names it: a flag, a variable PODLING_ or the configuration file"
    if number in (errno.EACCES, errno.EPERM):
        return "Run podling as root, with all capabilities: `podling doctor` shows what lacks"
    return "`podling doctor` shows what this machine lacks"


def _path(error: OSError) -> Path | None:
    return Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None


def _setting(path: Path | None, config: Config) -> str:
    """The flag of the folder that the path is in, or that is in the path."""
    if path is None:
        return ""
    run, root = config.run, config.root
    if path.is_relative_to(run) or (run.is_relative_to(path) and not root.is_relative_to(path)):
        return "run"
    return "root" if path.is_relative_to(root) or root.is_relative_to(path) else ""


def _of_database(error: sqlite3.Error, config: Config) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    damaged = next((path for path in databases(config) if is_damaged(path)), None) if code in DAMAGED else None
    if damaged:
        return (
            f"{damaged}: {error}. The database is damaged: put a backup of it in place, without the files "
            f"{damaged.name}-wal and -shm beside it; or begin anew with `podling down --purge`"
        )
    return f"{error}. {advice(OF_DATABASE.get(code), None if code == sqlite3.SQLITE_FULL else config.root, config)}"


def databases(config: Config) -> list[Path]:
    """The databases of the server and of the engine that exist."""
    places = (
        config.server_root / "state.db",
        *(config.root / "engine" / name for name in ("images/images.db", "network/networks.db")),
    )
    return [path for path in places if path.exists()]


def is_damaged(path: Path) -> bool:
    """Whether SQLite can't read this file. Takes a while with a large one."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED
