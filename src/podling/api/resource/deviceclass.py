"""resource.k8s.io DeviceClass. Source: Kubernetes API reference, "DeviceClass"; pkg/apis/resource/validation."""

from collections.abc import Iterator

from podling.api import names
from podling.api.columns import AGE, NAME
from podling.api.field import FieldError, at
from podling.api.kind import Kind, Object
from podling.api.resource import devices
from podling.api.resource.versions import API_VERSION, versions


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from devices.few(spec / "selectors", devices.MOST_SELECTORS, devices.selector)
    yield from devices.few(spec / "config", devices.MOST_CONFIGS, devices.configuration)
    extended = spec / "extendedResourceName"
    if extended.value is not None and not _is_extended(extended.value):
        yield extended.invalid("must be a valid extended resource name")


def _is_extended(name: str) -> bool:
    native = "/" not in name or "kubernetes.io/" in name
    return not native and not name.startswith("requests.") and not names.qualified(f"requests.{name}")


DEVICE_CLASS, DEVICE_CLASS_BETA2, DEVICE_CLASS_BETA1 = versions(
    Kind(
        api_version=API_VERSION,
        kind="DeviceClass",
        plural="deviceclasses",
        namespaced=False,
        generation=("spec",),
        validate=validate,
        columns=(NAME, AGE),
    )
)
