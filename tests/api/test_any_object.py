"""Whatever the schema admits is accepted or refused: no kind's rules trip over it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podling.api.core.pod import POD, ephemeral_errors
from podling.api.registry import KINDS
from podling.api.schema import Shape, Type, schemas
from podling.api.table import table
from podling.testing.samples import Object

WORDS = st.sampled_from(
    [
        "",
        "a",
        "Always",
        "ClientIP",
        "ClusterIP",
        "ExternalName",
        "In",
        "Localhost",
        "None",
        "NodePort",
        "Opaque",
        "/x",
        "a/b",
        "10%",
        "kubernetes.io/tls",
        "kubernetes.io/basic-auth",
        "kubernetes.io/dockercfg",
        "IPv4",
        "fe80::1",
        "10.0.0.1",
        "-",
        "metadata.name",
        "Recreate",
        "RollingUpdate",
        "Exists",
        "Gt",
        "limits.cpu",
        "metadata.labels['a']",
        "metadata.labels[x",
        "ServiceAccount",
    ]
)
SCALARS = {
    "string": WORDS,
    "int32": st.integers(-2, 3) | st.just(80),
    "int64": st.integers(-2, 3) | st.just(80),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "bytes": st.sampled_from(["", "eA==", "e30="]),
    "time": st.just("2026-01-01T00:00:00Z"),
    "micro-time": st.just("2026-01-01T00:00:00.000000Z"),
    "quantity": st.sampled_from(["0", "1", "-1", "500m", "1Gi"]),
    "int-or-string": st.integers(-1, 2) | WORDS,
}


@st.composite
def values(draw, shape: Shape, depth: int):
    match shape.form:
        case "scalar":
            return draw(SCALARS[shape.scalar])
        case "list":
            return draw(st.lists(values(shape.item, depth), max_size=2)) if shape.item else []
        case "map":
            return draw(st.dictionaries(WORDS, values(shape.item, depth), max_size=2)) if shape.item else {}
        case "type":
            return draw(objects(schemas().type(shape.type_name), depth - 1))
        case _:
            return {}


@st.composite
def objects(draw, kind: Type, depth: int) -> Object:
    """An object of a type: any few of its fields, down to a depth."""
    names = [name for name in kind.fields if depth > 0 or kind.fields[name].form == "scalar"]
    chosen = draw(st.lists(st.sampled_from(names), max_size=5, unique=True)) if names else []
    return {name: draw(values(kind.fields[name], depth)) for name in chosen}


ROOMS = {
    "spec",
    "data",
    "rules",
    "subjects",
    "roleRef",
    "subsets",
    "endpoints",
    "ports",
    "status",
    "addressType",
    "type",
    "target",
}


@st.composite
def whole(draw, kind) -> Object:
    top = schemas().of_kind(kind.api_version, kind.kind)
    members = {name: draw(values(shape, 5)) for name, shape in top.fields.items() if name in ROOMS}
    meta = draw(objects(schemas().type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"), 3))
    return {**members, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.api_version} {kind.kind}")
def test_any_object_of_a_kind_is_accepted_or_refused(kind):
    @settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
    @given(whole(kind), whole(kind))
    def check(old, new):
        for obj in (old, new):
            kind.default(obj)
        kind.prepare_create(old)
        assert all(error.message for error in kind.errors(old))
        kind.prepare_update(new, old)
        wrong = kind.errors(new, old)
        assert all(error.message for error in wrong)
        assert all(error.message for error in kind.status_errors(new, old))
        if not wrong:
            assert all(isinstance(value, str) for value in kind.field_values(new).values())
            table(kind, [new], 0.0)

    check()


PARTS = ["containers", "initContainers", "volumes", "affinity", "tolerations", "topologySpreadConstraints", "securityContext"]


@pytest.mark.parametrize("part", [*PARTS, "ephemeralContainers", "dnsConfig", "hostAliases", "schedulingGates"])
def test_any_part_of_a_pod_is_accepted_or_refused(part):
    shape = schemas().type("io.k8s.api.core.v1.PodSpec").fields[part]

    @settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
    @given(values(shape, 4))
    def check(value):
        obj = {"metadata": {"name": "a", "namespace": "b"}, "spec": {"containers": [{"name": "c", "image": "d"}], part: value}}
        POD.default(obj)
        POD.prepare_create(obj)
        assert all(error.message for error in POD.errors(obj))
        assert all(error.message for error in ephemeral_errors(obj, {"spec": {}}))

    check()
