"""Identifiers. Randomness enters the product here and nowhere else."""

import os
import secrets

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
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def suffix(length: int = 5) -> str:
    """A random name suffix, as `metadata.generateName` appends it."""
    number = int.from_bytes(
        os.urandom(length + 8)
    )  # so many bits that no suffix is likelier than another by anything that counts
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_SAFE))
        digits.append(_SAFE[digit])
    return "".join(digits)


def jitter() -> float:
    """A random number in [0, 1), to spread what would otherwise happen at once."""
    return _random.random()
