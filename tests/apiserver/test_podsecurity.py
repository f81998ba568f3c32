"""The pod security standards: the table of checks, and what a namespace's labels do with it."""

from typing import Any

import pytest

from podling.apiserver.podsecurity import violations
from podling.testing.apiserver import PODS, Api

Object = dict[str, Any]
GOOD: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
PLAIN = (
    'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), '
    'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), '
    'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), '
    'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
)


def pod(spec: Object | None = None, **context: Any) -> Object:
    container = {"name": "a", "image": "i"}
    if context:
        container["securityContext"] = context
    return {"metadata": {"name": "p"}, "spec": {"containers": [container], **(spec or {})}}


@pytest.mark.parametrize(
    ("broken", "level", "version", "holds"),
    [
        (pod({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]}}), "baseline", "v1.31", False),
        (pod({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]}}), "baseline", "v1.32", True),
        (pod({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_fin_timeout", "value": "1"}]}}), "baseline", "v1.28", False),
        (pod({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_fin_timeout", "value": "1"}]}}), "baseline", "v1.29", True),
        (pod(seLinuxOptions={"type": "container_engine_t"}), "baseline", "v1.30", False),
        (pod(seLinuxOptions={"type": "container_engine_t"}), "baseline", "v1.31", True),
        (pod(seccompProfile={"type": "Unconfined"}), "baseline", "v1.18", True),
        (pod(seccompProfile={"type": "Unconfined"}), "baseline", "v1.19", False),
        (pod(**GOOD | {"runAsUser": 0}), "restricted", "v1.22", True),
        (pod(**GOOD | {"runAsUser": 0}), "restricted", "v1.23", False),
        (pod(**GOOD | {"capabilities": {}}), "restricted", "v1.21", True),
        (pod(**GOOD | {"capabilities": {"add": ["SYS_TIME"]}}), "restricted", "v1.21", False),
        (pod(**GOOD | {"capabilities": {}}), "restricted", "v1.22", False),
        (pod({"os": {"name": "windows"}}, runAsNonRoot=True), "restricted", "v1.24", False),
        (pod({"os": {"name": "windows"}}, runAsNonRoot=True), "restricted", "v1.25", True),
        (pod({"hostPID": True}), "baseline", "v1.0", False),
        (pod({"hostPID": True}), "baseline", "v1.99", False),
    ],
)  # fmt: skip
def test_versions(broken: Object, level: str, version: str, holds: bool) -> None:
    assert (violations(broken, level, version) == []) is holds


def test_levels() -> None:
    assert violations(pod(), "privileged") == []
    assert violations(pod(), "baseline") == []
    assert ", ".join(violations(pod(), "restricted")) == PLAIN
    assert violations(pod(**GOOD), "restricted") == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (pod({"hostNetwork": True, "hostPID": True}), "host namespaces (hostNetwork=true, hostPID=true)"),
        (pod({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), 'hostPath volumes (volume "v")'),
        (pod(privileged=True), 'privileged (container "a" must not set securityContext.privileged=true)'),
        (
            pod(capabilities={"add": ["NET_ADMIN", "CHOWN"]}),
            'non-default capabilities (container "a" must not include "NET_ADMIN" in securityContext.capabilities.add)',
        ),
        (
            pod({"containers": [{"name": "a", "ports": [{"containerPort": 1, "hostPort": 80}]}]}),
            'hostPort (container "a" uses hostPort 80)',
        ),
        (
            pod({"containers": [{"name": n, "ports": [{"containerPort": 1, "hostPort": p}]} for n, p in (("a", 8), ("b", 9))]}),
            'hostPort (containers "a", "b" use hostPorts 8, 9)',
        ),
        (pod(procMount="Unmasked"), 'procMount (container "a" must not set securityContext.procMount to "Unmasked")'),
        (
            pod({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
            'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            pod({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            pod(seLinuxOptions={"type": "spc_t", "user": "u"}),
            'seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
        ),
        (
            pod(appArmorProfile={"type": "Unconfined"}),
            'forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")',
        ),
        (
            pod({"securityContext": {"windowsOptions": {"hostProcess": True}}}),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
    ],
)
def test_baseline(broken: Object, said: str) -> None:
    assert violations(broken, "baseline") == [said]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            pod({"volumes": [{"name": "v", "nfs": {}}]}, **GOOD),
            'restricted volume types (volume "v" uses restricted volume type "nfs")',
        ),
        (pod(**GOOD | {"runAsUser": 0}), 'runAsUser=0 (container "a" must not set runAsUser=0)'),
        (
            pod(**GOOD | {"runAsNonRoot": False}),
            'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)',
        ),
        (
            pod(**GOOD | {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}),
            'unrestricted capabilities (container "a" must not include "CHOWN" in securityContext.capabilities.add)',
        ),
    ],
)
def test_restricted(broken: Object, said: str) -> None:
    assert violations(broken, "restricted") == [said]


async def label(api: Api, **labels: str) -> Any:
    named = {f"pod-security.kubernetes.io/{mode}": level for mode, level in labels.items()}
    patch = {"metadata": {"labels": named}}
    return await api("PATCH", "/api/v1/namespaces/default", patch, type="application/merge-patch+json")


async def test_enforced_in_a_labelled_namespace(api: Api, pod: Object) -> None:
    await label(api, enforce="restricted")
    refused = await api("POST", PODS, pod)
    words = PLAIN.replace('"a"', '"main"')
    assert refused.status == 403
    assert refused.message == f'pods "p" is forbidden: violates PodSecurity "restricted:latest": {words}'
    pod["spec"]["containers"][0]["securityContext"] = GOOD
    await api.create(PODS, pod)


async def test_warnings_also_for_what_makes_pods(api: Api, pod: Object) -> None:
    await label(api, warn="restricted")
    made = await api("POST", PODS, pod)
    assert made.status == 201
    assert 'would violate PodSecurity \\"restricted:latest\\": allowPriv' in made.headers.get("warning")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod["spec"]}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    deployment = {"metadata": {"name": "d"}, "spec": spec}
    made = await api("POST", "/apis/apps/v1/namespaces/default/deployments", deployment)
    assert made.status == 201
    assert "would violate PodSecurity" in made.headers.get("warning")


async def test_labels_are_checked_and_pods_that_are_there_are_told_of(api: Api, pod: Object) -> None:
    await api.create(PODS, pod)
    refused = await label(api, enforce="strict")
    assert refused.status == 422
    assert "must be one of privileged, baseline, restricted" in refused.message
    warned = await label(api, enforce="restricted")
    told = warned.headers.all("warning")
    assert told[0] == (
        '299 - "existing pods in namespace \\"default\\" violate the new PodSecurity enforce level \\"restricted:latest\\""'
    )
    assert told[1] == (
        '299 - "p: allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"'
    )
