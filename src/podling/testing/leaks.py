"""What a podling left behind: processes, mounts, namespaces, links, nft tables, cgroups."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from podling.linux.mount import mounts, mounts_below


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Each as text that names the thing. False when there are none."""

    found: tuple[str, ...]

    @classmethod
    def of(cls, instance: str, root: Path, netns: Path | None = None) -> Self:
        """Everything that carries the instance's name or lies below its root; links and tables of `netns`, if given."""
        enter = ["nsenter", f"--net={netns}"] if netns else []
        return cls(
            (
                *(f"process {line}" for line in _processes(root)),
                *(f"mount {mount.target}" for mount in mounts_below(root)),
                *(f"cgroup {path}" for path in _cgroups(instance)),
                *(f"link {name}" for name in _links(enter) if netns and name != "lo"),
                *(f"nft {line}" for line in _tables(enter) if netns or instance in line),
            )
        )

    def __bool__(self) -> bool:
        return bool(self.found)

    def __str__(self) -> str:
        return "\n".join(self.found)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The kernel objects of this machine that a container engine makes, as text that names each."""

    found: frozenset[str]

    @classmethod
    def take(cls) -> Self:
        return cls(
            frozenset(
                (
                    *(f"monitor {line}" for line in _monitors()),
                    *(f"mount {mount.target}" for mount in mounts()),
                    *(f"cgroup {path}" for path in _cgroups("*")),
                    *(f"link {name}" for name in _links([])),
                    *(f"nft {line}" for line in _tables([])),
                )
            )
        )

    def beyond(self, before: Self) -> list[str]:
        """What is here and was not there before."""
        return sorted(self.found - before.found)


def _monitors() -> list[str]:
    """Running conmon processes."""
    return [line for line in _processes(Path("/")) if "conmon" in line.split()[1]]


def _processes(root: Path) -> list[str]:
    """Command lines and environments that name the root."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        ours = b"podling" in words and f"PODLING_ROOT={root}".encode() in environment
        if ours or any(str(root).encode() in word for word in words):
            found.append(f"{folder.name} {b' '.join(words).decode(errors='replace')}")
    return found


def _cgroups(instance: str) -> list[Path]:
    top = Path("/sys/fs/cgroup")
    found = (path for place in (top, *top.iterdir()) for path in place.glob(instance))
    return [path for path in found if path.is_dir() and (path / "cgroup.procs").exists()]


def _links(enter: list[str]) -> list[str]:
    text = subprocess.run([*enter, "ip", "-o", "link"], capture_output=True, text=True, check=True, timeout=10).stdout
    return [line.split(": ")[1].split("@")[0] for line in text.splitlines()]


def _tables(enter: list[str]) -> list[str]:
    command = [*enter, "nft", "list", "tables"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.splitlines()
