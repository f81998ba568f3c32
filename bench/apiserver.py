"""How many GET, CREATE and watch events the API server does in a second, and how long a LIST of 10,000 pods takes; beside etcd.

Server and load generator are one process each, without TLS and access control. etcd alone is the floor under an API server
that keeps its objects there: what such a server does comes on top.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path

import orjson

import etcd
import peers
import table
import timing
from apiservers import CONNECTIONS, POD, PODS, Connection, loaded, rate, serving

ALONE, TOGETHER = 400, 9_600  # pods created over one connection, and over all: 10,000
STREAMS = 1_000


async def fan_out(port: int, events: int) -> float:
    """Events times streams in a second, from the first write until every stream has the last."""
    path = "/api/v1/namespaces/default/configmaps"
    streams = [await Connection.open(port) for _ in range(STREAMS)]
    for stream in streams:
        stream.writer.write(f"GET {path}?watch=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await stream.reader.readuntil(b"\r\n\r\n")

    async def follow(stream: Connection) -> None:
        seen = 0
        while seen < events:
            seen += (await stream.reader.read(1 << 20)).count(b'{"type":')

    writer = await Connection.open(port)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for stream in streams:
            group.create_task(follow(stream))
        for number in range(events):
            body = orjson.dumps({"metadata": {"name": f"event-{number}"}, "data": {"x": "y" * 500}})
            await writer.ask("POST", path, body)
    return events * STREAMS / (time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests and events in a second, seconds of the LIST, and bytes of one stored pod."""

    create_alone: float
    create: float
    get_alone: float
    get: float
    list: float
    events: float
    pod_size: int


async def measure(port: int) -> Measured:
    pod = orjson.dumps(POD)
    connection = await Connection.open(port)
    await connection.prepare()

    def create(connection: Connection) -> Awaitable[object]:
        return connection.ask("POST", PODS, pod)

    created = [await rate(port, ALONE, 1, create), await rate(port, TOGETHER, CONNECTIONS, create)]
    listed: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        answer = await connection.ask("GET", "/api/v1/pods")
        listed.append(time.perf_counter() - started)
    one = f"{PODS}/{orjson.loads(answer)['items'][0]['metadata']['name']}"

    def get(connection: Connection) -> Awaitable[object]:
        return connection.ask("GET", one)

    got = [await rate(port, 2_000, 1, get), await rate(port, 19_200, CONNECTIONS, get)]
    return Measured(*created, *got, statistics.median(listed), await fan_out(port, 50), len(await connection.ask("GET", one)))


def measure_etcd(pod_size: int) -> etcd.Rates | None:
    with peers.etcd() as path:
        return path and asyncio.run(etcd.measure(path, b"x" * pod_size, ALONE, TOGETHER, CONNECTIONS))


def show(ours: Measured, theirs: etcd.Rates | None) -> None:
    rates = {
        "CREATE of a pod, 1 connection": (ours.create_alone, theirs and theirs.put_alone),
        f"CREATE of a pod, {CONNECTIONS} connections": (ours.create, theirs and theirs.put),
        "GET of a pod, 1 connection": (ours.get_alone, theirs and theirs.get_alone),
        f"GET of a pod, {CONNECTIONS} connections": (ours.get, theirs and theirs.get),
    }
    rows = [(name, table.rate(our), table.rate(their), table.ratio(our, their)) for name, (our, their) in rates.items()]
    listed = theirs and theirs.range
    name = f"LIST of {ALONE + TOGETHER:,} pods"
    rows.append((name, table.duration(ours.list), table.duration(listed), table.ratio(listed, ours.list)))
    rows.append((f"watch events to {STREAMS:,} streams", table.rate(ours.events), "-", "-"))
    table.show(f"API server; a pod is {ours.pod_size:,} bytes", ("", "podling", "etcd", "as fast as etcd"), rows)


def main() -> None:
    timing.clean_up_on_signals()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, serving(Path(folder)) as server:
        ours = loaded(server, measure)
    show(ours, measure_etcd(ours.pod_size))


if __name__ == "__main__":
    main()
