"""Node pressure: thresholds, who has to go, what is said, images thrown away; then with real containers."""

from typing import Any

import pytest

from node.conftest import World, condition, eventually, shell
from podling.base.errors import Conflict
from podling.client.resource import NODES
from podling.node.engine_runtime import EngineRuntime
from podling.node.leaving import groups
from podling.node.network import PodNetwork
from podling.node.pressure import images
from podling.node.pressure.images import Seen
from podling.node.pressure.judging import Amount, Known, judge
from podling.node.pressure.ranking import Use, has_local_limits, local_excess, ranked, words
from podling.node.pressure.thresholds import parse
from podling.node.runtime import HeldImage
from podling.node.settings import Settings, Shutdown
from podling.testing.engine import load_busybox

MI = 1 << 20
HARD = parse({"memory.available": "100Mi", "nodefs.available": "10%"})
SOFT = parse({"memory.available": "500Mi"}, {"memory.available": 30.0})


def left(memory: int = 1000, disk: int = 50, pids: int = 1000) -> dict[str, Amount]:
    """Memory in Mi, disk in percent."""
    return {
        "memory.available": Amount(memory * MI, 4000 * MI),
        "nodefs.available": Amount(disk, 100),
        "pid.available": Amount(pids, 1000),
    }


def test_thresholds_and_conditions() -> None:
    verdict, known = judge(left(), HARD, Known(), 0, 300)
    assert (verdict.conditions, verdict.due) == ((), None)
    verdict, known = judge(left(memory=50, disk=5), HARD, known, 10, 300)
    assert verdict.conditions == ("DiskPressure", "MemoryPressure")
    assert verdict.due == HARD[0]  # memory first
    verdict, known = judge(left(disk=5), HARD, known, 20, 300)
    assert verdict.due == HARD[1]
    verdict, known = judge(left(), HARD, known, 300, 300)
    assert (verdict.conditions, verdict.due) == (("DiskPressure", "MemoryPressure"), None)
    verdict, known = judge(left(), HARD, known, 320, 300)
    assert verdict.conditions == ()


def test_a_soft_threshold_has_its_grace() -> None:
    verdict, known = judge(left(memory=400), SOFT, Known(), 0, 0)
    assert (verdict.conditions, verdict.due) == (("MemoryPressure",), None)
    verdict, known = judge(left(memory=400), SOFT, known, 29, 0)
    assert verdict.due is None
    assert judge(left(memory=400), SOFT, known, 30, 0)[0].due == SOFT[0]
    verdict, known = judge(left(memory=600), SOFT, known, 30, 0)
    assert judge(left(memory=400), SOFT, known, 31, 0)[0].due is None  # it begins anew


def test_more_is_reclaimed_than_is_needed_at_least() -> None:
    reclaim = {"memory.available": "50Mi", "nodefs.available": "5%"}
    verdict, known = judge(left(memory=99, disk=9), HARD, Known(), 0, 0, reclaim)
    assert verdict.due == HARD[0]
    assert judge(left(memory=149, disk=14), HARD, known, 1, 0, reclaim)[0].due == HARD[0]
    assert judge(left(memory=150, disk=14), HARD, known, 1, 0, reclaim)[0].due == HARD[1]
    assert judge(left(memory=150, disk=15), HARD, known, 1, 0, reclaim)[0].due is None


def use(name: str, memory: int, asked: str = "", priority: int = 0, **spec: Any) -> Use:
    requests = {"requests": {"memory": asked}} if asked else {}
    pod = {
        "metadata": {"name": name},
        "spec": {"priority": priority, "containers": [{"name": "app", "resources": requests}], **spec},
    }
    return Use(pod, {"memory": memory * MI, "pids": memory}, {"app": {"memory": memory * MI}})


def test_who_goes_first() -> None:
    modest, greedy, important = use("modest", 90, "100Mi"), use("greedy", 200, "100Mi"), use("important", 500, "", 1000)
    small = use("small", 10)
    assert [u.pod["metadata"]["name"] for u in ranked([modest, important, small, greedy], "memory")] == [
        "greedy",
        "small",
        "important",
        "modest",
    ]
    assert [u.pod["metadata"]["name"] for u in ranked([modest, important, small, greedy], "pids")] == [
        "greedy",
        "modest",
        "small",
        "important",
    ]


def test_what_is_said_of_an_eviction() -> None:
    assert words(use("greedy", 200, "100Mi"), HARD[0], Amount(52 * MI, 4000 * MI)) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 52Mi. "
        "Container app was using 200Mi, request is 100Mi, has larger consumption of memory. "
    )
    assert words(use("modest", 90, "100Mi"), parse({"pid.available": "100"})[0], Amount(90, 1000)) == (
        "The node was low on resource: pids. Threshold quantity: 100, available: 90. "
    )


def _local(used: int, volume: int = 0, limit: str = "", size: str = "", **more: Any) -> Use:
    limits = {"limits": {"ephemeral-storage": limit}} if limit else {}
    empty = {"name": "v", "emptyDir": {**({"sizeLimit": size} if size else {}), **more}}
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app", "resources": limits}], "volumes": [empty]}}
    amounts = {"ephemeral-storage": (used + volume) * MI}
    return Use(pod, amounts, {"app": {"ephemeral-storage": used * MI}}, {"v": volume * MI})


@pytest.mark.parametrize(
    ("used", "limited", "message"),
    [
        (_local(100, 100), False, ""),
        (_local(5, 1, limit="10Mi"), True, ""),
        (_local(5, 6, limit="10Mi"), True, "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. "),
        (_local(0, 2, size="1Mi"), True, 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '),
        (_local(0, 1, size="1Mi"), True, ""),
        (_local(0, 2, size="1Mi", medium="Memory"), False, ""),
    ],
)
def test_local_storage(used: Use, limited: bool, message: str) -> None:
    assert has_local_limits(used.pod) is limited
    assert local_excess(used) == message


def test_one_container_beyond_its_own_limit() -> None:
    pod = _local(11, limit="10Mi").pod
    pod["spec"]["containers"].append({"name": "free"})
    found = Use(pod, {"ephemeral-storage": 11 * MI}, {"app": {"ephemeral-storage": 11 * MI}})
    assert local_excess(found) == 'Container app exceeded its local ephemeral storage limit "10Mi". '


def test_images_that_go() -> None:
    held = [HeldImage(name, (name,), 10) for name in ("old", "used", "young", "never")]
    known = {"old": Seen(0, 50), "used": Seen(0, 1), "young": Seen(990), "never": Seen(5)}
    free = images.unused(held, {"used"}, known, 1000, 120)
    assert [image.id for image in free] == ["never", "old"]
    assert [image.id for image in images.enough(free, 5)] == ["never"]
    assert images.enough(free, 0) == []
    assert [image.id for image in images.outlived(free, known, 1000, 960)] == ["never"]
    assert images.outlived(free, known, 1000, 0) == []
    assert images.note(held, {"young"}, known, 1000)["young"] == Seen(990, 1000)
    assert set(images.note(held[:1], set(), known, 1000)) == {"old"}
    assert images.to_free(84, 100, 85, 80) == 0
    assert images.to_free(90, 100, 85, 80) == 10
    assert images.to_free(100, 100, 100, 80) == 0


def test_pods_end_by_priority() -> None:
    shutdown = Shutdown(((0, 20.0), (1000, 5.0), (2000, 10.0)))
    pods = [(0, "plain"), (1500, "web"), (-5, "batch"), (2_000_000_000, "dns")]
    assert groups(pods, shutdown) == [(20.0, ["plain", "batch"]), (5.0, ["web"]), (10.0, ["dns"])]
    assert groups([(1, "one")], Shutdown(((10, 3.0),))) == [(3.0, ["one"])]


@pytest.mark.root
async def test_a_node_without_memory_and_pods_beyond_their_limits(world: World) -> None:
    plenty = Settings(thresholds=(), measured_every=0.5)
    cluster = await world.agent(settings=plenty)
    try:
        await load_busybox(cluster.engine)
        mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
        fill = shell("sleep 0.2; dd if=/dev/zero of=/v/big bs=1M count=4; sync; sleep 1000", **mount)
        await cluster.create("full", fill, volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}])
        own = shell("dd if=/dev/zero of=/big bs=1M count=4; sync; sleep 1000", resources={"limits": {"ephemeral-storage": "1Mi"}})
        await cluster.create("layer", own)
        for name in ("full", "layer"):
            pod = await cluster.phase(name, "Failed")
            assert pod["status"]["reason"] == "Evicted"
            assert condition(pod, "DisruptionTarget")["reason"] == "TerminationByKubelet"
        assert (await cluster.get("full"))["status"]["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '
        await cluster.create("web", shell("sleep 1000"))
        await cluster.ready("web")
    finally:
        await world.stop_agent(cluster)
    starving = Settings(thresholds=parse({"memory.available": "1Pi"}), measured_every=0.5)
    cluster = await world.agent(settings=starving)
    try:
        pod = await cluster.phase("web", "Failed")
        assert pod["status"]["reason"] == "Evicted"
        assert pod["status"]["message"].startswith("The node was low on resource: memory. Threshold quantity: 1Pi, available: ")

        async def pressed() -> str:
            node = await cluster.client.get(NODES, "n1")
            return str(next(c["reason"] for c in node["status"]["conditions"] if c["type"] == "MemoryPressure"))

        await eventually(pressed, lambda reason: reason == "KubeletHasInsufficientMemory")
        await cluster.create("late")
        refused = await cluster.phase("late", "Failed")
        assert refused["status"]["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
    finally:
        await world.end(cluster)


@pytest.mark.root
async def test_a_node_that_shuts_down_ends_its_pods(world: World) -> None:
    cluster = await world.agent(settings=Settings(shutdown=Shutdown(((0, 30.0), (2_000_000_000, 10.0)))))
    try:
        await load_busybox(cluster.engine)
        polite = "trap 'echo bye > /dev/termination-log; exit 0' TERM; touch /ready; while true; do sleep 0.1; done"
        ready = {"readinessProbe": {"exec": {"command": ["cat", "/ready"]}, "periodSeconds": 1}}
        await cluster.create("web", shell(polite, **ready), terminationGracePeriodSeconds=20)
        await cluster.ready("web")
        await cluster.agent.shut_down()
        pod = await cluster.get("web")
        assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "Terminated")
        assert pod["status"]["message"] == "Pod was terminated in response to imminent node shutdown."
        assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] == "bye\n"
        node = await cluster.client.get(NODES, "n1")
        ready_now = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
        assert (ready_now["status"], ready_now["message"]) == ("False", "node is shutting down")
        runtime = EngineRuntime(cluster.engine, PodNetwork(cluster.agent.config))
        image = (await runtime.images())[0]
        with pytest.raises(Conflict):
            await runtime.remove_image(image.id)
        await cluster.gone("web")
        await eventually(runtime.containers, lambda held: not held)
        await runtime.remove_image(image.id)
        assert await runtime.images() == []
    finally:
        await world.end(cluster)
