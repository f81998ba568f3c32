"""networking.k8s.io/v1 Ingress. Source: Kubernetes API reference, "Ingress"; pkg/apis/networking/validation."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at, quote
from podling.api.kind import STATUS, Column, Kind, Object, fresh_status
from podling.api.rules import called, ip_address, is_ip, named

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_IN_PATH, _AT_END = ("//", "/./", "/../", "%2f", "%2F"), ("/..", "/.")
_SHOWN, _WIDTH = 3, 16


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        yield spec.invalid("either `defaultBackend` or `rules` must be specified", spec.get("rules"))
    if spec.get("defaultBackend") is not None:
        yield from _backend(spec / "defaultBackend")
    for rule in spec / "rules":
        yield from _rule(rule)
    for tls in spec / "tls":
        for host in tls / "hosts":
            yield from _host(host)
        yield from named(tls / "secretName", names.subdomain)
    yield from named(spec / "ingressClassName", names.subdomain)
    annotation = objects.annotations_of(new).get(CLASS_ANNOTATION)
    if old is None and annotation is not None and spec.get("ingressClassName") not in (None, annotation):
        yield at(new, "annotations", CLASS_ANNOTATION).invalid(
            "must match `ingressClassName` when both are specified", annotation
        )


def _host(host: Cursor) -> Iterator[FieldError]:
    yield from named(host, names.wildcard if "*" in (host.value or "") else names.subdomain)


def _rule(rule: Cursor) -> Iterator[FieldError]:
    host, http = rule / "host", rule / "http"
    if host.value and is_ip(host.value):
        yield host.invalid("must be a DNS name, not an IP address")
    yield from _host(host)
    if http.value is None:
        return
    if not http.get("paths"):
        yield (http / "paths").required()
    for path in http / "paths":
        yield from _path(path)


def _path(path: Cursor) -> Iterator[FieldError]:
    kind, text = path / "pathType", path / "path"
    if kind.value is None:
        yield kind.required("pathType must be specified")
        return
    if kind.value not in PATH_TYPES:
        yield kind.unsupported(PATH_TYPES)
    else:
        yield from _text(text, strict=kind.value != "ImplementationSpecific")
    yield from _backend(path / "backend")


def _text(path: Cursor, *, strict: bool) -> Iterator[FieldError]:
    text = path.value or ""
    if not text.startswith("/") and (text or strict):
        yield path.invalid("must be an absolute path", text)
    for bad in _IN_PATH if strict else ():
        if bad in text:
            yield path.invalid(f"must not contain '{bad}'")
    for bad in _AT_END if strict else ():
        if text.endswith(bad):
            yield path.invalid(f"cannot end with '{bad}'")


def _backend(backend: Cursor) -> Iterator[FieldError]:
    resource, service = backend / "resource", backend / "service"
    if resource.value is not None and service.value is not None:
        yield backend.invalid("cannot set both resource and service backends", "")
    elif resource.value is not None:
        yield from named(resource / "apiGroup", names.subdomain)
        yield from called(resource / "kind")
        yield from called(resource / "name")
    elif service.value is not None:
        yield from called(service / "name", names.label)
        yield from _port(backend, service / "port")
    else:
        yield backend.invalid("resource or service backend is required", "")


def _port(backend: Cursor, port: Cursor) -> Iterator[FieldError]:
    name, number = port / "name", port / "number"
    if name and number:
        yield backend.invalid("cannot set both port name & port number", "")
    elif name:
        yield from named(name, names.port_name)
    elif number:
        for complaint in names.port_number(number.value):
            yield number.invalid(complaint)
    else:
        yield backend.required("port name or number is required")


def validate_status(new: Object, _old: Object) -> Iterator[FieldError]:
    for entry in at(new, "status", "loadBalancer", "ingress"):
        if entry.get("ip"):
            yield from ip_address(entry / "ip")
        host = entry / "hostname"
        yield from named(host, names.subdomain)
        if host and is_ip(host.value):
            yield host.invalid("must be a DNS name, not an IP address")


def _warn(new: Object, old: Object | None) -> Iterator[str]:
    if old is None and CLASS_ANNOTATION in objects.annotations_of(new):
        yield f"annotation {quote(CLASS_ANNOTATION)} is deprecated, please use 'spec.ingressClassName' instead"


def _hosts(obj: Object, _: float) -> str:
    rules = objects.get(obj, "spec.rules", [])
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    more = f" + {len(rules) - _SHOWN} more..." if len(hosts) > _SHOWN else ""
    return ",".join(hosts[:_SHOWN]) + more or "*"


def _address(obj: Object, _: float) -> str:
    entries = objects.get(obj, "status.loadBalancer.ingress", ())
    text = ",".join(sorted({entry.get("ip") or entry.get("hostname", "") for entry in entries} - {""}))
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


INGRESS = Kind(
    api_version="networking.k8s.io/v1",
    kind="Ingress",
    plural="ingresses",
    short=("ing",),
    subresources=(STATUS,),
    generation=("spec",),
    prepare=fresh_status(loadBalancer={}),
    validate=validate,
    validate_status=validate_status,
    warn=_warn,
    columns=(
        NAME,
        Column("Class", "spec.ingressClassName"),
        Column("Hosts", _hosts),
        Column("Address", _address),
        Column("Ports", lambda obj, _: "80, 443" if objects.get(obj, "spec.tls") else "80"),
        AGE,
    ),
)
