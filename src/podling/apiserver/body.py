"""Request bodies as objects: JSON, YAML or protobuf, bounded, checked against the schema as strictly as the client asks.

Source: Kubernetes API concepts, "Field validation".
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from podling.aio.http import BodyTooLarge
from podling.api.decode import Decoder, decoded_as, may_repeat, strictly
from podling.api.field import quote
from podling.api.status import ApiError, bad_request, too_large, unsupported_media_type
from podling.apiserver import protobuf
from podling.apiserver.call import Call

Object = dict[str, Any]

LIMIT = 3 << 20  # bytes
DEPTH = 200  # nested values; orjson writes no more than 254
_JSON_TYPES = ("", "application/json")


async def read(call: Call) -> bytes:
    """The whole body. Raises 413."""
    try:
        return await call.request.body(LIMIT)
    except BodyTooLarge:
        raise too_large(f"limit is {LIMIT}") from None


def content_type(call: Call) -> str:
    return call.request.headers.get("content-type").partition(";")[0].strip().lower()


async def read_object(call: Call, api_version: str, kind: str) -> Object:
    """The object in the body, which is of `kind` or doesn't say. Raises 400, 413, 415."""
    data, media = await read(call), content_type(call)
    obj = parse(data, kind, media)
    repeats = media in _JSON_TYPES and may_repeat(data, obj)
    name_kind(obj, api_version, kind)
    return checked(call, obj, api_version, kind, data if repeats else b"")


def checked(call: Call, obj: Object, api_version: str, kind: str, data: bytes = b"") -> Object:
    """`obj` with its known fields alone; others are refused or warned of. So are repeated ones in the JSON of `data`.

    Managed fields stay as they are: they are large, and whoever reads them looks at their form.
    """
    metadata = obj.get("metadata")
    managed = metadata.pop("managedFields", None) if isinstance(metadata, dict) else None
    clean, warnings = strictly(data, obj, api_version, kind, validation_of(call), _decoder(call, api_version, kind))
    call.warnings += warnings
    if managed is not None:
        clean["metadata"]["managedFields"] = managed
    return clean


def unknown_fields(call: Call, obj: Object, api_version: str, kind: str) -> tuple[Object, list[str]]:
    """`obj` with its known fields alone, and the paths of the others. Raises 400."""
    decoded = decoded_as(obj, api_version, kind, _decoder(call, api_version, kind))
    return decoded.obj, decoded.unknown


def _decoder(call: Call, api_version: str, kind: str) -> Decoder | None:
    found = call.backend.registry.kind(api_version, kind)
    return found.decode if found is not None else None


def parse(data: bytes, kind: str, media: str = "") -> Object:
    """The object that `data` is in the media type. Raises 400 in upstream's words, 415."""
    decode = _DECODERS.get(media)
    if decode is None:
        raise unsupported_media_type(name for name in _DECODERS if name)
    try:
        obj = decode(data)
    except ValueError as error:
        raise unrecognized(kind, str(error), data) from None
    if not isinstance(obj, dict):
        raise unrecognized(kind, f"json: cannot unmarshal {go_type(obj)} into Go value of type struct", data)
    if data.count(b"{") + data.count(b"[") > DEPTH or media not in _JSON_TYPES:
        check_depth(obj)
    return obj


def unrecognized(kind: str, cause: str, data: bytes) -> ApiError:
    shown = data[:30].hex() + (" ..." if len(data) > 30 else "")
    return bad_request(
        f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
        f"json parse error: {cause} ({shown or '<empty>'})"
    )


def go_type(value: Any) -> str:
    """A JSON value's type in the words of Go's decoder."""
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def from_yaml(data: bytes) -> Any:
    """One YAML document as JSON values: strings stay strings, also where they look like dates. Raises ValueError."""
    import yaml  # 35 ms; most clients send JSON

    from podling.apiserver.yamls import Loader

    try:
        return yaml.load(data, Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "": orjson.loads,
    "application/json": orjson.loads,
    "application/yaml": from_yaml,
    protobuf.MEDIA_TYPE: protobuf.decode,
}


def check_depth(value: Any) -> None:
    """Refuse what is nested so deep that walking it would exhaust the stack."""
    level: list[Any] = [value]
    for _ in range(DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise bad_request("json: exceeded max depth")


def _children(node: Any) -> Iterator[Any]:
    values = node.values() if type(node) is dict else node
    return (value for value in values if type(value) is dict or type(value) is list)


def name_kind(obj: Object, api_version: str, kind: str) -> None:
    """Fill in apiVersion and kind, or refuse others. In place."""
    given_version = obj.setdefault("apiVersion", api_version) or api_version
    given_kind = obj.setdefault("kind", kind) or kind
    if given_version != api_version:
        raise bad_request(
            f"the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )
    if given_kind != kind:
        raise bad_request(f"the kind in the data ({given_kind}) does not match the expected kind ({kind})")
    obj["apiVersion"], obj["kind"] = api_version, kind
    metadata = obj.get("metadata")
    if metadata is None:
        obj["metadata"] = {}


def validation_of(call: Call) -> str:
    """The fieldValidation parameter: Strict, Warn (the default) or Ignore. Raises 422."""
    value = call.request.query.get("fieldValidation", "Warn") or "Warn"
    if value not in ("Ignore", "Strict", "Warn"):
        raise bad_request(f'fieldValidation: Unsupported value: {quote(value)}: supported values: "Ignore", "Strict", "Warn"')
    return value
