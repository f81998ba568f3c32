import json
import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api import decode
from podling.api.objects import put
from podling.api.schema import schemas
from podling.api.status import ApiError
from podling.testing.samples import deployment, pod


def read(obj, validation="Strict"):
    return decode.strictly(json.dumps(obj).encode(), obj, obj["apiVersion"], obj["kind"], validation)


def refusal(obj):
    with pytest.raises(ApiError) as caught:
        read(obj)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    return caught.value.message


def test_a_good_object_comes_back_as_a_copy():
    obj = pod(hostNetwork=True, terminationGracePeriodSeconds=5)
    clean, warnings = read(obj)
    assert (clean, warnings) == (obj, [])
    clean["spec"]["containers"][0]["name"] = "other"
    assert obj["spec"]["containers"][0]["name"] == "web"


def test_unknown_fields_are_named_by_their_path():
    obj = deployment(foo=1)
    obj["spec"]["template"]["spec"] = {"containers": [{"name": "a", "image": "b", "imagePullPolice": "x"}]}
    assert refusal(obj) == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.template.spec.containers[0].imagePullPolice", unknown field "spec.foo"'
    )
    clean, warnings = read(obj, "Warn")
    assert warnings == ['unknown field "spec.template.spec.containers[0].imagePullPolice"', 'unknown field "spec.foo"']
    assert "foo" not in clean["spec"]
    assert read(obj, "Ignore") == (clean, [])


def test_repeated_fields_are_found_in_the_bytes():
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","name":"b"},"data":{"k":"1","k":"2"}}'
    obj = json.loads(body)
    with pytest.raises(ApiError, match=r'strict decoding error: duplicate field "metadata.name", duplicate field "data.k"'):
        decode.strictly(body, obj, "v1", "ConfigMap")
    clean, warnings = decode.strictly(body, obj, "v1", "ConfigMap", "Warn")
    assert clean["data"] == {"k": "2"}
    assert len(warnings) == 2
    assert decode.duplicates(b'{"a":[{"b":1,"b":2}],"a":[],"a":1}') == ["a"]
    assert decode.duplicates(b'{"a":[{"b":1},{"b":1,"b":2,"b":3}]}') == ["a[1].b"]


C = "json: cannot unmarshal"


@pytest.mark.parametrize(
    ("path", "value", "cause"),
    [
        ("spec.replicas", "3", f"{C} string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ("spec.replicas", 1.5, f"{C} number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ("spec.replicas", 2**31, f"{C} number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ("spec.paused", "no", f"{C} string into Go struct field DeploymentSpec.spec.paused of type bool"),
        ("spec.paused", 1, f"{C} number into Go struct field DeploymentSpec.spec.paused of type bool"),
        ("metadata.labels", {"a": 1}, f"{C} number into Go struct field ObjectMeta.metadata.labels.a of type string"),
        ("metadata.labels", [], f"{C} array into Go struct field ObjectMeta.metadata.labels of type map[string]string"),
        ("spec.template", [], f"{C} array into Go struct field DeploymentSpec.spec.template of type v1.PodTemplateSpec"),
        (
            "spec.template.spec.containers",
            {},
            f"{C} object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            "spec.template.spec.containers",
            [{"name": "a", "env": [{"name": "A", "value": 3}]}],
            f"{C} number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            "spec.template.spec.containers",
            [{"name": "a", "resources": {"limits": {"cpu": "lots"}}}],
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            "metadata.creationTimestamp",
            "yesterday",
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
        ),
        ("spec.template.metadata", None, None),
    ],
)
def test_a_wrong_type_is_refused_in_the_words_of_gos_decoder(path, value, cause):
    obj = put(deployment(), path, value)
    if cause is None:
        assert "metadata" not in read(obj)[0]["spec"]["template"]
    else:
        assert refusal(obj) == f'Deployment in version "v1" cannot be handled as a Deployment: {cause}'


def test_secrets_must_be_base64():
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"k": "abc!"}}
    assert refusal(secret).endswith("illegal base64 data at input byte 3")


def test_quantities_and_times_come_out_canonical():
    resources = {"limits": {"cpu": "1000m", "memory": 1024}}
    obj = pod(containers=[{"name": "a", "image": "b", "resources": resources}])
    assert read(obj)[0]["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1024"}
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"creationTimestamp": "2026-01-01T02:00:00+02:00"},
        "spec": {"renewTime": "2026-01-01T00:00:00.5Z"},
    }
    clean, _ = read(lease)
    assert clean["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert clean["spec"]["renewTime"] == "2026-01-01T00:00:00.500000Z"


def test_a_kind_without_a_schema_passes_unread():
    obj = {"apiVersion": "example.com/v1", "kind": "Widget", "anything": 1}
    assert read(obj) == (obj, [])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"null", b'{"a":NaN}', b"\xff"])
def test_what_is_no_json_object_is_a_bad_request(body):
    with pytest.raises(ApiError) as caught:
        decode.parse(body)
    assert caught.value.code == 400


def test_a_bottomless_object_is_a_bad_request():
    schema: dict = {}
    for _ in range(5000):
        schema = {"not": schema}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]},
    }
    with pytest.raises(ApiError, match="exceeded max depth"):
        decode.strictly(b"{}", crd, crd["apiVersion"], crd["kind"])


NAMES = sorted(schemas().type("io.k8s.api.core.v1.PodSpec").fields)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), json_values))
def test_any_json_is_cleaned_or_refused(obj):
    kind = schemas().of_kind("v1", "Pod")
    try:
        once = decode.decode(obj, kind)
    except decode.DecodeError:
        return
    again = decode.decode(once.obj, kind)
    assert (again.obj, again.unknown) == (once.obj, [])


def test_a_null_in_a_list_or_map_is_what_go_makes_of_it():
    obj = pod()
    obj["metadata"]["labels"] = {"a": None}
    obj["spec"]["containers"][0] |= {"args": [None], "resources": {"limits": {"cpu": None}}}
    clean, _ = read(obj)
    assert clean["metadata"]["labels"] == {"a": ""}
    assert clean["spec"]["containers"][0]["args"] == [""]
    assert clean["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "0"}}


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), json_values))
def test_a_reader_makes_of_a_value_what_the_walk_makes_of_it(obj):
    kind = schemas().of_kind("v1", "Pod")
    try:
        walked = decode.decode(obj, kind, schemas())
    except decode.DecodeError as error:
        with pytest.raises(decode.DecodeError, match=re.escape(str(error))):
            decode.decode(obj, kind)
    else:
        assert decode.decode(obj, kind) == walked


KEYS = st.sampled_from(["a", "b", 'a":', "a\\", '"', "a b", ' "']) | st.text('ab":\\ \t', max_size=3)


@st.composite
def written(draw, depth=2):
    """JSON text whose objects may have a name twice."""
    if depth == 0 or draw(st.booleans()):
        return json.dumps(draw(KEYS | st.integers(-5, 5)))
    gap = draw(st.sampled_from(["", " ", "\n\t"]))
    if draw(st.booleans()):
        return f"[{','.join(draw(st.lists(written(depth - 1), max_size=2)))}]"
    pairs = draw(st.lists(st.tuples(KEYS, written(depth - 1)), max_size=3))
    escaped = draw(st.booleans())

    def string(text):
        return "".join(['"', *(f"\\u{ord(char):04x}" for char in text), '"']) if escaped else json.dumps(text)

    return f"{{{','.join(f'{string(name)}{gap}:{gap}{value}' for name, value in pairs)}}}"


@given(written())
def test_what_cannot_repeat_does_not(text):
    value = orjson.loads(text)
    if isinstance(value, dict) and not decode.may_repeat(text.encode(), value):
        assert decode.duplicates(text.encode()) == []


def test_applied_by_kubectl_cannot_repeat():
    obj = {"metadata": {"annotations": {"last-applied": json.dumps(pod())}}, "spec": {}}
    for text in (json.dumps(obj), json.dumps(obj, indent=2)):
        assert not decode.may_repeat(text.encode(), obj)
