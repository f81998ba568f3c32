"""Who manages which fields of an object: `metadata.managedFields`, and how each write changes it. Pure.

Source: Kubernetes documentation "Server-Side Apply"; meta/v1 ManagedFieldsEntry; k8s.io/apimachinery util/managedfields.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson

from podling.api.field import quote
from podling.api.fieldset import SELF, FieldSet, Path, describe, difference, intersection, is_valid, paths, union
from podling.api.schema import Shape
from podling.api.status import ApiError
from podling.api.typed import Difference, Typed, all_of

Object = dict[str, Any]

APPLY, UPDATE = "Apply", "Update"
MAX_UPDATERS = 10
ANCIENT, BEFORE_APPLY = "ancient-changes", "before-first-apply"
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NAME_LIMIT = 128

# what identifies an object or belongs to the server is nobody's field
_UNMANAGED = ("apiVersion", "kind")
_UNMANAGED_METADATA = frozenset(
    ("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion")
)
# Structures that an object of a built-in kind has by nature, be they empty: they don't become anybody's by being filled.
_INNATE = frozenset(("f:metadata", "f:spec", "f:status", "f:template", "f:strategy", "f:updateStrategy"))
_INNATE_IN_CUSTOM = frozenset(("f:metadata",))
_IDENTITY: FieldSet = {"f:metadata": {}}


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes, how, and through which door. Two entries of the same manager are one."""

    name: str
    operation: str = UPDATE
    api_version: str = ""
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """An applier stays the same when it moves on to another version."""
        return self.name, self.operation, "" if self.operation == APPLY else self.api_version, self.subresource

    def describe(self, time: str) -> str:
        """As conflicts name it."""
        text = quote(self.name)
        if self.subresource:
            text += f" with subresource {quote(self.subresource)}"
        if self.operation == UPDATE:
            text += f" using {self.api_version}" + (f" at {time}" if time else "")
        return text


@dataclass(frozen=True, slots=True)
class Entry:
    """One manager's fields, and when it last changed them."""

    manager: Manager
    time: str
    fields: FieldSet


@dataclass(frozen=True, slots=True)
class Structure:
    """What an object's fields are told by: its kind's table and the shape of the whole.

    `innate`: an object has its structures (spec, template ...) by nature, as those of built-in kinds do.
    """

    typed: Typed
    shape: Shape
    innate: bool = True


Entries = list[Entry]


class Conflicts(Exception):
    """Fields that an applier wishes otherwise than their managers: (entry, paths)."""

    def __init__(self, found: list[tuple[Entry, FieldSet]]) -> None:
        super().__init__(found)
        self.found = found

    @property
    def fields(self) -> FieldSet:
        return all_of(fields for _, fields in self.found)

    def error(self) -> ApiError:
        """409, in upstream's words."""
        each = [(entry.manager.describe(entry.time), path) for entry, fields in self.found for path in paths(fields)]
        causes = [
            {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": describe(path)} for who, path in each
        ]
        return ApiError(409, "Conflict", _in_words(each), {"causes": causes})


def _in_words(each: list[tuple[str, Path]]) -> str:
    if len(each) == 1:
        who, path = each[0]
        return f"Apply failed with 1 conflict: conflict with {who}: {describe(path)}"
    lines = []
    for manager in sorted({who for who, _ in each}):
        lines.append(f"conflicts with {manager}:")
        lines += [f"- {describe(path)}" for who, path in each if who == manager]
    return f"Apply failed with {len(each)} conflicts: " + "\n".join(lines)


# entries


def read(encoded: Iterable[Object] | None) -> Entries:
    """The entries as they stand in an object's metadata."""
    return [_decoded(raw) for raw in encoded or ()]


def _decoded(raw: Object) -> Entry:
    manager = Manager(raw.get("manager", ""), raw["operation"], raw.get("apiVersion", ""), raw.get("subresource", ""))
    return Entry(manager, raw.get("time") or "", raw.get("fieldsV1") or {})


def given(encoded: Any, live: Entries) -> Entries:
    """The entries that a client's object has: `live` for one that doesn't know of them or garbles them; none to forget all."""
    if encoded == [{}]:
        return []
    if not isinstance(encoded, list) or not encoded or not all(map(_is_entry, encoded)):
        return live
    return read(encoded)


def _is_entry(raw: Any) -> bool:
    if not isinstance(raw, dict) or raw.get("operation") not in (APPLY, UPDATE):
        return False
    texts = (raw.get(name) or "" for name in ("manager", "apiVersion", "time", "subresource"))
    return all(isinstance(text, str) for text in texts) and is_valid(raw.get("fieldsV1") or {})


def write(entries: Iterable[Entry]) -> list[Object]:
    """The entries as they stand in metadata, in upstream's order."""
    ordered = sorted(entries, key=lambda entry: (entry.manager.operation, entry.time, entry.manager.name, entry.manager.identity))
    return [_encoded(entry) for entry in ordered]


def _encoded(entry: Entry) -> Object:
    manager = entry.manager
    raw: Object = {"manager": manager.name, "operation": manager.operation, "apiVersion": manager.api_version}
    if entry.time:
        raw["time"] = entry.time
    raw |= {"fieldsType": "FieldsV1", "fieldsV1": entry.fields}
    if manager.subresource:
        raw["subresource"] = manager.subresource
    return raw


def put_into(obj: Object, entries: Iterable[Entry]) -> None:
    """Write `entries` into `obj`'s metadata, in place."""
    if encoded := write(entries):
        obj["metadata"]["managedFields"] = encoded
    else:
        obj["metadata"].pop("managedFields", None)


# what is managed


def managed_part(obj: Object) -> Object:
    """`obj` without what nobody manages."""
    part = {name: value for name, value in obj.items() if name not in _UNMANAGED}
    part["metadata"] = {name: value for name, value in (obj.get("metadata") or {}).items() if name not in _UNMANAGED_METADATA}
    return part


def after_create(obj: Object, structure: Structure, manager: Manager, time: str) -> Entries:
    """The entries of a new object: all is its creator's."""
    fields = structure.typed.all_in(managed_part(obj), structure.shape)
    fields = _without_innate(fields, _INNATE if structure.innate else _INNATE_IN_CUSTOM)
    return [Entry(manager, time, fields)] if fields else []


def _without_innate(fields: FieldSet, innate: frozenset[str]) -> FieldSet:
    """`fields` less the structures themselves that were there by nature."""
    result = dict(fields)
    for key in innate & fields.keys():
        node = {name: child for name, child in fields[key].items() if name != SELF}
        if node:
            result[key] = _without_innate(node, innate)
        else:
            del result[key]
    return result


def after_update(old: Object, new: Object, entries: Entries, structure: Structure, manager: Manager, time: str) -> Entries:
    """The entries once `manager` has made `new` of `old`: what it changed is its own alone, what is gone is nobody's.

    An object without entries stays without: it isn't tracked.
    """
    if not entries:
        return entries
    found = structure.typed.compare(managed_part(old), managed_part(new), structure.shape)
    if not found.changed and not found.removed:
        return entries
    own = next((entry for entry in entries if entry.manager.identity == manager.identity), None)
    others = _taken([entry for entry in entries if entry is not own], found)
    fields = union(difference(own.fields, found.removed) if own else {}, found.changed)
    return _capped([*others, Entry(manager, time, fields)] if fields else others)


def _taken(entries: Iterable[Entry], found: Difference) -> Entries:
    """The others' entries, less what was changed or removed."""
    gone = union(found.changed, found.removed)
    left = ((entry, difference(entry.fields, gone)) for entry in entries)
    return [entry if fields is entry.fields else replace(entry, fields=fields) for entry, fields in left if fields]


def _capped(entries: Entries) -> Entries:
    """No more than ten updaters: the oldest become one for each version."""
    updaters = sorted((entry for entry in entries if entry.manager.operation == UPDATE), key=lambda entry: entry.time)
    surplus = len(updaters) - MAX_UPDATERS
    if surplus <= 0:
        return entries
    buckets: dict[str, Entry] = {}
    for entry in updaters[: surplus + 1]:
        version = entry.manager.api_version
        known = buckets.get(version)
        fields = union(known.fields, entry.fields) if known else entry.fields
        buckets[version] = Entry(Manager(ANCIENT, UPDATE, version), entry.time, fields)
    merged = updaters[: surplus + 1]
    return [entry for entry in entries if entry not in merged] + list(buckets.values())


# apply


@dataclass(frozen=True, slots=True)
class Intent:
    """What an applier wishes: only the fields that it has an opinion about. `force` takes them from other managers."""

    config: Object
    manager: Manager
    time: str
    force: bool = False


def apply(live: Object, entries: Entries, intent: Intent, structure: Structure) -> tuple[Object, Entries]:
    """The object once the intent is met, and its entries.

    What the applier wished before and doesn't any more goes, unless others manage it too. Raises Conflicts, typed.NotMergeable.
    """
    if not entries and live:
        entries = _before_apply(live, intent, structure)
    try:
        return _apply(live, entries, intent, structure, intent.force)
    except Conflicts as conflicts:
        allowed = _from_client_side_apply(live, intent, structure)
        left = [(entry, rest) for entry, fields in conflicts.found if (rest := difference(fields, allowed))]
        if left:
            raise Conflicts(left) from None
    return _apply(live, entries, intent, structure, force=True)


def _apply(live: Object, entries: Entries, intent: Intent, structure: Structure, force: bool) -> tuple[Object, Entries]:
    typed, shape = structure.typed, structure.shape
    wish = managed_part(intent.config)
    fields = typed.fields({name: part for name, part in wish.items() if name != "metadata" or part}, shape)
    last = next((entry for entry in entries if entry.manager.identity == intent.manager.identity), None)
    others = [entry for entry in entries if entry is not last]
    kept = live
    if last is not None:
        owned = all_of([fields, _IDENTITY, *(entry.fields for entry in others)])
        kept = typed.prune(live, last.fields, owned, shape)
    new = typed.merge(kept, _with_identity(wish, intent.config), shape)
    found = typed.compare(managed_part(live), managed_part(new), shape)
    conflicts = [(entry, common) for entry in others if (common := intersection(entry.fields, found.changed))]
    if conflicts and not force:
        raise Conflicts(conflicts)
    if last is not None and last.fields == fields and not found.changed and not found.removed:
        own = replace(last, manager=intent.manager)
        return new, [own if entry is last else entry for entry in entries]
    return new, [*_taken(others, found), *([Entry(intent.manager, intent.time, fields)] if fields else [])]


def _with_identity(wish: Object, config: Object) -> Object:
    """A wish with the names that tell which object it is about."""
    identity = {name: value for name, value in config["metadata"].items() if name in ("name", "namespace")}
    kept = {name: config[name] for name in _UNMANAGED if name in config}
    return {**kept, **wish, "metadata": {**wish["metadata"], **identity}}


def _before_apply(live: Object, intent: Intent, structure: Structure) -> Entries:
    """An object that nobody tracked: what it has was somebody's."""
    manager = Manager(BEFORE_APPLY, UPDATE, intent.manager.api_version)
    return after_create(live, structure, manager, intent.time)


def _from_client_side_apply(live: Object, intent: Intent, structure: Structure) -> FieldSet:
    """What client-side apply has applied and that still is so: `kubectl apply --server-side` may take it."""
    last = last_applied(live) if intent.manager.name == KUBECTL else None
    if last is None:
        return {}
    wished = managed_part(last)
    differing = structure.typed.compare(wished, managed_part(live), structure.shape)
    known = structure.typed.compare({}, wished, structure.shape).changed
    return difference(known, union(differing.changed, differing.removed))


def last_applied(obj: Object) -> Object | None:
    """The object in the annotation of client-side apply."""
    text = (obj.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        found = orjson.loads(text) if text else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("metadata"), dict) else None


def with_last_applied(new: Object, intent: Intent) -> Object:
    """`new`, with the annotation of client-side apply kept true, so that one can go back to it."""
    annotations = new["metadata"].get("annotations") or {}
    if intent.manager.name != KUBECTL or LAST_APPLIED not in annotations:
        return new
    config = {**intent.config, "metadata": {**intent.config["metadata"]}}
    kept = config["metadata"].get("annotations")
    if kept is not None:
        config["metadata"]["annotations"] = {name: value for name, value in kept.items() if name != LAST_APPLIED}
    text = orjson.dumps(config, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    return {**new, "metadata": {**new["metadata"], "annotations": {**annotations, LAST_APPLIED: text}}}


@lru_cache(maxsize=256)
def name_of_agent(user_agent: str) -> str:
    """The manager that a User-Agent names: what stands before the slash."""
    return "".join(char for char in user_agent.partition("/")[0] if char.isprintable())[:NAME_LIMIT]
