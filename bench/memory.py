"""How much memory podling's processes hold, idle and with 50 pods, and how much a container adds; beside dockerd and containerd.

Proportional set size: what processes share is counted by share. Resident set size, which counts it in each, stands beside.
"Beside a container" are conmon or the shim; "for each container" adds what the daemons grow by.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import peers
import podlings
import table
import timing
from podling.app.processes import PidFile
from podling.testing.podling import Podling, running_podling

PODS = 50
CONTAINERS = 20
SETTLE = 3.0  # seconds after which a process that was busy counts as idle
GOAL = 120e6


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that processes hold together."""

    proportional: int = 0
    resident: int = 0

    @classmethod
    def of(cls, pids: Iterable[int]) -> Self:
        """Source: proc(5), smaps_rollup."""
        proportional = resident = 0
        for pid in pids:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
            sizes = {name: int(size.split()[0]) * 1024 for name, size in (line.split(":") for line in lines)}
            proportional += sizes["Pss"]
            resident += sizes["Rss"]
        return cls(proportional, resident)

    def __sub__(self, other: "Memory") -> "Memory":
        return Memory(self.proportional - other.proportional, self.resident - other.resident)

    def share(self, count: int) -> "Memory":
        return Memory(self.proportional // count, self.resident // count)


def running(program: str, naming: Path) -> list[int]:
    """The processes of `program` whose command line names a path."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if Path(os.fsdecode(words[0])).name == program and any(os.fsencode(naming) in word for word in words):
            found.append(int(folder.name))
    return found


def main_processes(podling: Podling) -> dict[str, Memory]:
    time.sleep(SETTLE)
    pids = {name: PidFile(podling.config.pid_file(name)).holder() for name in ("server", "agent")}
    return {name: Memory.of([pid] if pid else []) for name, pid in pids.items()} | {
        "together": Memory.of(filter(None, pids.values()))
    }


def run_containers(socket: Path) -> None:
    for _ in range(CONTAINERS):
        peers.run(*peers.docker(socket, "run", "-d", "busybox", "sleep", "86400"))
    time.sleep(SETTLE)


def podling_container(podling: Podling) -> Memory:
    """What one more takes: of the agent, and beside it."""
    agent = PidFile(podling.config.pid_file("agent")).holder() or 0
    before = Memory.of([agent])
    run_containers(podling.socket)
    return (Memory.of([agent, *running("conmon", podling.config_root)]) - before).share(CONTAINERS)


def measure_podling() -> dict[str, Memory]:
    with running_podling() as podling:
        each = podling_container(podling)
    with running_podling() as podling:
        measured = {f"podling {name}, idle": memory for name, memory in main_processes(podling).items()}
        podlings.with_api(podling, lambda client: podlings.deploy(client, "idle", PODS))
        measured |= {f"podling {name}, {PODS} pods": memory for name, memory in main_processes(podling).items()}
        conmons = running("conmon", podling.config_root)
        assert len(conmons) >= PODS, f"{len(conmons)} conmon for {PODS} pods"
        beside = Memory.of(conmons).share(len(conmons))
        return measured | {"podling, beside a container": beside, "podling, for each container": each}


def measure_dockerd() -> dict[str, Memory | None]:
    with peers.dockerd_with_busybox() as inside:
        if inside is None:
            return {"dockerd": None}
        time.sleep(SETTLE)
        daemons = [pid for pid in inside.processes() if pid != inside.pid]
        idle = Memory.of(daemons)
        run_containers(inside.folder / "docker.sock")
        shims = [pid for pid in inside.processes() if b"containerd-shim" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return {
            "dockerd and containerd, idle": idle,
            "dockerd, beside a container": Memory.of(shims).share(len(shims)),
            "dockerd, for each container": (Memory.of([*daemons, *shims]) - idle).share(CONTAINERS),
        }


def main() -> None:
    timing.clean_up_on_signals()
    measured = measure_podling() | measure_dockerd()
    rows = []
    for name, memory in measured.items():
        proportional, resident = (memory.proportional, memory.resident) if memory else (None, None)
        rows.append(
            (name, table.size(proportional), table.size(resident), table.ratio(proportional, GOAL) if "together" in name else "-")
        )
    table.show("memory", ("", "proportional", "resident", f"of {GOAL / 1e6:.0f} MB"), rows)


if __name__ == "__main__":
    main()
