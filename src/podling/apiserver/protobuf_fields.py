"""The API's types in protobuf: the numbers of fields, from `field_numbers.json` (see `protobuf_table`), and odd forms."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import orjson

from podling.api.schema import Shape
from podling.apiserver.wire import WireError

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
STRING = Shape("scalar", scalar="string")

_EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
SCHEMA = Shape("type", type_name=f"{_EXTENSIONS}JSONSchemaProps")


@dataclass(frozen=True, slots=True)
class Union:
    """A type that is one thing or another: a schema in field `schema`, and in `other` what `shape` says."""

    schema: int
    other: int
    shape: Shape


# JSON values of no fixed shape, by the type that stands there; others are JSON text in field 1
UNIONS = {
    f"{_EXTENSIONS}JSONSchemaPropsOrArray": Union(1, 2, Shape("list", item=SCHEMA)),
    f"{_EXTENSIONS}JSONSchemaPropsOrBool": Union(2, 1, Shape("scalar", scalar="boolean")),
    f"{_EXTENSIONS}JSONSchemaPropsOrStringArray": Union(1, 2, Shape("list", item=STRING)),
}
EMPTY = f"{_EXTENSIONS}CustomResourceSubresourceStatus"  # a message without fields


@dataclass(frozen=True, slots=True)
class Field:
    """`inline` names the message whose fields stand in this one's place; `keep` says that zero is a value."""

    name: str
    inline: str = ""
    keep: bool = False


@cache
def _table() -> dict[str, str]:
    table: dict[str, str] = orjson.loads((files("podling.apiserver") / "field_numbers.json").read_bytes())
    return table


@cache
def numbers(type_name: str) -> Mapping[int, Field]:
    """The fields of a type by number. Raises WireError for types that have no protobuf form."""
    entry = _table().get(type_name)
    if entry is None:
        raise WireError(f"{type_name} has no protobuf form")
    numbered = (part.split(" ") for part in entry.split(","))
    return {int(number): _field(name) for number, name in numbered}


def _field(name: str) -> Field:
    if name.startswith(">"):
        return Field("", name[1:])
    return Field(name.rstrip("!"), keep=name.endswith("!"))
