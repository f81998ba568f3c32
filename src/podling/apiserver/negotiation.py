"""Which representation the client takes, and making it from an object's encoded bytes.

Source: Kubernetes API concepts, "Alternate representations of resources", "Receiving resources as Tables".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from podling.aio.clock import Clock
from podling.api import table
from podling.api.kind import Kind
from podling.api.status import ApiError
from podling.apiserver.cache import Item
from podling.apiserver.encoding import decode
from podling.apiserver.protobuf_fields import MEDIA_TYPE as PROTOBUF

Object = dict[str, Any]

JSON, YAML = "application/json", "application/yaml"
_TYPES = (JSON, YAML, PROTOBUF)
_WILDCARDS = ("*/*", "application/*")
_META = "meta.k8s.io"


@dataclass(frozen=True, slots=True)
class MediaType:
    """One entry of Accept that we can serve. `shape` is "", Table, PartialObjectMetadata or PartialObjectMetadataList."""

    name: str = JSON
    shape: str = ""
    version: str = "v1"


def negotiate(accept: str) -> MediaType:
    """The first entry that we serve, in the client's order of preference; protobuf where there is no other.

    JSON is what is kept, and costs nothing to send; clients that like protobuf best take it as well. Raises 406.
    """
    found = _negotiate(accept)
    if found is None:
        raise ApiError(
            406,
            "NotAcceptable",
            f"only the following media types are accepted: {', '.join(_TYPES)}",
        )
    return found


@lru_cache(maxsize=256)
def _negotiate(accept: str) -> MediaType | None:
    if not accept:
        return MediaType()
    ranked = sorted(accept.split(","), key=lambda entry: -_quality(entry))
    served = [media for entry in ranked if (media := _served(entry)) is not None]
    return min(served, key=lambda media: media.name == PROTOBUF, default=None)


def _quality(entry: str) -> float:
    for parameter in entry.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _served(entry: str) -> MediaType | None:
    name, *rest = (part.strip() for part in entry.split(";"))
    parameters = dict(part.partition("=")[::2] for part in rest)
    if name in _WILDCARDS:
        name = JSON
    shape = parameters.get("as", "")
    if name not in _TYPES or (name == PROTOBUF and shape == "Table"):
        return None
    if shape and (shape not in _SHAPES or parameters.get("g") != _META or parameters.get("v") not in ("v1", "v1beta1")):
        return None
    return MediaType(name, shape, parameters.get("v", "v1"))


_SHAPES = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True, slots=True)
class Plain:
    """The objects themselves, as `kind` shows them."""

    kind: Kind

    def one(self, data: bytes) -> bytes:
        kind = self.kind
        return data if kind.stored_as is None else orjson.dumps(kind.from_stored(decode(data)))

    def many(self, items: Sequence[Item], metadata: Object) -> bytes:
        kind = self.kind
        return join_list(kind.list_kind, kind.api_version, metadata, [self.one(item.data) for item in items])


@dataclass(frozen=True, slots=True)
class Partial:
    """metadata alone."""

    kind: Kind
    version: str = "v1"

    def one(self, data: bytes) -> bytes:
        return partial(Item("", data, 0), self.version)

    def many(self, items: Sequence[Item], metadata: Object) -> bytes:
        parts = [partial(item, self.version) for item in items]
        return join_list("PartialObjectMetadataList", f"{_META}/{self.version}", metadata, parts)


def partial(item: Item, version: str) -> bytes:
    return b'{"kind":"PartialObjectMetadata","apiVersion":"%b/%b","metadata":%b}' % (
        _META.encode(),
        version.encode(),
        item.metadata,
    )


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of printed columns. `include` says what of the object goes along: None, Metadata or Object."""

    kind: Kind
    clock: Clock
    version: str = "v1"
    include: str = "Metadata"

    def one(self, data: bytes) -> bytes:
        metadata = {"resourceVersion": decode(data)["metadata"].get("resourceVersion", "")}
        return self.many([Item("", data, 0)], metadata)

    def many(self, items: Sequence[Item], metadata: Object) -> bytes:
        now = self.clock.now()
        empty = table.table(self.kind, (), now, metadata=metadata)
        head = orjson.dumps({**empty, "apiVersion": f"{_META}/{self.version}"})
        rows = b",".join([self._row(item, now) for item in items])
        return b"%b%b]}" % (head[: -len(b"]}")], rows)

    def _row(self, item: Item, now: float) -> bytes:
        cells = table.cells_at(item.cells(self.kind), now)
        if self.include == "None":
            return b'{"cells":%b}' % cells
        shown = Plain(self.kind).one(item.data) if self.include == "Object" else partial(item, "v1")
        return b'{"cells":%b,"object":%b}' % (cells, shown)


Representation = Plain | Partial | Table


def representation(kind: Kind, media: MediaType, clock: Clock, include: str = "") -> Representation:
    """The form of answers about `kind`. `include` is the includeObject parameter of a Table."""
    if media.shape == "Table":
        return Table(kind, clock, media.version, include or "Metadata")
    if media.shape:
        return Partial(kind, media.version)
    return Plain(kind)


def join_list(kind: str, api_version: str, metadata: Object, items: Iterable[bytes]) -> bytes:
    """A list object around items that are encoded already."""
    head = orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata})
    return b'%b,"items":[%b]}' % (head[:-1], b",".join(items))
