"""Protobuf on the wire: fields with numbers. Source: protobuf.dev, "Encoding"."""

from collections.abc import Iterator

_FIXED64, BYTES = 1, 2  # wire types
_MASK = 0xFFFF_FFFF_FFFF_FFFF


class WireError(ValueError):
    """The bytes are no fields."""


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field in order; numbers as unsigned 64 bits. Raises WireError."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        match key & 7:
            case 0:
                number, at = varint(data, at)
                yield key >> 3, number
            case 1 | 2 | 5 as wire:
                size, at = varint(data, at) if wire == BYTES else (8 if wire == _FIXED64 else 4, at)
                if at + size > len(data):
                    raise WireError("unexpected EOF")
                yield key >> 3, data[at : at + size]
                at += size
            case wire:
                raise WireError(f"illegal wireType {wire}")


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins `at`, and where it ends. Raises WireError."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7
    raise WireError("unexpected EOF" if at >= len(data) else "integer overflow")


def signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def number_of(raw: int | bytes) -> int:
    if isinstance(raw, bytes):
        raise WireError("wrong wireType for a number")
    return raw


def bytes_of(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise WireError("wrong wireType for a message")
    return raw


def text_of(raw: int | bytes) -> str:
    try:
        return bytes_of(raw).decode()
    except UnicodeDecodeError:
        raise WireError("a string is not UTF-8") from None


def integer(number: int, value: int) -> bytes:
    """A field with a number; negative ones take ten bytes."""
    return encode_varint(number << 3) + encode_varint(value & _MASK)


def fixed(number: int, data: bytes) -> bytes:
    """A field of eight bytes."""
    return encode_varint(number << 3 | _FIXED64) + data


def block(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return encode_varint(number << 3 | BYTES) + encode_varint(len(data)) + data


def text(number: int, value: str) -> bytes:
    return block(number, value.encode())


def encode_varint(value: int) -> bytes:
    if value < 0x80:
        return _ONE[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_ONE = [bytes((value,)) for value in range(0x80)]
