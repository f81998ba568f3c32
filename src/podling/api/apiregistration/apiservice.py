"""apiregistration.k8s.io/v1 APIService. Source: Kubernetes API reference, "APIService"; kube-aggregator validation."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at, quote
from podling.api.kind import STATUS, Column, Kind, Object
from podling.api.rules import chosen, named, present


def default(obj: Object) -> None:
    service = objects.get(obj, "spec.service")
    if service is not None:
        service.setdefault("port", 443)


def prepare(new: Object, old: Object | None) -> None:
    """One that this server answers itself is always available."""
    if old is None and objects.get(new, "spec.service") is None:
        since = new["metadata"].get("creationTimestamp")
        words = {"reason": "Local", "message": "Local APIServices are always available"}
        new["status"] = {"conditions": [{"type": "Available", "status": "True", "lastTransitionTime": since, **words}]}


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec, name = at(new, "spec"), at(new, "metadata", "name")
    group, version = spec.get("group", ""), spec.get("version", "")
    if name.value != f"{version}.{group}":
        yield name.invalid(f'must be `spec.version+"."+spec.group`: {quote(f"{version}.{group}")}')
    if not group and version != "v1":
        yield (spec / "group").required("only v1 may have an empty group and it better be legacy kube")
    yield from named(spec / "group", names.subdomain)
    for complaint in names.label_1035(version):
        yield (spec / "version").invalid(complaint, version)
    for member, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        if not 0 < spec.get(member, 0) <= most:
            yield (spec / member).invalid(f"must be positive and less than {most}", spec.get(member, 0))
    yield from _local(spec) if spec.get("service") is None else _remote(spec)


def _local(spec: Cursor) -> Iterator[FieldError]:
    if bundle := spec.get("caBundle"):
        yield (spec / "caBundle").invalid("local APIServices may not have a caBundle", f"{len(bundle) * 3 // 4} bytes")
    if spec.get("insecureSkipTLSVerify"):
        yield (spec / "insecureSkipTLSVerify").invalid("local APIServices may not have insecureSkipTLSVerify")


def _remote(spec: Cursor) -> Iterator[FieldError]:
    service = spec / "service"
    yield from present(service / "namespace")
    yield from present(service / "name")
    if complaints := names.port_number(service.get("port", 0)):
        yield (service / "port").invalid(f"port is not valid: {', '.join(complaints)}", service.get("port", 0))
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        yield (spec / "insecureSkipTLSVerify").invalid("may not be true if caBundle is present")


def validate_status(new: Object, _old: Object) -> Iterator[FieldError]:
    for condition in at(new, "status", "conditions"):
        yield from chosen(condition / "status", ("True", "False", "Unknown"))


def _service(obj: Object, _: float) -> str:
    service = objects.get(obj, "spec.service")
    return f"{service.get('namespace', '')}/{service.get('name', '')}" if service is not None else "Local"


def _available(obj: Object, _: float) -> str:
    found = objects.condition(obj, "Available") or {}
    status = found.get("status") or "Unknown"
    return str(status) if status == "True" or not found else f"{status} ({found.get('reason', '')})"


API_SERVICE = Kind(
    api_version="apiregistration.k8s.io/v1",
    kind="APIService",
    plural="apiservices",
    categories=("api-extensions",),
    namespaced=False,
    subresources=(STATUS,),
    check_name=names.path_segment,
    default=default,
    prepare=prepare,
    validate=validate,
    validate_status=validate_status,
    columns=(NAME, Column("Service", _service), Column("Available", _available), AGE),
)
