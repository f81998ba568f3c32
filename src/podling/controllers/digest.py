"""Short names for what an object says: the suffixes of ReplicaSets and ControllerRevisions."""

import hashlib
from typing import Any

import orjson

_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # as generated names: no vowels, no look-alikes


def digest(value: Any, collisions: int) -> str:
    """Ten letters or so for a JSON value; `collisions` gives other ones where they are taken."""
    canonical = orjson.dumps([value, collisions], option=orjson.OPT_SORT_KEYS)
    number = int.from_bytes(hashlib.sha256(canonical).digest()[:4], "big")
    return "".join(_SAFE[ord(digit) % len(_SAFE)] for digit in str(number))
