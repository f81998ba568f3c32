"""resource.k8s.io in its versions. v1 and v1beta2 look the same; v1beta1 has exact requests and the facts of devices elsewhere.

Source: Kubernetes API reference; pkg/apis/resource/v1beta1 conversion.
"""

from collections.abc import Callable, Iterator

from podling.api import objects
from podling.api.field import FieldError
from podling.api.kind import Convert, Kind, Object, also_as, deprecated

API_VERSION = "resource.k8s.io/v1"
_OF_REQUEST = ("name", "firstAvailable")


def beta1_request(request: Object) -> Object:
    """A v1beta1 request of one in v1: what is asked exactly stands in the request itself."""
    return {name: value for name, value in request.items() if name != "exactly"} | (request.get("exactly") or {})


def v1_request(request: Object) -> Object:
    exactly = {name: value for name, value in request.items() if name not in _OF_REQUEST}
    kept = {name: value for name, value in request.items() if name in _OF_REQUEST}
    return {**kept, "exactly": exactly} if exactly or not request.get("firstAvailable") else kept


def beta1_device(device: Object) -> Object:
    """A v1beta1 device of one in v1: its facts stand in `basic`."""
    return {"name": device.get("name", ""), "basic": {name: value for name, value in device.items() if name != "name"}}


def v1_device(device: Object) -> Object:
    return {"name": device.get("name", "")} | (device.get("basic") or {})


def each_at(path: str, change: Callable[[Object], Object]) -> Convert:
    """Change each item of the list at `path`."""

    def convert(obj: Object) -> Object:
        items = objects.get(obj, path)
        return obj if items is None else objects.put(obj, path, [change(item) for item in items])

    return convert


def versions(kind: Kind, to_v1: Convert | None = None, to_beta1: Convert | None = None) -> tuple[Kind, Kind, Kind]:
    """v1, v1beta2 and v1beta1 of a kind; the conversions are between the first and the last."""
    beta2 = also_as(kind, "v1beta2", deprecation=deprecated("resource.k8s.io/v1beta2", kind.kind, "36", "39"))
    old = deprecated("resource.k8s.io/v1beta1", kind.kind, "35", "38")
    if to_v1 is None or to_beta1 is None:
        return kind, beta2, also_as(kind, "v1beta1", deprecation=old)
    older, newer = to_beta1, to_v1

    def default(obj: Object) -> None:
        thawed = objects.thaw(newer(obj))
        kind.default(thawed)
        obj.update(older(thawed))

    def validate(new: Object, before: Object | None) -> Iterator[FieldError]:
        yield from kind.validate(newer(new), newer(before) if before is not None else None)

    changes = {"default": default, "validate": validate, "deprecation": old}
    beta1 = also_as(kind, "v1beta1", to_stored=newer, from_stored=older, **changes)
    return kind, beta2, beta1
