"""How many UPDATEs and PATCHes of each kind the API server does in a second over 64 connections, each on a pod of its own.

A write of etcd is the floor under each: an API server that keeps its objects there reads, merges, validates, and puts.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import orjson

import etcd
import peers
import table
import timing
from apiservers import CONNECTIONS, POD, PODS, Connection, loaded, rate, serving

TOTAL = 3_200
PATCH = "application/{}-patch+{}"

Write = Callable[[Connection, dict[str, Any], str], Awaitable[object]]
"""(connection, the pod as it was created, a value that is not there yet)"""


def path(pod: dict[str, Any]) -> str:
    return f"{PODS}/{pod['metadata']['name']}"


def update(connection: Connection, pod: dict[str, Any], value: str) -> Awaitable[object]:
    metadata = {**pod["metadata"], "labels": {"value": value}}
    del metadata["resourceVersion"]
    return connection.ask("PUT", path(pod), orjson.dumps({**pod, "metadata": metadata}))


def patch(kind: str, subresource: str = "") -> Write:
    def write(connection: Connection, pod: dict[str, Any], value: str) -> Awaitable[object]:
        change = {"status": {"message": value}} if subresource else {"metadata": {"labels": {"value": value}}}
        return connection.ask("PATCH", path(pod) + subresource, orjson.dumps(change), PATCH.format(kind, "json"))

    return write


def json_patch(connection: Connection, pod: dict[str, Any], value: str) -> Awaitable[object]:
    operations = [{"op": "add", "path": "/metadata/labels/value", "value": value}]
    return connection.ask("PATCH", path(pod), orjson.dumps(operations), PATCH.format("json", "json"))


def apply(connection: Connection, pod: dict[str, Any], value: str) -> Awaitable[object]:
    wish = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod["metadata"]["name"], "labels": {"value": value}}}
    query = "?fieldManager=bench&force=true"
    return connection.ask("PATCH", path(pod) + query, orjson.dumps(wish), PATCH.format("apply", "yaml"))


WRITES: dict[str, Write] = {
    "UPDATE": update,
    "PATCH, JSON patch": json_patch,
    "PATCH, merge patch": patch("merge"),
    "PATCH, strategic merge patch": patch("strategic-merge"),
    "PATCH, server-side apply": apply,
    "PATCH of the status, merge patch": patch("merge", "/status"),
}


async def measure(port: int) -> tuple[dict[str, float], int]:
    """Writes in a second by their name, and the bytes of a pod."""
    connection = await Connection.open(port)
    await connection.prepare()
    pods = [await connection.ask("POST", PODS, orjson.dumps(POD)) for _ in range(CONNECTIONS)]
    values = count()

    def on_its_own(write: Write) -> Callable[[Connection], Awaitable[object]]:
        own: dict[Connection, dict[str, Any]] = {}

        def ask(connection: Connection) -> Awaitable[object]:
            pod = own.setdefault(connection, orjson.loads(pods[len(own) % CONNECTIONS]))
            return write(connection, pod, str(next(values)))

        return ask

    return {name: await rate(port, TOTAL, CONNECTIONS, on_its_own(write)) for name, write in WRITES.items()}, len(pods[0])


async def measure_etcd(socket: Path, size: int) -> float:
    async with etcd.connected(socket) as client:
        numbers = count()
        return await etcd.rate(lambda: client.put(next(numbers) % CONNECTIONS, b"x" * size), TOTAL, CONNECTIONS)


def main() -> None:
    timing.clean_up_on_signals()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, serving(Path(folder)) as server:
        ours, size = loaded(server, measure)
    with peers.etcd() as socket:
        theirs = socket and asyncio.run(measure_etcd(socket, size))
    rows = [(name, table.rate(our), table.rate(theirs), table.ratio(our, theirs)) for name, our in ours.items()]
    title = f"writes of a pod of {size:,} bytes, {CONNECTIONS} connections"
    table.show(title, ("", "podling", "etcd, a put", "as fast as etcd"), rows)


if __name__ == "__main__":
    main()
