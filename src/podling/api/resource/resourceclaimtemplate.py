"""resource.k8s.io ResourceClaimTemplate. Source: Kubernetes API reference, "ResourceClaimTemplate"."""

from collections.abc import Iterator

from podling.api import metadata
from podling.api.columns import AGE, NAME
from podling.api.field import FieldError, at
from podling.api.kind import Kind, Object
from podling.api.resource import devices
from podling.api.resource.versions import API_VERSION, beta1_request, each_at, v1_request, versions


def default(obj: Object) -> None:
    devices.default_claim(obj.setdefault("spec", {}).setdefault("spec", {}))


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    if old is None:
        yield from metadata.validate_labels(spec / "metadata" / "labels")
        yield from metadata.validate_annotations(spec / "metadata" / "annotations")
        yield from devices.validate_claim(spec / "spec" / "devices")


RESOURCE_CLAIM_TEMPLATE, RESOURCE_CLAIM_TEMPLATE_BETA2, RESOURCE_CLAIM_TEMPLATE_BETA1 = versions(
    Kind(
        api_version=API_VERSION,
        kind="ResourceClaimTemplate",
        plural="resourceclaimtemplates",
        immutable=("spec",),
        default=default,
        validate=validate,
        columns=(NAME, AGE),
    ),
    to_v1=each_at("spec.spec.devices.requests", v1_request),
    to_beta1=each_at("spec.spec.devices.requests", beta1_request),
)
