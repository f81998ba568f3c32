"""What a kind is: facts and a few small functions. Everything else in the API server is generic over these."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from podling.api import metadata, names, objects
from podling.api.decode import Decoder
from podling.api.field import FieldError, at
from podling.api.managers import Structure

Object = dict[str, Any]
Cell = Callable[[Object, float], Any]
Convert = Callable[[Object], Object]

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """One printed column. `value` is a dotted path or `(object, now) -> cell`; priority 1 shows with `-o wide` only."""

    name: str
    value: str | Cell
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""


NAME = Column("Name", "metadata.name", format="name", description="Name must be unique within a namespace.")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A path below an object. `kind`/`api_version` name what goes over it, where that is not the parent itself."""

    name: str
    verbs: tuple[str, ...]
    kind: str = ""
    api_version: str = ""


STATUS = Subresource("status", ("get", "patch", "update"))
PROXIED = ("create", "delete", "get", "patch", "update")
"""The verbs of the methods that go through to what a proxy subresource is about."""


@dataclass(frozen=True, slots=True)
class Scale(Subresource):
    """The scale subresource: where the parent keeps the three facts of an autoscaling/v1 Scale."""

    name: str = "scale"
    verbs: tuple[str, ...] = ("get", "patch", "update")
    kind: str = "Scale"
    api_version: str = "autoscaling/v1"
    replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = "spec.selector"


def _nothing(_: Object) -> None:
    """No defaults."""


def _no_errors(_new: Object, _old: Object | None) -> Iterator[FieldError]:
    return iter(())


def _no_warnings(_new: Object, _old: Object | None) -> Iterable[str]:
    return ()


def _no_change(_new: Object, _old: Object | None) -> None:
    """Nothing to prepare."""


def _same(obj: Object) -> Object:
    return obj


def fresh_status(**status: Any) -> Callable[[Object, Object | None], None]:
    """A `prepare` that gives new objects `status`: the members that upstream always shows, though they are zero."""

    def prepare(new: Object, old: Object | None) -> None:
        if old is None:
            new["status"] = objects.thaw(status)

    return prepare


def paths(*dotted: str) -> dict[str, Callable[[Object], str]]:
    """Field selectors that read what they are called."""
    return {path: _reader(path) for path in dotted}


def _reader(path: str) -> Callable[[Object], str]:
    return lambda obj: str(objects.get(obj, path, ""))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Kind:
    """One resource of the API.

    `default` fills in what the client left out, in place. `validate(new, old)` yields what is wrong; `old` is None on create.
    `prepare(new, old)` is for what the client may not set itself. The order of a create is name, default, prepare_create, errors;
    of an update default, prepare_update, errors. `generation` names the members whose change
    raises metadata.generation. `fields` are the field selectors besides name and namespace. `create_only` kinds are
    questions: they are answered and not kept.
    """

    api_version: str
    kind: str
    plural: str
    singular: str = ""
    unavailable: str = ""  # why no request about it can be answered
    deprecation: str = ""  # what whoever uses it is warned of
    list_as: str = ""  # where the list isn't called as the kind and List
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = VERBS
    subresources: tuple[Subresource, ...] = ()
    create_on_update: bool = False  # a PUT makes it where there is none
    unconditional: bool = True  # a PUT need not name the version that it replaces
    orphans: bool = False  # who deletes it without a word on its dependents keeps them
    finalizer: str = ""  # of the server itself, for what it does before an object goes
    born_with_status: bool = False  # who creates it may say its status too
    generation: tuple[str, ...] = ()
    immutable: tuple[str, ...] = ()
    check_name: names.Check = names.subdomain
    default: Callable[[Object], None] = _nothing
    prepare: Callable[[Object, Object | None], None] = _no_change
    validate: Callable[[Object, Object | None], Iterable[FieldError]] = _no_errors
    validate_status: Callable[[Object, Object], Iterable[FieldError]] = _no_errors
    warn: Callable[[Object, Object | None], Iterable[str]] = _no_warnings
    columns: tuple[Column, ...] = ()
    fields: Mapping[str, Callable[[Object], str]] = field(default_factory=dict)
    # of kinds that stand in no table
    structure: Structure | None = None
    decode: Decoder | None = None
    published: Mapping[str, Object] = field(default_factory=dict)  # OpenAPI components by name, the kind's own and its list's
    # Two API groups may show one stored thing, each in its own words: (group, plural) of the kind that stores it.
    stored_as: tuple[str, str] | None = None
    to_stored: Callable[[Object], Object] = _same
    from_stored: Callable[[Object], Object] = _same
    # what follows from the others
    group: str = field(init=False)
    version: str = field(init=False)
    storage: tuple[str, str] = field(init=False)
    """(group, plural) under which objects are kept."""
    has_status: bool = field(init=False)

    def __post_init__(self) -> None:
        known = object.__setattr__  # each request asks for these several times
        known(self, "group", objects.group_of(self.api_version))
        known(self, "version", objects.version_of(self.api_version))
        known(self, "storage", self.stored_as or (self.group, self.plural))
        known(self, "has_status", STATUS in self.subresources)

    @property
    def resource(self) -> str:
        """`deployments.apps`, `pods`: as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        return self.list_as or f"{self.kind}List"

    @property
    def create_only(self) -> bool:
        return self.verbs == ("create",)

    def name_in_singular(self) -> str:
        return self.singular or self.kind.lower()

    def subresource(self, name: str) -> Subresource | None:
        return next((sub for sub in self.subresources if sub.name == name), None)

    def prepare_create(self, obj: Object) -> None:
        """Wipe what a client may not set, set the first generation. In place; uid, times and revision are the caller's."""
        meta = obj.setdefault("metadata", {})
        for name in ("selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            meta.pop(name, None)
        if self.has_status and not self.born_with_status:
            obj["status"] = {}
        if self.generation:
            meta["generation"] = 1
        self.prepare(obj, None)

    def prepare_update(self, new: Object, old: Object) -> None:
        """Keep `old`'s status and server-owned metadata; raise the generation where the wish changed. In place."""
        metadata.carry_over(new, old)
        if self.has_status:
            _keep(new, old, "status")
        self.prepare(new, old)
        if self.generation and any(objects.get(new, path) != objects.get(old, path) for path in self.generation):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def prepare_status(self, new: Object, old: Object) -> None:
        """For the status subresource: all but status, labels, annotations and finalizers stays as in `old`. In place."""
        metadata.carry_over(new, old)
        for name in [*new, *old]:
            if name not in ("status", "metadata"):
                _keep(new, old, name)

    def errors(self, new: Object, old: Object | None = None) -> list[FieldError]:
        """All that is wrong with `new`: its metadata, changed immutable fields, the kind's own rules."""
        found: list[FieldError] = []
        if self.create_only:
            pass  # a question needs no name
        elif old is None:
            found += metadata.validate(new, namespaced=self.namespaced, check_name=self.check_name)
        else:
            found += metadata.validate_update(new, old)
            found += self._changed(new, old)
        return [*found, *self.validate(new, old)]

    def status_errors(self, new: Object, old: Object) -> list[FieldError]:
        """All that is wrong with an update of the status."""
        return [*metadata.validate_update(new, old), *self.validate_status(new, old)]

    def _changed(self, new: Object, old: Object) -> Iterator[FieldError]:
        for path in self.immutable:
            if objects.get(new, path) != objects.get(old, path):
                yield at(new, *path.split(".")).invalid(metadata.IMMUTABLE)

    def field_values(self, obj: Object) -> dict[str, str]:
        """What field selectors see of `obj`."""
        values = {name: read(obj) for name, read in self.fields.items()}
        values["metadata.name"] = objects.name_of(obj)
        if self.namespaced:
            values["metadata.namespace"] = objects.namespace_of(obj)
        return values

    def selectable(self, name: str) -> bool:
        """Whether a field selector may name `name`."""
        return name in self.fields or name == "metadata.name" or (self.namespaced and name == "metadata.namespace")


def _keep(new: Object, old: Object, name: str) -> None:
    if name in old:
        new[name] = old[name]
    else:
        new.pop(name, None)


def deprecated(api_version: str, kind: str, since: str, until: str = "", use: str = "") -> str:
    """What whoever uses an old version is warned of; `since` and `until` are minor versions of Kubernetes."""
    gone = f", unavailable in v1.{until}+" if until else ""
    return f"{api_version} {kind} is deprecated in v1.{since}+{gone}{f'; use {use}' if use else ''}"


def also_as(kind: Kind, version: str, *, to_stored: Convert = _same, from_stored: Convert = _same, **changes: Any) -> Kind:
    """`kind` in another version, stored as `kind` itself; the conversions need not care for apiVersion."""
    api_version = f"{kind.group}/{version}"
    return replace(
        kind,
        api_version=api_version,
        stored_as=kind.storage,
        to_stored=lambda obj: {**to_stored(obj), "apiVersion": kind.api_version},
        from_stored=lambda obj: {**from_stored(obj), "apiVersion": api_version},
        **changes,
    )
