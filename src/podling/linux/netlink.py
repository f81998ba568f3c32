"""Netlink: the message codec, and a socket that asks and waits for the kernel's answer.

The kernel answers within the send, so asking blocks for microseconds only. Source: netlink(7), rtnetlink(7),
Documentation/userspace-api/netlink in Linux.
"""

import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from podling.linux.namespace import Namespace, run_in

# linux/netlink.h
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_DUMP = 0x300
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200
NLMSGERR_ATTR_MSG = 1

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_RECEIVE = 1 << 18
_SO_SNDBUFFORCE = 32
_BUFFER = 4 << 20  # bytes: a batch of thousands of messages, and the answers to it
_ANSWER_TIMEOUT = 5.0  # seconds; the kernel answers at once, or the message was lost


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `kind` is nlmsg_type, `body` what follows the header."""

    kind: int
    flags: int
    body: bytes
    sequence: int = 0


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = 4 + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """An attribute with a string that ends in NUL."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """An attribute with a 32-bit number in the machine's order."""
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in `data`, (type, value). Raises ValueError where a length lies."""
    position = 0
    while position + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < 4 or position + length > len(data):
            raise ValueError(f"netlink attribute of {length} bytes where {len(data) - position} are left")
        yield kind & _TYPE_MASK, data[position + 4 : position + length]
        position += length + (-length % 4)


def encode(message: Message, sequence: int) -> bytes:
    """A message with its header."""
    return _HEADER.pack(_HEADER.size + len(message.body), message.kind, message.flags, sequence, 0) + message.body


def decode(data: bytes) -> Iterator[Message]:
    """The messages of one datagram. Raises ValueError where a length lies."""
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, position)
        if length < _HEADER.size or position + length > len(data):
            raise ValueError(f"netlink message of {length} bytes where {len(data) - position} are left")
        yield Message(kind, flags, data[position + _HEADER.size : position + length], sequence)
        position += length + (-length % 4)


def error_of(message: Message, about: str) -> OSError | None:
    """The error that an NLMSG_ERROR or NLMSG_DONE carries, with the kernel's words where it gave some; None is success."""
    code: int = struct.unpack_from("=i", message.body)[0] if len(message.body) >= 4 else 0
    if code >= 0:
        return None
    words = _words(message)
    return OSError(-code, os.strerror(-code) + (f" ({words})" if words else ""), about)


def _words(message: Message) -> str:
    """The text of an extended acknowledgement."""
    if message.kind != NLMSG_ERROR or not message.flags & NLM_F_ACK_TLVS:
        return ""
    start = 4 + _HEADER.size
    if not message.flags & NLM_F_CAPPED:
        start = 4 + int(struct.unpack_from("=I", message.body, 4)[0])
    for kind, value in attributes(message.body[start:]):
        if kind == NLMSGERR_ATTR_MSG:
            return value.rstrip(b"\0").decode(errors="replace")
    return ""


class Netlink:
    """A netlink socket that lives in a network namespace, wherever the caller is. Use it in one thread at a time."""

    def __init__(self, namespace: Namespace | None = None, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = _open(protocol) if namespace is None else run_in(namespace, lambda: _open(protocol))
        if protocol == NETLINK_NETFILTER:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        self._sequence = 0

    def ask(self, kind: int, body: bytes, flags: int = 0, *, about: str) -> list[Message]:
        """Send one request; the answers before its acknowledgement or end. Raises OSError with `about`."""
        dump = flags & NLM_F_DUMP == NLM_F_DUMP
        request = Message(kind, flags | NLM_F_REQUEST | (0 if dump else NLM_F_ACK), body)
        self._sequence += 1
        self._socket.send(encode(request, self._sequence))
        return self._answers(self._sequence, about)

    def _answers(self, sequence: int, about: str) -> list[Message]:
        answers: list[Message] = []
        while True:
            for message in decode(self._socket.recv(_RECEIVE)):
                if message.sequence != sequence:
                    continue  # left over from an earlier failure
                if message.kind in (NLMSG_ERROR, NLMSG_DONE):
                    if (error := error_of(message, about)) is not None:
                        raise error
                    return answers
                answers.append(message)

    def transact(self, messages: Sequence[Message], about: Sequence[str]) -> dict[int, OSError]:
        """Send all `messages` as one batch and wait until those that ask for it are acknowledged.

        Gives the failures by position, each with the text of the same place in `about`. Whether a failure undoes the others is
        up to the protocol: nf_tables does.
        """
        first = self._sequence + 1
        self._sequence += len(messages)
        self._socket.send(b"".join(encode(m, first + n) for n, m in enumerate(messages)))
        awaited = {n for n, m in enumerate(messages) if m.flags & NLM_F_ACK}
        failures: dict[int, OSError] = {}
        while awaited and 0 not in failures:  # the frame itself is refused
            for message in decode(self._socket.recv(_RECEIVE)):
                position = message.sequence - first
                if message.kind != NLMSG_ERROR or not 0 <= position < len(messages):
                    continue
                awaited.discard(position)
                if (error := error_of(message, about[position])) is not None:
                    failures[position] = error
        return failures

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _open(protocol: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        opened.settimeout(_ANSWER_TIMEOUT)
        opened.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        opened.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        opened.bind((0, 0))
    except OSError:
        opened.close()
        raise
    return opened


def joined(parts: Iterable[bytes | None]) -> bytes:
    """The parts that are there, in one piece."""
    return b"".join(part for part in parts if part is not None)
