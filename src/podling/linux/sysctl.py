"""Kernel parameters below /proc/sys, those of a network namespace too. Source: proc_sys(5)."""

from pathlib import Path

from podling.linux.namespace import Namespace, run_in

_ROOT = Path("/proc/sys")


def path_of(name: str) -> Path:
    """The file of "net.ipv4.ip_forward"; a slash stands for itself where a part has dots ("net/ipv4/conf/eth0.1/...").

    Raises ValueError for a name that would leave /proc/sys.
    """
    parts = (name if "/" in name else name.replace(".", "/")).split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\0" in name:
        raise ValueError(f"not a kernel parameter: {name!r}")
    return _ROOT.joinpath(*parts)


def read(name: str, namespace: Namespace | None = None) -> str:
    """The value without its newline. Raises FileNotFoundError for an unknown name."""
    return _in(namespace, name, None)


def write(name: str, value: str | int, namespace: Namespace | None = None) -> None:
    """Set a value if it differs: a file system that is read-only does no harm where all is well already.

    Raises OSError with the file.
    """
    _in(namespace, name, str(value))


def _in(namespace: Namespace | None, name: str, value: str | None) -> str:
    def access() -> str:
        file = path_of(name)
        before = file.read_text().rstrip("\n")
        if value is not None and before != value:
            file.write_text(value)
        return before

    return access() if namespace is None else run_in(namespace, access)
