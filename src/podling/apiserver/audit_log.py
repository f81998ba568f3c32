"""The audit log: one JSON line for each stage of a request, in the words of audit.k8s.io/v1 Event.

Lines are written side by side with the requests that they tell of, in order, by one thread at a time; a disk that can't keep up
slows the requests down. A file that has grown is put aside.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson

from podling.aio.clock import Clock
from podling.aio.http import ByteStream, HeaderList, Incoming, Response
from podling.aio.tasks import Tasks
from podling.api.objects import drop
from podling.api.status import ApiError
from podling.api.timestamps import micro
from podling.apiserver import protobuf
from podling.apiserver.audit import Depth, Policy
from podling.apiserver.call import Call
from podling.apiserver.identity import User, user_info

Object = dict[str, Any]

MOST_BYTES = 100 << 20  # of one file
KEPT = 5  # files put aside
WAITING = 10_000  # lines in memory before requests wait


class AuditFile:
    """Appends lines to a file of mode 0600 that only its owner reads."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path = path
        self._most = most_bytes
        self._lines: list[bytes] = []
        self._wake = asyncio.Event()
        self._written = asyncio.Event()
        self._tasks = Tasks("audit log")

    def start(self) -> None:
        self._tasks.start(self._run(), "writer")

    async def add(self, event: Object) -> None:
        self._lines.append(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
        self._wake.set()
        while len(self._lines) > WAITING:
            self._written.clear()
            await self._written.wait()

    async def close(self) -> None:
        """Write what is left."""
        await self._tasks.cancel()
        await self._flush()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush()
            self._written.set()

    async def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            await asyncio.shield(asyncio.to_thread(self._append, b"".join(lines)))

    def _append(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._path.exists() and self._path.stat().st_size + len(data) > self._most:
            self._put_aside()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)

    def _put_aside(self) -> None:
        """`audit.log.1` is the newest of those."""
        for number in range(KEPT - 1, 0, -1):
            older = self._aside(number)
            if older.exists():
                older.replace(self._aside(number + 1))
        self._path.replace(self._aside(1))

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class Recorded:
    """A request's body, kept while it is read."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self.pieces: list[bytes] = []

    async def stream(self) -> AsyncIterator[bytes]:
        async for piece in self._incoming.stream():
            self.pieces.append(piece)
            yield piece

    async def hijack(self, status: int, headers: HeaderList) -> ByteStream:
        return await self._incoming.hijack(status, headers)


class Auditor:
    """Tells `file` of requests, as deep as `policy` says."""

    def __init__(self, policy: Policy, file: AuditFile, clock: Clock) -> None:
        self._policy = policy
        self._file = file
        self._clock = clock

    def start(self) -> None:
        self._file.start()

    async def close(self) -> None:
        await self._file.close()

    def begin(self, call: Call, caller: User) -> "Entry":
        return Entry(self._file, self._clock, call, caller, self._policy.depth(call.attributes))


class Entry:
    """One request in the log."""

    def __init__(self, file: AuditFile, clock: Clock, call: Call, caller: User, depth: Depth) -> None:
        self._file = file
        self._clock = clock
        self._call = call
        self._depth = depth
        self._body: Recorded | None = None
        if depth.is_none:
            return
        if depth.request:
            call.request.incoming = self._body = Recorded(call.request.incoming)
        self._event = _event(call, caller, depth.level, micro(clock.now()))

    async def received(self) -> None:
        await self._tell("RequestReceived")

    async def refused(self, error: ApiError) -> None:
        status = {"metadata": {}, "status": "Failure", "message": error.message, "reason": error.reason, "code": error.code}
        await self._end(status, error.status())

    async def unknown(self) -> None:
        """Nobody knows who asks."""
        tried = _tried(self._call)
        words = f"attempted: {', '.join(tried)}" if tried else "no credentials provided"
        message = f"Authentication failed, {words}"
        status = {"metadata": {}, "status": "Failure", "message": message, "reason": "Unauthorized", "code": 401}
        await self._tell("ResponseStarted", responseStatus=status)

    async def panicked(self) -> None:
        await self._tell("Panic", responseStatus={"metadata": {}, "status": "Failure", "code": 500})

    async def answered(self, response: Response | None) -> None:
        """A stream is told of as it starts: it may last."""
        code = 101 if response is None else response.status
        status: Object = {"metadata": {}, "code": code}
        if response is None or not isinstance(response.body, bytes):
            await self._tell("ResponseStarted", responseStatus=status)
            return
        media = next((value for name, value in response.headers if name.lower() == "content-type"), "")
        await self._end(status, _parsed(response.body, media) if self._depth.response else None)

    async def _end(self, status: Object, answer: Object | None) -> None:
        members: Object = {"responseStatus": status}
        media = self._call.request.headers.get("content-type")
        if self._body is not None and (sent := _parsed(b"".join(self._body.pieces), media)) is not None:
            members["requestObject"] = self._shown(sent)
        if self._depth.response and answer is not None:
            members["responseObject"] = self._shown(answer)
        await self._tell("ResponseComplete", **members)

    def _shown(self, obj: Any) -> Any:
        return drop(obj, "metadata.managedFields") if self._depth.omit_managed_fields and isinstance(obj, dict) else obj

    async def _tell(self, stage: str, **members: Any) -> None:
        if self._depth.is_none or stage in self._depth.omit_stages:
            return
        event = {**self._event, "stage": stage, **members, "stageTimestamp": micro(self._clock.now())}
        if self._call.notes:
            event["annotations"] = dict(self._call.notes)
        await self._file.add(event)


def _tried(call: Call) -> list[str]:
    """The kinds of credentials that a request carries."""
    request = call.request
    scheme, _, given = request.headers.get("authorization").strip().partition(" ")
    tried = [scheme.lower()] if given and scheme.lower() in ("basic", "bearer") else []
    return [*tried, *(["x509"] if request.peer.certificate is not None else [])]


def _event(call: Call, caller: User, level: str, now: str) -> Object:
    request, attributes = call.request, call.attributes
    event: Object = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": level,
        "auditID": call.audit_id,
        "stage": "",
        "requestURI": f"{request.raw_path or request.path}{'?' if request.raw_query else ''}{request.raw_query}",
        "verb": attributes.verb,
        "user": user_info(caller) if caller.name else {},
    }
    if caller != attributes.user:
        event["impersonatedUser"] = user_info(attributes.user)
    if address := request.peer.address:
        event["sourceIPs"] = [address]
    event["userAgent"] = request.headers.get("user-agent")
    if attributes.is_resource:
        event["objectRef"] = _reference(call)
    return {**event, "requestReceivedTimestamp": now}


def _reference(call: Call) -> Object:
    of = call.attributes
    members = {
        "resource": of.resource,
        "namespace": of.namespace,
        "name": of.name,
        "apiGroup": of.group,
        "apiVersion": of.version,
        "subresource": of.subresource,
    }
    return {name: value for name, value in members.items() if value}


def _parsed(data: bytes, media: str) -> Any:
    """A body as JSON values; None for what is neither JSON nor protobuf."""
    try:
        return protobuf.decode(data) if media.partition(";")[0].strip() == protobuf.MEDIA_TYPE else orjson.loads(data)
    except ValueError:
        return None
