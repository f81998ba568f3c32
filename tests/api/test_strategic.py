import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api.objects import thaw
from podling.api.patch import strategic
from podling.api.status import ApiError


def on_pod(spec, patch):
    before = thaw(spec)
    result = strategic({"spec": spec}, {"spec": patch}, "v1", "Pod")["spec"]
    assert spec == before
    return result


def on_deployment(spec, patch):
    return strategic({"spec": spec}, {"spec": patch}, "apps/v1", "Deployment")["spec"]


A, B, C = ({"name": name, "image": f"{name}:1"} for name in "abc")
TWO = {"containers": [A, B]}


@pytest.mark.parametrize(
    ("spec", "patch", "expected"),
    [
        # lists that are maps merge by their key
        (TWO, {"containers": [{"name": "b", "image": "b:2"}]}, {"containers": [A, {"name": "b", "image": "b:2"}]}),
        (TWO, {"containers": [C]}, {"containers": [A, B, C]}),
        (TWO, {"containers": [{"name": "a", "$patch": "delete"}]}, {"containers": [B]}),
        (TWO, {"containers": [C, {"$patch": "replace"}]}, {"containers": [C]}),
        (TWO, {"containers": [{"name": "a", "image": None}]}, {"containers": [{"name": "a"}, B]}),
        (TWO, {"containers": None}, {}),
        # and are put in order
        (TWO, {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}, {"containers": [B, A]}),
        (
            TWO,
            {"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}], "containers": [C]},
            {"containers": [C, A, B]},
        ),
        # other lists are replaced
        (
            {"containers": [{"name": "a", "args": ["x"]}]},
            {"containers": [{"name": "a", "args": ["y"]}]},
            {"containers": [{"name": "a", "args": ["y"]}]},
        ),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
        # maps merge, are replaced or emptied
        ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"b": "2"}}, {"nodeSelector": {"a": "1", "b": "2"}}),
        ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"b": "2", "$patch": "replace"}}, {"nodeSelector": {"b": "2"}}),
        ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"$patch": "delete"}}, {"nodeSelector": {}}),
        ({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"a": None}}, {"nodeSelector": {}}),
        # a volume's other source goes when the patch says what to keep
        (
            {"volumes": [{"name": "v", "emptyDir": {}}]},
            {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]},
            {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
        ),
        # what is new comes without nulls and directives
        (
            {},
            {"containers": [{"name": "a", "image": None, "env": [{"name": "x", "$patch": "delete"}]}]},
            {"containers": [{"name": "a", "env": []}]},
        ),
        ({}, {"securityContext": {"runAsUser": None}}, {"securityContext": {}}),
    ],
)
def test_a_pods_patches(spec, patch, expected):
    assert on_pod(spec, patch) == expected


def ports(*entries):
    return {"containers": [{"name": "a", "ports": list(entries)}]}


def test_of_two_ports_with_a_number_the_protocol_decides():
    tcp, udp = {"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}
    assert on_pod(ports(tcp, udp), ports({**udp, "name": "dns"})) == ports(tcp, {**udp, "name": "dns"})
    assert on_pod(ports(tcp, udp), ports({"containerPort": 53, "name": "dns"})) == ports({**tcp, "name": "dns"}, udp)
    assert on_pod({}, ports(tcp, udp)) == ports(tcp, udp)


def test_a_services_ports_merge_by_port():
    service = {"spec": {"ports": [{"port": 80, "targetPort": 80}]}}
    patch = {"spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 443}]}}
    merged = strategic(service, patch, "v1", "Service")
    assert merged["spec"]["ports"] == [{"port": 80, "targetPort": "http"}, {"port": 443}]


def test_lists_of_plain_values_merge_and_shrink():
    old = {"metadata": {"finalizers": ["a/x", "b/y"]}}
    more = strategic(old, {"metadata": {"finalizers": ["b/y", "c/z"]}}, "v1", "Pod")
    assert more["metadata"]["finalizers"] == ["a/x", "b/y", "c/z"]
    less = strategic(old, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/x"]}}, "v1", "Pod")
    assert less["metadata"]["finalizers"] == ["b/y"]
    both = {"$deleteFromPrimitiveList/finalizers": ["a/x"], "$setElementOrder/finalizers": ["c/z", "b/y"], "finalizers": ["c/z"]}
    assert strategic(old, {"metadata": both}, "v1", "Pod")["metadata"]["finalizers"] == ["c/z", "b/y"]


def test_a_deployments_strategy_keeps_only_what_the_patch_lists():
    old = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
    assert on_deployment(old, patch) == {"strategy": {"type": "Recreate"}}


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"nodeSelector": {"$patch": "burn"}}, "unknown patch type 'burn' in map"),
        ({"containers": [{"name": "a", "$patch": "burn"}]}, "unexpected patch type: burn"),
        ({"containers": [{"image": "x"}]}, "does not contain declared merge key: name"),
        ({"containers": ["x"]}, "unable to merge a list of maps"),
        ({"$retainKeys": ["a"], "hostname": "b"}, "it must list all keys of the patch"),
        ({"$retainKeys": "a"}, "invalid patch format of retainKeys"),
        ({"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "c"}]}, "doesn't match setElementOrder list"),
        ({"$setElementOrder/containers": "b"}, "invalid patch format of setElementOrder list"),
        ({"$deleteFromPrimitiveList/containers": "b"}, "invalid patch format of primitive list"),
    ],
)
def test_a_patch_that_contradicts_itself_is_a_bad_request(patch, message):
    with pytest.raises(ApiError) as caught:
        on_pod({"nodeSelector": {"a": "b"}, **TWO}, patch)
    assert caught.value.code == 400
    assert message in caught.value.message


names = st.sampled_from("abcd")
containers = st.lists(
    st.fixed_dictionaries(
        {"name": names},
        optional={
            "image": names,
            "env": st.lists(
                st.fixed_dictionaries({"name": names}, optional={"value": names}), max_size=2, unique_by=lambda item: item["name"]
            ),
        },
    ),
    max_size=3,
    unique_by=lambda item: item["name"],
)
specs = st.fixed_dictionaries({}, optional={"containers": containers, "nodeSelector": st.dictionaries(names, names)})


@given(specs, specs)
def test_a_patch_applied_twice_is_applied_once(spec, patch):
    once = on_pod(spec, patch)
    assert on_pod(once, patch) == once


@given(specs)
def test_a_patch_of_what_is_there_changes_nothing(spec):
    assert on_pod(spec, spec) == spec
