"""How long do reads take while 500 pods a second are written?

Reads come one after the other over eight connections; writes are due at fixed times, whether or not those before them are done.
etcd does the same with as many bytes.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import orjson

import etcd
import peers
import table
import timing
from apiservers import POD, PODS, Connection, connections, loaded, serving

READERS, WRITERS = 8, 32
WRITES_PER_SECOND, SECONDS = 500, 10.0
GOAL = 0.020
PAUSE = 0.005  # between two reads of one reader

Latencies = tuple[list[float], list[float], float]
"""Seconds of the reads and of the writes, these from when they were due; and how many writes a second were done."""


async def under_load(readers: list[Callable[[], Awaitable[object]]], writers: list[Callable[[], Awaitable[object]]]) -> Latencies:
    reads: list[float] = []
    writes: list[float] = []
    started = time.perf_counter()
    numbers = count()

    async def read(ask: Callable[[], Awaitable[object]]) -> None:
        while (began := time.perf_counter()) < started + SECONDS:
            await ask()
            reads.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE)

    async def write(ask: Callable[[], Awaitable[object]]) -> None:
        while (due := started + next(numbers) / WRITES_PER_SECOND) < started + SECONDS:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await ask()
            writes.append(time.perf_counter() - due)

    await asyncio.gather(*map(read, readers), *map(write, writers))
    return reads, writes, len(writes) / (time.perf_counter() - started)


async def measure(port: int) -> tuple[Latencies, int]:
    async with connections(port, READERS + WRITERS) as opened:
        await opened[0].prepare()
        pod = orjson.dumps(POD)
        one = await opened[0].ask("POST", PODS, pod)
        path = f"{PODS}/{orjson.loads(one)['metadata']['name']}"

        def reader(connection: Connection) -> Callable[[], Awaitable[object]]:
            return lambda: connection.ask("GET", path)

        def writer(connection: Connection) -> Callable[[], Awaitable[object]]:
            return lambda: connection.ask("POST", PODS, pod)

        found = await under_load([reader(each) for each in opened[:READERS]], [writer(each) for each in opened[READERS:]])
        return found, len(one)


async def measure_etcd(socket: Path, size: int) -> Latencies:
    async with etcd.connected(socket) as client:
        numbers = count(1)
        await client.put(0, b"x" * size)
        readers = [lambda: client.get(0)] * READERS
        return await under_load(readers, [lambda: client.put(next(numbers), b"x" * size)] * WRITERS)


def main() -> None:
    timing.clean_up_on_signals()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, serving(Path(folder)) as server:
        ours, size = loaded(server, measure)
    with peers.etcd() as socket:
        theirs = socket and asyncio.run(measure_etcd(socket, size))
    rows = []
    for what, goal, of_ours, of_theirs in (
        ("GET", GOAL, ours[0], theirs and theirs[0]),
        ("CREATE", None, ours[1], theirs and theirs[1]),
    ):
        for share in (0.5, 0.99):
            our = timing.quantile(of_ours, share)
            their = timing.quantile(of_theirs, share) if of_theirs else None
            name = f"{what}, p{share * 100:.0f}"
            rows.append((name, table.duration(our), table.duration(their), table.ratio(our, goal) if share == 0.99 else "-"))
    title = f"reads while {WRITES_PER_SECOND} pods a second are written; podling did {ours[2]:,.0f} /s"
    table.show(title, ("", "podling", "etcd", f"of {GOAL * 1e3:.0f} ms"), rows)


if __name__ == "__main__":
    main()
