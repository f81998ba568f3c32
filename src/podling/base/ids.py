"""Identifiers. Randomness enters the product here and nowhere else."""

import secrets
import uuid

_random = secrets.SystemRandom()
# rand.SafeEncodeString of k8s.io/apimachinery: no vowels, no look-alikes.
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


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
    return str(uuid.uuid4())


def suffix(length: int = 5) -> str:
    """A random name suffix, as `metadata.generateName` appends it."""
    number = secrets.randbelow(len(_SAFE) ** length)
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_SAFE))
        digits.append(_SAFE[digit])
    return "".join(digits)


def jitter() -> float:
    """A random number in [0, 1), to spread what would otherwise happen at once."""
    return _random.random()
