"""A process's streams over a taken-over connection: raw for a terminal, else in frames; input until its end or the detach keys.

Source: Docker Engine API, ContainerAttach, "Hijacking" and "Stream format".
"""

import asyncio
import contextlib
from collections.abc import Callable

from podling.aio.http import ByteStream, HeaderList
from podling.aio.tasks import Tasks
from podling.base.errors import InvalidInput
from podling.docker.answers import frame
from podling.docker.routing import Call
from podling.engine.attach import Attachment

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
_TELLS_FRAMES = (1, 42)  # the first version that says in the content type whether there are frames
DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def content_type(call: Call, *, terminal: bool) -> str:
    """What the answer carries."""
    return MULTIPLEXED if not terminal and call.version >= _TELLS_FRAMES else RAW


async def take_over(call: Call, *, terminal: bool) -> ByteStream:
    """The connection as a stream: 101 for a client that asks to upgrade, 200 for an older one."""
    headers: HeaderList = [("Content-Type", content_type(call, terminal=terminal))]
    if call.headers.has("Connection", "upgrade") and call.headers.get("Upgrade"):
        upgrade = [("Connection", "Upgrade"), ("Upgrade", call.headers.get("Upgrade"))]
        client = await call.request.hijack(101, headers + upgrade)
    else:
        client = await call.request.hijack(200, headers)
    await asyncio.sleep(0)  # the head leaves by itself: docker-py loses what it reads together with it
    return client


async def carry(
    client: ByteStream, attachment: Attachment, *, framed: bool, detach_keys: bytes = b"", leaving_detaches: bool = False
) -> bool:
    """Both ways until the process's streams have ended (True), or the client has gone or detached (False).

    `leaving_detaches`: the end of the input is the client's end, not its half. Closes neither side.
    """
    async with Tasks("attach") as tasks:
        output = tasks.start(_output(attachment, client, framed), "output")
        if attachment.wants_stdin or leaving_detaches:
            keys = DetachKeys(detach_keys) if detach_keys else None
            tasks.start(_input(client, attachment, keys, output.cancel, leaving_detaches), "input")
        await asyncio.wait([output])
        return not output.cancelled() and output.result()


async def _output(attachment: Attachment, client: ByteStream, framed: bool) -> bool:
    """Whether it came to its end."""
    try:
        while (chunk := await attachment.read()) is not None:
            stream, data = chunk
            client.write(frame(stream, data) if framed else data)
            await client.drain()
    except ConnectionError:
        return False
    return True


async def _input(
    client: ByteStream, attachment: Attachment, keys: "DetachKeys | None", detach: Callable[[], object], leaving_detaches: bool
) -> None:
    """Input until the client ends it; one that only closes its half goes on reading."""
    with contextlib.suppress(ConnectionError):
        while data := await client.read():
            attachment.write(keys.feed(data) if keys else data)
            if keys and keys.complete:
                detach()
                return
            await attachment.drain()
    if leaving_detaches:
        detach()
    else:
        attachment.close_stdin()


class DetachKeys:
    """Looks for the sequence in what is typed; what may be its beginning is held back."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._held = b""
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        """What of `data`, and of what was held back, goes to the process."""
        out = bytearray()
        for byte in data:
            self._held += bytes((byte,))
            while self._held and not self._sequence.startswith(self._held):
                out.append(self._held[0])
                self._held = self._held[1:]
            if self._held == self._sequence:
                self.complete = True
                break
        return bytes(out)


def parse_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `a,ctrl-[` as bytes. Raises InvalidInput."""
    return bytes(_key(word) for word in (text or DEFAULT_DETACH_KEYS).split(","))


def _key(word: str) -> int:
    if len(word) == 1 and word.isascii():
        return ord(word)
    letter = word.removeprefix("ctrl-")
    if letter != word and len(letter) == 1:
        if letter in _CONTROL:
            return _CONTROL[letter]
        if "a" <= letter <= "z":
            return ord(letter) - ord("a") + 1
    raise InvalidInput(f"Invalid detach keys ({word}) provided: Unknown character: '{word}'")
