"""What a resize of a pod changes, and what it refuses."""

from collections.abc import Callable
from typing import Any

import pytest

from podling.api.core import resize
from podling.api.core.pod import POD
from podling.api.objects import thaw
from podling.testing.samples import Object, pod, stored

ORDER = "may not be renamed or reordered on resize"
WEB = "spec.containers[0]"
QOS = "Pod QOS Class may not change as a result of resizing"
SIZES = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}


def sized(**more: Any) -> Object:
    obj = pod(containers=[{"name": "web", "image": "nginx:1.27", "resources": thaw(SIZES)}], **more)
    return stored(POD, obj)


def resized(old: Object, edit: Callable[[Object], object]) -> tuple[Object, list[str]]:
    new = thaw(old)
    edit(new)
    resize.narrow(new, old)
    return new, [error.message for error in resize.errors(new, old)]


def container(obj: Object, index: int = 0) -> Object:
    return obj["spec"]["containers"][index]


def test_only_resources_change() -> None:
    def edit(new: Object) -> None:
        container(new)["resources"]["limits"]["cpu"] = "300m"
        container(new)["image"] = "other"
        new["spec"]["nodeName"] = "elsewhere"
        new["metadata"]["labels"] = {"a": "b"}
        new["status"] = {"phase": "Failed"}

    old = sized()
    new, errors = resized(old, edit)
    assert errors == []
    assert container(new)["resources"]["limits"] == {"cpu": "300m", "memory": "64Mi"}
    assert container(new)["image"] == "nginx:1.27"
    assert "nodeName" not in new["spec"]
    assert "labels" not in new["metadata"]
    assert new["status"] == old["status"]
    assert container(old)["resources"] == SIZES


def set_size(kind: str, name: str, amount: str | None) -> Callable[[Object], object]:
    def edit(new: Object) -> None:
        amounts = container(new)["resources"].setdefault(kind, {})
        if amount is None:
            del amounts[name]
        else:
            amounts[name] = amount

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_size("limits", "memory", "32Mi"), "spec.containers[0].resources.requests: Invalid value"),
        (set_size("requests", "cpu", "200m"), f'spec: Invalid value: "Burstable": {QOS}'),
        (set_size("limits", "cpu", None), f"{WEB}.resources.limits: Forbidden: resource limits cannot be removed"),
        (set_size("requests", "cpu", None), f"{WEB}.resources.requests: Forbidden: resource requests cannot be removed"),
        (set_size("limits", "ephemeral-storage", "1Gi"), "spec: Forbidden: only cpu and memory resources are mutable"),
        (lambda new: container(new).update(resizePolicy=[]), None),
        (
            lambda new: container(new).update(resizePolicy=[{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]),
            "spec: Forbidden: only cpu and memory resources are mutable",
        ),
        (lambda new: container(new).update(name="x"), f"{WEB}.name: Forbidden: containers {ORDER}"),
        (
            lambda new: new["spec"]["containers"].append({**container(new), "name": "x"}),
            "spec.containers: Forbidden: containers may not be added or removed on resize",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(edit: Callable[[Object], object], message: str | None) -> None:
    _, errors = resized(sized(), edit)
    assert errors == [] if message is None else any(error.startswith(message) for error in errors), errors


def test_a_node_that_cannot() -> None:
    old = sized()
    old["status"]["containerStatuses"] = [{"name": "web", "state": {"running": {}}}]
    edit = set_size("limits", "cpu", "300m")
    assert resized(old, edit)[1] == ["spec: Forbidden: Pod running on node without support for resize"]
    old["status"]["containerStatuses"][0]["resources"] = SIZES
    assert resized(old, edit)[1] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda old: old["metadata"].update(annotations={resize.MIRROR: "x"}), ": Forbidden: static pods cannot be resized"),
        (lambda old: old["spec"].update(os={"name": "windows"}), ": Forbidden: windows pods cannot be resized"),
    ],
)
def test_pods_that_cannot(change: Callable[[Object], object], message: str) -> None:
    old = sized()
    change(old)
    assert resized(old, set_size("limits", "cpu", "300m"))[1] == [message]


def test_init_containers() -> None:
    init = {"name": "i", "image": "busybox", "resources": thaw(SIZES)}
    policy = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]

    def edit(new: Object) -> None:
        new["spec"]["initContainers"][0]["resources"]["limits"]["cpu"] = "300m"

    assert resized(sized(initContainers=[init]), edit)[1] == []
    words = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
    assert resized(sized(initContainers=[{**init, "resizePolicy": policy}]), edit)[1] == [
        f"spec.initContainers[0]: Forbidden: {words}"
    ]
    assert resized(sized(initContainers=[{**init, "resizePolicy": policy, "restartPolicy": "Always"}]), edit)[1] == []


def test_sizes_of_the_whole_pod() -> None:
    old = sized(resources={"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})
    new, errors = resized(old, lambda new: new["spec"]["resources"]["limits"].update(cpu="3"))
    assert errors == []
    assert new["spec"]["resources"]["limits"] == {"cpu": "3"}
    removed = resized(old, lambda new: new["spec"].pop("resources"))[1]
    assert "spec.resources: Forbidden: pod-level resources cannot be removed" in removed
    less = resized(old, lambda new: new["spec"]["resources"]["limits"].pop("cpu"))[1]
    assert "spec.resources.limits: Forbidden: pod-level resource limits cannot be removed" in less
