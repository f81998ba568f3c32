"""Identifiers. Randomness enters the product here and nowhere else."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

_entropy: Callable[[int], bytes] = os.urandom
_random = secrets.SystemRandom()
# rand.SafeEncodeString of k8s.io/apimachinery: no vowels, no look-alikes.
_SAFE = b"bcdfghjklmnpqrstvwxz2456789"
_OF_BYTE = bytes(_SAFE[byte % len(_SAFE)] for byte in range(256))
_SURPLUS = bytes(range(256 - 256 % len(_SAFE), 256))  # would make some digits likelier than others


@contextmanager
def drawn_from(entropy: Callable[[int], bytes]) -> Iterator[None]:
    """Have uids and suffixes made of the bytes that `entropy` gives, meanwhile: for a simulation that has to repeat."""
    global _entropy
    before, _entropy = _entropy, entropy
    try:
        yield
    finally:
        _entropy = before


def container_id() -> str:
    """64 hexadecimal digits, as Docker's; never all decimal in its first 12, so that a short id is no number."""
    while True:
        value = secrets.token_hex(32)
        if not value[:12].isdecimal():
            return value


def short(identifier: str) -> str:
    """The first 12 digits, without an algorithm prefix: what Docker prints."""
    return identifier.rpartition(":")[2][:12]


def uid() -> str:
    """A random UUID (RFC 9562 version 4), the `metadata.uid` of an object."""
    digits = _entropy(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def request_ids() -> Iterator[str]:
    """UUIDs that count on from a random one: no two are the same, and the next costs a tenth of a random one."""
    start = uid()
    first = int(start[24:], 16) >> 1  # leaves room to count
    return (f"{start[:24]}{number:012x}" for number in count(first))


def suffix(length: int = 5) -> str:
    """A random name suffix, as `metadata.generateName` appends it."""
    digits = b""
    while len(digits) < length:
        digits += _entropy(2 * length).translate(_OF_BYTE, _SURPLUS)
    return digits[:length].decode()


def jitter() -> float:
    """A random number in [0, 1), to spread what would otherwise happen at once."""
    return _random.random()
