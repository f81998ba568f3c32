"""networking.k8s.io/v1 IngressClass. Source: Kubernetes API reference, "IngressClass"; pkg/apis/networking/validation."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, default_name
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import called, domain_path, named

LONGEST_CONTROLLER = 250


def default(obj: Object) -> None:
    parameters = objects.get(obj, "spec.parameters")
    if parameters is not None:
        parameters.setdefault("scope", "Cluster")


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    controller = spec / "controller"
    if len(controller.value or "") > LONGEST_CONTROLLER:
        yield controller.too_long(LONGEST_CONTROLLER)
    yield from domain_path(controller)
    if spec.get("parameters") is not None:
        yield from _parameters(spec / "parameters")


def _parameters(parameters: Cursor) -> Iterator[FieldError]:
    yield from named(parameters / "apiGroup", names.subdomain)
    yield from called(parameters / "kind")
    yield from called(parameters / "name")
    namespace = parameters / "namespace"
    match parameters.get("scope"):
        case "Namespace" if namespace.value is None:
            yield namespace.required("`parameters.scope` is set to 'Namespace'")
        case "Namespace":
            yield from named(namespace, names.label)
        case "Cluster":
            if namespace.value is not None:
                yield namespace.forbidden("`parameters.scope` is set to 'Cluster'")
        case scope:
            yield (parameters / "scope").unsupported(("Cluster", "Namespace"), scope)


def _shown(obj: Object, _: float) -> str:
    """`IngressParameters.k8s.example.com/external`."""
    parameters = objects.get(obj, "spec.parameters")
    if parameters is None:
        return "<none>"
    group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") is not None else ""
    return f"{parameters.get('kind', '')}{group}/{parameters.get('name', '')}"


INGRESS_CLASS = Kind(
    api_version="networking.k8s.io/v1",
    kind="IngressClass",
    plural="ingressclasses",
    namespaced=False,
    generation=("spec",),
    immutable=("spec.controller",),
    default=default,
    validate=validate,
    columns=(
        default_name("ingressclass.kubernetes.io/is-default-class"),
        Column("Controller", "spec.controller"),
        Column("Parameters", _shown),
        AGE,
    ),
)
