"""How long a LIST of 10,000 pods takes in each form: whole, in pages, metadata alone, as a Table, by labels, by a field.

A range of etcd over as many bytes is what an API server without a cache of its own would wait for.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

import etcd
import peers
import table
import timing
from apiservers import CONNECTIONS, POD, PODS, Connection, loaded, rate, serving

COUNT, PAGE, ROUNDS = 10_000, 500, 5
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"


async def paged(connection: Connection) -> int:
    """All pods, a page after the other; gives how many pages. Decoding the pods would take longer than the server does."""
    token, pages = "", 0
    while True:
        page = await connection.ask("GET", f"{PODS}?limit={PAGE}&continue={token}")
        pages += 1
        head = orjson.loads(page[: page.index(b',"items":')] + b"}")
        if not (token := head["metadata"].get("continue", "")):
            return pages


def listing(query: str = "", accept: str = "*/*") -> Callable[[Connection], Awaitable[object]]:
    return lambda connection: connection.ask("GET", PODS + query, accept=accept)


LISTS: dict[str, Callable[[Connection], Awaitable[object]]] = {
    "whole": listing(),
    f"in pages of {PAGE}": paged,
    "metadata alone": listing(accept=PARTIAL),
    "as a Table": listing(accept=TABLE),
    "by a label that all have": listing("?labelSelector=app%3Dweb"),
    "by a label that none has": listing("?labelSelector=app%3Dother"),
    "by a field that none has": listing("?fieldSelector=spec.nodeName%3Dnone"),
}


async def measure(port: int) -> tuple[dict[str, float], int]:
    """Median seconds by form, and the bytes of a pod."""
    connection = await Connection.open(port)
    await connection.prepare()
    pod = orjson.dumps(POD)
    size = len(await connection.ask("POST", PODS, pod))
    await rate(port, COUNT - COUNT % CONNECTIONS, CONNECTIONS, lambda each: each.ask("POST", PODS, pod))
    return {name: await _median(connection, ask) for name, ask in LISTS.items()}, size


async def _median(connection: Connection, ask: Callable[[Connection], Awaitable[object]]) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await ask(connection)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


async def measure_etcd(socket: Path, size: int) -> float:
    """Seconds of a range over as many values of as many bytes."""
    async with etcd.connected(socket) as client:
        for start in range(0, COUNT, CONNECTIONS):
            await asyncio.gather(*(client.put(start + number, b"x" * size) for number in range(CONNECTIONS)))
        taken = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            await client.range()
            taken.append(time.perf_counter() - started)
        return statistics.median(taken)


def main() -> None:
    timing.clean_up_on_signals()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, serving(Path(folder)) as server:
        ours, size = loaded(server, measure)
    with peers.etcd() as socket:
        theirs = socket and asyncio.run(measure_etcd(socket, size))
    rows = [
        (name, table.duration(seconds), table.duration(theirs), table.ratio(theirs, seconds)) for name, seconds in ours.items()
    ]
    title = f"LIST of {COUNT:,} pods of {size:,} bytes; median of {ROUNDS}"
    table.show(title, ("", "podling", "etcd, the range", "as fast as etcd"), rows)


if __name__ == "__main__":
    main()
