"""Content digests, `algorithm:hex`. Source: OCI image-spec, descriptor.md, "Digests"."""

import hashlib
import re
from typing import Protocol

from podling.base.errors import InvalidInput

_HEX_DIGITS = {"sha256": 64, "sha512": 128}
_SHAPE = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_LOWER_HEX = re.compile(r"[0-9a-f]+")


class Hash(Protocol):
    """The part of a hashlib object that verifiers use."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


def parse(text: str) -> tuple[str, str]:
    """`text` as (algorithm, lower-case hex). Raises InvalidInput for any other shape, algorithm or length."""
    algorithm, separator, encoded = text.partition(":")
    if not separator or not _SHAPE.fullmatch(text):
        raise InvalidInput("invalid checksum digest format")
    if algorithm not in _HEX_DIGITS:
        raise InvalidInput("unsupported digest algorithm")
    if len(encoded) != _HEX_DIGITS[algorithm]:
        raise InvalidInput("invalid checksum digest length")
    if not _LOWER_HEX.fullmatch(encoded):
        raise InvalidInput("invalid checksum digest format")
    return algorithm, encoded


def is_valid(text: str) -> bool:
    """Whether `text` is a digest that can be verified here."""
    try:
        parse(text)
    except InvalidInput:
        return False
    return True


def of(data: bytes) -> str:
    """The SHA-256 digest of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def hasher(digest: str) -> Hash:
    """A fresh hash of the algorithm that `digest` names."""
    return hashlib.new(parse(digest)[0])
