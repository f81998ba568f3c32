"""DNS messages. Pure. Source: RFC 1035 section 4, RFC 2782 (SRV), RFC 3596 (AAAA), RFC 6891 (EDNS)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 41, 255
IN = 1

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)

QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080

UDP_LIMIT = 512  # bytes of an answer to a client without EDNS
EDNS_LIMIT = 1232  # what fits every path unfragmented
NAME_LIMIT = 255
LABEL_LIMIT = 63

_HEADER = struct.Struct("!HHHHHH")  # id, flags, number of questions, answers, authorities, additionals
_QUESTION = struct.Struct("!HH")
_FIXED = struct.Struct("!HHIH")  # type, class, TTL, length
_TO_QUESTION = b"\xc0\x0c"  # a pointer to the name of the first question


class WireError(ValueError):
    """The bytes are no DNS message."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `name` is in lower case, without the final dot; "" is the root."""

    name: str
    type: int
    klass: int = IN


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record; `data` as it goes over the wire (see `a`, `srv`, ...), its names uncompressed. `ttl` in seconds."""

    name: str
    type: int
    ttl: int
    data: bytes
    klass: int = IN


@dataclass(frozen=True, slots=True)
class Query:
    """A query as it came: its question also as bytes, in the asker's spelling, to be sent back. `limit` is what it can take."""

    id: int
    flags: int
    question: Question
    raw: bytes
    limit: int = UDP_LIMIT
    edns: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message, of whichever direction."""

    id: int
    flags: int
    questions: tuple[Question, ...] = ()
    answers: tuple[Record, ...] = ()
    authorities: tuple[Record, ...] = ()
    additionals: tuple[Record, ...] = ()

    @property
    def code(self) -> int:
        return self.flags & 0xF


@lru_cache(maxsize=4096)
def encode_name(name: str) -> bytes:
    """A name as labels. Raises WireError where a label or the whole is too long, or a label is empty."""
    if name in ("", "."):
        return b"\0"
    parts = []
    for label in name.removesuffix(".").split("."):
        data = label.encode("utf-8", "surrogateescape")
        if not 0 < len(data) <= LABEL_LIMIT:
            raise WireError(f"bad label in {name!r}")
        parts.append(bytes([len(data)]) + data)
    encoded = b"".join(parts) + b"\0"
    if len(encoded) > NAME_LIMIT:
        raise WireError(f"name is longer than {NAME_LIMIT} bytes: {name!r}")
    return encoded


def decode_name(data: bytes, position: int) -> tuple[str, int]:
    """The name at `position`, in lower case, and where what follows it begins.

    A pointer must point before where it stands, so that it can't loop. A dot within a label is refused.
    """
    labels: list[str] = []
    size = 1
    after = -1  # behind the first pointer
    while True:
        if position >= len(data):
            raise WireError("name runs beyond the message")
        length = data[position]
        if length >= 0xC0:
            if position + 2 > len(data):
                raise WireError("pointer runs beyond the message")
            target = (length & 0x3F) << 8 | data[position + 1]
            if target >= position:
                raise WireError("pointer does not point back")
            after = position + 2 if after < 0 else after
            position = target
            continue
        if length > LABEL_LIMIT:
            raise WireError("unknown kind of label")
        label = data[position + 1 : position + 1 + length]
        position += 1 + length
        if not length:
            return ".".join(labels), position if after < 0 else after
        size += 1 + length
        if len(label) < length or size > NAME_LIMIT or b"." in label:
            raise WireError("bad label")
        labels.append(label.decode("utf-8", "surrogateescape").lower())


def a(name: str, ttl: int, address: str) -> Record:
    """An A or AAAA record, as the address is."""
    parsed = ip_address(address)
    return Record(name, A if parsed.version == 4 else AAAA, ttl, parsed.packed)


def cname(name: str, ttl: int, target: str) -> Record:
    return Record(name, CNAME, ttl, encode_name(target))


def ptr(name: str, ttl: int, target: str) -> Record:
    return Record(name, PTR, ttl, encode_name(target))


def srv(name: str, ttl: int, port: int, target: str, priority: int = 0, weight: int = 100) -> Record:
    return Record(name, SRV, ttl, struct.pack("!HHH", priority, weight, port) + encode_name(target))


def txt(name: str, ttl: int, text: str) -> Record:
    data = text.encode()
    pieces = [data[start : start + 255] for start in range(0, len(data), 255)] or [b""]
    return Record(name, TXT, ttl, b"".join(bytes([len(piece)]) + piece for piece in pieces))


def soa(name: str, ttl: int, primary: str, mailbox: str, serial: int, minimum: int) -> Record:
    """A start of authority: in a negative answer it says for how long to remember that (RFC 2308)."""
    numbers = struct.pack("!IIIII", serial, 7200, 1800, 86400, minimum)
    return Record(name, SOA, ttl, encode_name(primary) + encode_name(mailbox) + numbers)


def parse_query(data: bytes) -> Query:
    """A query with one question. Raises WireError for anything else."""
    if len(data) < _HEADER.size:
        raise WireError("shorter than a header")
    identifier, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(data)
    if flags & QR or questions != 1:
        raise WireError("not a query with one question")
    question, end = _parse_question(data, _HEADER.size)
    limit = _edns_limit(data, end) if additionals and not answers and not authorities else None
    return Query(identifier, flags, question, data[_HEADER.size : end], limit or UDP_LIMIT, limit is not None)


def _parse_question(data: bytes, position: int) -> tuple[Question, int]:
    name, position = decode_name(data, position)
    if position + _QUESTION.size > len(data):
        raise WireError("question is cut off")
    kind, klass = _QUESTION.unpack_from(data, position)
    return Question(name, kind, klass), position + _QUESTION.size


def _edns_limit(data: bytes, position: int) -> int | None:
    """The size that the OPT record right behind the question announces; None without one."""
    if data[position : position + 3] != b"\0\0\x29" or position + 11 > len(data):
        return None
    return min(max(int(struct.unpack_from("!H", data, position + 3)[0]), UDP_LIMIT), EDNS_LIMIT)


def encode_query(identifier: int, question: Question, flags: int = RD) -> bytes:
    """A query."""
    header = _HEADER.pack(identifier, flags, 1, 0, 0, 0)
    return header + encode_name(question.name) + _QUESTION.pack(question.type, question.klass)


def respond(
    query: Query,
    answers: Sequence[Record] = (),
    *,
    authorities: Sequence[Record] = (),
    additionals: Sequence[Record] = (),
    code: int = NOERROR,
    authoritative: bool = True,
    limit: int = 0,
) -> bytes:
    """The answer to `query`, which fits into `limit` bytes (0: the query's own): what doesn't is left out, and TC is set."""
    limit = limit or query.limit
    flags = QR | query.flags & (RD | 0x7800) | RA | code | (AA if authoritative else 0)
    asked = query.question.name
    room = limit - _HEADER.size - len(query.raw) - (11 if query.edns else 0)
    sections = []
    counts = []
    for number, records in enumerate((answers, authorities, additionals)):
        encoded = [_encode_record(record, asked) for record in records]
        fitting = _fitting(encoded, room)
        if len(fitting) < len(encoded) and number < 2:
            flags |= TC
        room -= sum(map(len, fitting))
        sections += fitting
        counts.append(len(fitting))
    if query.edns:
        sections.append(b"\0" + _FIXED.pack(OPT, EDNS_LIMIT, 0, 0))
        counts[2] += 1
    return _HEADER.pack(query.id, flags, 1, *counts) + query.raw + b"".join(sections)


def _encode_record(record: Record, asked: str) -> bytes:
    name = _TO_QUESTION if record.name == asked else encode_name(record.name)
    return name + _FIXED.pack(record.type, record.klass, record.ttl, len(record.data)) + record.data


def _fitting(encoded: list[bytes], room: int) -> list[bytes]:
    """The first of them that fit into `room` bytes."""
    for position, data in enumerate(encoded):
        room -= len(data)
        if room < 0:
            return encoded[:position]
    return encoded


def parse_message(data: bytes) -> Message:
    """A whole message. Names inside the data of CNAME, PTR, NS and SRV records are made whole. Raises WireError."""
    if len(data) < _HEADER.size:
        raise WireError("shorter than a header")
    identifier, flags, *counts = _HEADER.unpack_from(data)
    position = _HEADER.size
    questions = []
    for _ in range(counts[0]):
        question, position = _parse_question(data, position)
        questions.append(question)
    sections: list[tuple[Record, ...]] = []
    for count in counts[1:]:
        records = []
        for _ in range(count):
            record, position = _parse_record(data, position)
            records.append(record)
        sections.append(tuple(records))
    return Message(identifier, flags, tuple(questions), *sections)


def _parse_record(data: bytes, position: int) -> tuple[Record, int]:
    name, position = decode_name(data, position)
    if position + _FIXED.size > len(data):
        raise WireError("record is cut off")
    kind, klass, ttl, length = _FIXED.unpack_from(data, position)
    position += _FIXED.size
    end = position + length
    if end > len(data):
        raise WireError("record is cut off")
    return Record(name, kind, ttl, _whole_data(data, position, end, kind), klass), end


def _whole_data(data: bytes, position: int, end: int, kind: int) -> bytes:
    fixed = {CNAME: 0, PTR: 0, NS: 0, SRV: 6}.get(kind)
    if fixed is None:
        return data[position:end]
    name, after = decode_name(data, position + fixed)
    if after != end:
        raise WireError("name does not fill its record")
    return data[position : position + fixed] + encode_name(name)


def address_of(record: Record) -> IPv4Address | IPv6Address:
    """The address of an A or AAAA record. Raises WireError for one of another length."""
    try:
        return IPv4Address(record.data) if record.type == A else IPv6Address(record.data)
    except ValueError as error:
        raise WireError("bad address") from error


def target_of(record: Record) -> str:
    """The name that a CNAME, PTR, NS or SRV record (as parsed) points to."""
    return decode_name(record.data, 6 if record.type == SRV else 0)[0]


def reverse_name(address: str) -> str:
    """The name whose PTR record names `address`."""
    return ip_address(address).reverse_pointer


def address_of_reverse_name(name: str) -> str | None:
    """The address that "2.0.17.172.in-addr.arpa" or an ip6.arpa name stands for; None for any other name."""
    labels = name.split(".")
    text = None
    if name.endswith(".in-addr.arpa") and len(labels) == 6:
        text = ".".join(reversed(labels[:4]))
    elif name.endswith(".ip6.arpa") and len(labels) == 34 and all(len(label) == 1 for label in labels[:32]):
        digits = "".join(reversed(labels[:32]))
        text = ":".join(digits[start : start + 4] for start in range(0, 32, 4))
    try:
        return None if text is None else str(ip_address(text))
    except ValueError:
        return None
