"""How long does the API server take to start with 50,000 pods stored, and what does each add to its memory?

The pods are put into the store as the API server would put them.
"""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import orjson

import table
import timing
from apiservers import POD, PODS, Connection, Server, loaded, serving
from podling.store.sqlite import SqliteStore

COUNT, TOGETHER = 50_000, 500
KILOBYTES = 3.0
"""The goal: what a stored pod may take beside its bytes."""


async def measure(port: int) -> bytes:
    """A pod as the server stores it."""
    connection = await Connection.open(port)
    await connection.prepare()
    return await connection.ask("POST", PODS, orjson.dumps(POD))


async def fill(folder: Path, pod: bytes) -> None:
    """Put copies of a pod under names of their own into the store."""
    obj = orjson.loads(pod)
    del obj["metadata"]["resourceVersion"]
    store = await SqliteStore.open(folder / "state.db")
    for start in range(0, COUNT, TOGETHER):
        writes = []
        for number in range(start, start + TOGETHER):
            name = f"copy-{number:06}"
            value = orjson.dumps({**obj, "metadata": {**obj["metadata"], "name": name, "generateName": "copy-"}})
            writes.append(store.create(f"/core/pods/default/{name}", value))
        await asyncio.gather(*writes)
    await store.close()


@dataclass(frozen=True, slots=True)
class State:
    """Seconds until the server was ready, and the bytes of memory that it had then."""

    seconds: float
    memory: int

    @classmethod
    def of(cls, server: Server) -> "State":
        for line in Path(f"/proc/{server.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return cls(server.seconds, int(line.split()[1]) * 1024)
        raise RuntimeError("smaps_rollup has no Pss")


def main() -> None:
    timing.clean_up_on_signals()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        with serving(folder) as server:
            pod = loaded(server, measure)
        with serving(folder) as server:
            empty = State.of(server)
        asyncio.run(fill(folder, pod))
        with serving(folder) as server:
            full = State.of(server)
    each = (full.memory - empty.memory) / COUNT
    beyond = (each - len(pod)) / 1024
    rows = [
        ("start, one pod stored", table.duration(empty.seconds), "-"),
        (f"start, {COUNT:,} pods stored", table.duration(full.seconds), "-"),
        ("memory, one pod stored", table.size(empty.memory), "-"),
        (f"memory, {COUNT:,} pods stored", table.size(full.memory), "-"),
        ("a pod beside its bytes", f"{beyond:.2f} KB", table.ratio(beyond, KILOBYTES)),
    ]
    table.show(f"many objects; a pod is {len(pod):,} bytes", ("", "podling", f"of {KILOBYTES:.0f} KB"), rows)


if __name__ == "__main__":
    main()
