import json

from podling.api.compile import compile_schemas
from podling.api.schema import Schemas, docs, schemas


def test_the_build_writes_both_tables(tmp_path):
    compile_schemas(tmp_path / "schema.json")
    table = json.loads((tmp_path / "schema.json").read_text())
    assert Schemas(table).of_kind("v1", "Pod") == schemas().of_kind("v1", "Pod")
    assert json.loads((tmp_path / "schema-docs.json").read_text()) == docs()


def test_optional_types_and_quantities_are_put_right():
    port = schemas().type("io.k8s.api.core.v1.ContainerPort")
    assert (port.fields["name"].scalar, port.fields["containerPort"].scalar) == ("string", "int32")
    assert port.required == {"containerPort"}
    requirements = schemas().type("io.k8s.api.core.v1.ResourceRequirements")
    assert requirements.fields["limits"].item.scalar == "quantity"
    assert schemas().type("io.k8s.api.core.v1.ServicePort").fields["targetPort"].scalar == "int-or-string"


def test_merging_is_known():
    spec = schemas().type("io.k8s.api.core.v1.PodSpec").fields
    assert (spec["containers"].merge_key, spec["containers"].kind, spec["containers"].keys) == ("name", "map", ("name",))
    assert spec["volumes"].strategies == ("merge", "retainKeys")
    assert schemas().type("io.k8s.api.core.v1.Container").fields["ports"].keys == ("containerPort", "protocol")
    assert schemas().type("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector").atomic


def test_types_are_found_by_kind_and_reach_others():
    deployment = schemas().of_kind("apps/v1", "Deployment")
    assert deployment.name == "io.k8s.api.apps.v1.Deployment"
    assert "io.k8s.api.core.v1.Volume" in schemas().reachable([deployment.name])
    assert schemas().of_kind("example.com/v1", "Widget") is None
