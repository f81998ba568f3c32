"""Decide a group of queued writes against the state they meet: one revision each, or a refusal. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from podling.store.base import ABSENT, KeyExists, RevisionMismatch, StoreError


@dataclass(frozen=True, slots=True)
class Write:
    """A write that waits for its revision. `value` None deletes; `expected` None takes any state."""

    key: str
    value: bytes | None
    expected: int | None = None
    create: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A decided write: `replaces` is the revision that it supersedes (ABSENT for a new key)."""

    revision: int
    key: str
    value: bytes | None
    replaces: int


def decide(writes: Iterable[Write], latest: Mapping[str, int], revision: int) -> list[Row | StoreError]:
    """One outcome per write, in order. `latest` maps the live keys to their revisions, `revision` is the last one given.

    A write sees those before it in the group.
    """
    seen: dict[str, int] = {}
    outcomes: list[Row | StoreError] = []
    for write in writes:
        current = seen.get(write.key)
        if current is None:
            current = latest.get(write.key, ABSENT)
        refusal = _refusal(write, current)
        if refusal is not None:
            outcomes.append(refusal)
            continue
        revision += 1
        seen[write.key] = ABSENT if write.value is None else revision
        outcomes.append(Row(revision, write.key, write.value, current))
    return outcomes


def _refusal(write: Write, current: int) -> StoreError | None:
    if write.create:
        return KeyExists(write.key, current) if current != ABSENT else None
    if write.value is None and current == ABSENT:
        return RevisionMismatch(write.key, write.expected, ABSENT)
    if write.expected is not None and write.expected != current:
        return RevisionMismatch(write.key, write.expected, current)
    return None


def after_prefix(prefix: str) -> str:
    """The smallest string that sorts behind every key that starts with `prefix`, "" where there is none."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else ""
