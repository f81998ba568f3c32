"""A container's spec as the engine gets it; resources; logins."""

import base64
import json
from typing import Any

import pytest

from podling.base.errors import InvalidInput
from podling.engine.types import ContainerSpec
from podling.linux.cgroup import Limits
from podling.node.container import Surroundings, container_spec
from podling.node.credentials import logins_for
from podling.node.pulls import policy_of
from podling.node.resources import cgroup_of, container_resources, cpu_shares, oom_score_adj, pod_limits
from podling.node.runtime import ImageFacts, Login
from podling.node.volumes.empty_dir import huge_page_options

AROUND = Surroundings({"A": "1"}, (), "/logs/0.log", "/podling/kubepods/podu1", "web", 4 << 30)


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "default", "uid": "u1"}, "spec": {"containers": [], **spec}}


def spec_of(obj: dict[str, Any] | None = None, image: ImageFacts | None = None, **container: Any) -> ContainerSpec:
    return container_spec(obj or pod(), {"name": "app", "image": "i", **container}, 2, image or ImageFacts("sha256:1"), AROUND)


@pytest.mark.parametrize(
    ("container", "entrypoint", "command"),
    [
        ({}, None, None),
        ({"command": ["sh", "-c", "echo $(A)"]}, ("sh", "-c", "echo 1"), ()),
        ({"args": ["$(A)"]}, None, ("1",)),
        ({"command": ["sh"], "args": ["-x"]}, ("sh",), ("-x",)),
    ],
)
def test_command_and_args(container: dict[str, Any], entrypoint: Any, command: Any) -> None:
    spec = spec_of(**container)
    assert (spec.entrypoint, spec.command) == (entrypoint, command)


def test_names_and_labels() -> None:
    spec = spec_of()
    assert spec.name == "k8s_app_web_default_u1_2"
    assert spec.labels["io.kubernetes.pod.uid"] == "u1"
    assert spec.labels["io.kubernetes.container.restartCount"] == "2"
    assert spec.env == ("A=1",)


def test_the_containers_security_context_wins_over_the_pods() -> None:
    obj = pod(securityContext={"runAsUser": 1000, "runAsGroup": 2000, "fsGroup": 3000, "supplementalGroups": [4000]})
    spec = spec_of(obj, securityContext={"runAsUser": 7, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}})
    assert (spec.user, spec.groups) == ("7:2000", ("4000", "3000"))
    assert (spec.security.no_new_privileges, spec.security.cap_drop) == (True, ("ALL",))
    assert spec_of(pod(securityContext={"runAsGroup": 5})).user == "0:5"


@pytest.mark.parametrize(
    ("context", "user", "complaint"),
    [
        ({"runAsNonRoot": True, "runAsUser": 0}, "", "non-root policy"),
        ({"runAsNonRoot": True}, "", "image will run as root"),
        ({"runAsNonRoot": True}, "web", "non-numeric user"),
        ({"runAsNonRoot": True}, "1000:1000", ""),
        ({"runAsNonRoot": True, "runAsUser": 5}, "root", ""),
        ({}, "root", ""),
    ],
)
def test_who_must_not_be_root(context: dict[str, Any], user: str, complaint: str) -> None:
    image = ImageFacts("sha256:1", user)
    if complaint:
        with pytest.raises(InvalidInput, match=complaint):
            spec_of(image=image, securityContext=context)
    else:
        spec_of(image=image, securityContext=context)


def test_limits() -> None:
    limits = container_resources({"resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1500m", "memory": "64Mi"}}})
    assert (limits.cpu_shares, limits.cpu_quota_us, limits.cpu_period_us) == (256, 150_000, 100_000)
    assert limits.memory == limits.memory_swap == 64 << 20
    assert container_resources({}).cpu_shares == 2
    assert cpu_shares(10**9) == 262144


def test_huge_pages() -> None:
    limits = container_resources({"resources": {"limits": {"hugepages-2Mi": "4Mi", "hugepages-1Gi": "1Gi", "memory": "1Gi"}}})
    assert limits.hugepages == {"2MB": 4 << 20, "1GB": 1 << 30}
    assert huge_page_options("HugePages", 0) == ""
    assert huge_page_options("HugePages-2Mi", 4 << 20) == f"pagesize=2M,size={4 << 20}"


def _asking(memory: str) -> dict[str, Any]:
    return {"name": "app", "resources": {"requests": {"memory": memory}}}


@pytest.mark.parametrize(
    ("container", "cgroup", "score"),
    [
        ({"name": "app"}, "/p/kubepods/besteffort/podu1", 1000),
        (_asking("1Gi"), "/p/kubepods/burstable/podu1", 750),
        (_asking("1"), "/p/kubepods/burstable/podu1", 999),
        ({"name": "app", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}, "/p/kubepods/podu1", -997),
    ],
)
def test_quality_of_service_places_a_pod(container: dict[str, Any], cgroup: str, score: int) -> None:
    obj = pod(containers=[container])
    assert cgroup_of(obj, "/p/kubepods") == cgroup
    assert oom_score_adj(obj, container, 4 << 30) == score


def _with(limits: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"name": "c", "resources": {"limits": limits}, **more}


def test_what_containers_may_use_together() -> None:
    one, two = _with({"cpu": "500m", "memory": "64Mi"}), _with({"cpu": "1", "memory": "64Mi"})
    assert pod_limits(pod(containers=[one, two])) == Limits(
        cpu_shares=1536, cpu_quota=150_000, cpu_period=100_000, memory=128 << 20
    )
    big = _with({"cpu": "4", "memory": "1Gi"})
    assert pod_limits(pod(containers=[one], initContainers=[big])).memory == 1 << 30
    assert pod_limits(pod(containers=[one], initContainers=[{**big, "restartPolicy": "Always"}])).memory == 1088 << 20
    assert pod_limits(pod(containers=[one, {"name": "free"}])) == Limits(cpu_shares=512)


@pytest.mark.parametrize(
    ("image", "asked", "policy"),
    [
        ("busybox", None, "Always"),
        ("busybox:latest", None, "Always"),
        ("busybox:1.36", None, "IfNotPresent"),
        ("localhost:5000/busybox", None, "Always"),
        ("busybox@sha256:00", None, "IfNotPresent"),
        ("busybox", "Never", "Never"),
    ],
)
def test_pull_policies(image: str, asked: str | None, policy: str) -> None:
    assert policy_of({"image": image, "imagePullPolicy": asked}) == policy


def _secret(auths: dict[str, Any]) -> dict[str, Any]:
    data = base64.b64encode(json.dumps({"auths": auths}).encode()).decode()
    return {"kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": data}}


def test_logins_by_registry_and_path() -> None:
    auth = base64.b64encode(b"ann:pass:word").decode()
    auths = {
        "https://registry.example.org/v1/": {"username": "bob", "password": "b"},
        "registry.example.org/team": {"auth": auth},
        "https://index.docker.io/v1/": {"username": "hub", "password": "h"},
        "*.wild.example.org": {"username": "w", "password": "w"},
        "broken.example.org": {"auth": "%%%"},
    }
    secrets = [_secret(auths), {"kind": "Secret", "data": {".dockerconfigjson": base64.b64encode(b"{").decode()}}]
    assert logins_for("registry.example.org/team/app:1", secrets) == [Login("ann", "pass:word"), Login("bob", "b")]
    assert logins_for("registry.example.org/other", secrets) == [Login("bob", "b")]
    assert logins_for("busybox", secrets) == [Login("hub", "h")]
    assert logins_for("a.wild.example.org/x", secrets) == [Login("w", "w")]
    assert logins_for("broken.example.org/x", secrets) == []
    assert logins_for("a.b.wild.example.org/x", secrets) == []


@pytest.mark.parametrize(
    "content",
    [b"\xff", b"[]", b"null", b"{}", b'{"auths": []}', b'{"auths": {"r.io": "text"}}', b'{"auths": {"r.io": {"auth": 5}}}'],
)
def test_a_secret_that_holds_no_logins(content: bytes) -> None:
    secret = {"kind": "Secret", "data": {".dockerconfigjson": base64.b64encode(content).decode()}}
    assert logins_for("r.io/x", [secret]) == []
