"""Static pods: what a manifest means, as a table; then with real containers."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.conftest import Cluster, Object, World, eventually, is_ready, status_of
from podling.base.errors import InvalidInput
from podling.client.resource import PODS
from podling.node.manifests import due, mirror_of, mirrored, parse
from podling.node.settings import Settings
from podling.testing.engine import load_busybox

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: busybox, imagePullPolicy: IfNotPresent, command: [sh, -c, "echo ONE; exec sleep 1000"]}
"""


def test_a_manifest_on_a_node() -> None:
    pod = parse(MANIFEST, "/m/web.yaml", "n1", "2026-01-01T00:00:00Z")
    metadata = pod["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("web-n1", "default")
    assert metadata["annotations"] == {
        "kubernetes.io/config.hash": metadata["uid"],
        "kubernetes.io/config.source": "file",
        "kubernetes.io/config.seen": "2026-01-01T00:00:00Z",
    }
    assert pod["spec"]["nodeName"] == "n1"
    assert pod["spec"]["restartPolicy"] == "Always"
    assert {"operator": "Exists", "effect": "NoExecute"} in pod["spec"]["tolerations"]
    assert parse(MANIFEST, "/m/web.yaml", "n1", "later")["metadata"]["uid"] == metadata["uid"]
    assert parse(MANIFEST + "\n", "/m/web.yaml", "n1", "later")["metadata"]["uid"] != metadata["uid"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kind: Deployment", "no v1 Pod"),
        ("{", "/m/x"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {}", "spec.containers"),
        (MANIFEST + "  serviceAccountName: x", "may not reference serviceaccounts"),
        (MANIFEST + "  volumes: [{name: v, secret: {secretName: s}}]", "may not reference secrets"),
        (MANIFEST.replace("name: app,", "name: app, envFrom: [{secretRef: {name: s}}],"), "may not reference"),
    ],
)
def test_what_is_no_static_pod(text: str, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        parse(text, "/m/x", "n1", "")


def test_what_a_mirror_needs() -> None:
    pod = parse(MANIFEST, "/m/web.yaml", "n1", "2026-01-01T00:00:00Z")
    mirror = mirror_of(pod, {"metadata": {"name": "n1", "uid": "node-uid"}})
    assert mirrored(mirror) == pod["metadata"]["uid"]
    assert not mirrored(pod)
    assert mirror["metadata"]["ownerReferences"][0]["uid"] == "node-uid"
    changed = parse(MANIFEST + "\n", "/m/web.yaml", "n1", "")
    deleted = {**mirror, "metadata": {**mirror["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    table: list[tuple[Any, Any, str]] = [
        (pod, None, "create"),
        (pod, mirror, ""),
        (changed, mirror, "delete"),
        (pod, deleted, "delete"),
        (None, mirror, "delete"),
        (None, None, ""),
    ]
    assert [due(one, other) for one, other, _ in table] == [wanted for _, _, wanted in table]


async def mirror(cluster: Cluster, holds: Callable[[Object | None], Any]) -> Any:
    """The only pod that the API knows, None for none, once `holds` is true of it."""

    async def look() -> Object | None:
        found = (await cluster.client.list(PODS, "default")).items
        return found[0] if found else None

    for _ in range(600):
        if holds(found := await look()):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"it stays {found}")


@pytest.mark.root
async def test_a_static_pod_from_file_to_end(world: World, tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "web.yaml").write_text(MANIFEST)
    (manifests / "broken.yaml").write_text("kind: Nothing")
    cluster = await world.agent(settings=Settings(manifests=manifests))
    try:
        await load_busybox(cluster.engine)
        pod = await mirror(cluster, lambda pod: pod and is_ready(pod))
        assert pod["metadata"]["name"] == "web-n1"
        assert "ONE" in await eventually(lambda: cluster.logs("web-n1"), bool)
        container = status_of(pod)["containerID"]

        await cluster.client.delete(PODS, "web-n1", "default")  # its mirror comes back, the container goes on
        uid = pod["metadata"]["uid"]
        pod = await mirror(cluster, lambda pod: pod and pod["metadata"]["uid"] != uid and is_ready(pod))
        assert status_of(pod)["containerID"] == container
        assert "exit 0" in await cluster.kubectl("exec", "web-n1", "--", "true", check=False)

        (manifests / ".new").write_text(MANIFEST.replace("ONE", "TWO"))
        (manifests / ".new").rename(manifests / "web.yaml")
        pod = await mirror(cluster, lambda pod: pod and is_ready(pod) and status_of(pod)["containerID"] != container)
        assert "TWO" in await eventually(lambda: cluster.logs("web-n1"), bool)

        (manifests / "web.yaml").unlink()
        await mirror(cluster, lambda pod: pod is None)
        assert cluster.engine.containers.list() == []
    finally:
        await world.end(cluster)
