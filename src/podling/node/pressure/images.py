"""Which images go when the disk is full, or when nobody has used them for long. Pure.

Source: Kubernetes, "Garbage collection of unused containers and images".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from podling.node.runtime import HeldImage


@dataclass(frozen=True, slots=True)
class Seen:
    """When an image was first seen here, and last used by a container; seconds that only grow, `used` 0 for never."""

    found: float
    used: float = 0.0


def note(images: Iterable[HeldImage], in_use: set[str], known: Mapping[str, Seen], now: float) -> dict[str, Seen]:
    """What is known of the images that are here now."""
    result: dict[str, Seen] = {}
    for image in images:
        seen = known.get(image.id, Seen(now))
        result[image.id] = Seen(seen.found, now) if image.id in in_use else seen
    return result


def to_free(used: int, capacity: int, high: int, low: int) -> int:
    """How many bytes have to go, when more than `high` percent are used, until `low` percent are."""
    if high >= 100 or not capacity or used * 100 < capacity * high:
        return 0
    return max(used - capacity * low // 100, 0)


def unused(images: Iterable[HeldImage], in_use: set[str], known: Mapping[str, Seen], now: float, age: float) -> list[HeldImage]:
    """Those that may go, the longest unused first: none that was found within `age` seconds."""
    free = [image for image in images if image.id not in in_use and now - known[image.id].found >= age]
    return sorted(free, key=lambda image: (known[image.id].used, known[image.id].found))


def enough(images: Iterable[HeldImage], wanted: int) -> list[HeldImage]:
    """As many of them, in order, as free `wanted` bytes."""
    chosen: list[HeldImage] = []
    for image in images:
        if sum(each.size for each in chosen) >= wanted:
            break
        chosen.append(image)
    return chosen


def outlived(images: Iterable[HeldImage], known: Mapping[str, Seen], now: float, most: float) -> list[HeldImage]:
    """Those of `unused` that nobody has used for `most` seconds; none where that is 0."""
    return [image for image in images if most and now - max(known[image.id].used, known[image.id].found) > most]
