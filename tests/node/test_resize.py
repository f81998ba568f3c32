"""In-place resize: the machine's part, as a table of what happens and what the status says."""

from typing import Any

from node.test_pod import Life, pod
from podling.node.pod.events import Doomed, Granted, NotGranted, Resized, ResizeFailed, RoomMade, Seen
from podling.node.pod.instructions import AskForRoom, Launch, Pull, Resize, Stop
from podling.node.pod.lifecycle import restore
from podling.node.pod.state import Found

SMALL = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
LARGE = {"requests": {"cpu": "500m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}}


def sized(resources: dict[str, Any], policy: list[dict[str, str]] | None = None) -> dict[str, Any]:
    return pod(containers=[{"name": "app", "image": "busybox", "resources": resources, "resizePolicy": policy or []}])


def running(policy: list[dict[str, str]] | None = None) -> Life:
    life = Life(sized(SMALL, policy))
    life.up()
    life.run()
    return life


def types(life: Life) -> set[str]:
    return {c["type"] for c in life.written["conditions"]}


def test_a_container_grows_without_a_restart() -> None:
    life = running()
    assert life.status()["resources"] == SMALL
    assert life.status()["allocatedResources"] == SMALL["requests"]
    assert life.on(Seen(sized(LARGE))) == [AskForRoom()]
    assert life.on(Granted({"app": LARGE})) == [Resize("app", "c1")]
    assert life.condition("PodResizeInProgress")["status"] == "True"
    assert life.status()["allocatedResources"] == LARGE["requests"]
    assert life.status()["resources"] == SMALL
    assert life.on(Resized("app", "c1", LARGE)) == []
    assert life.status()["resources"] == LARGE
    assert life.status()["restartCount"] == 0
    assert "PodResizeInProgress" not in types(life)


def test_the_same_amount_in_other_words_is_no_resize() -> None:
    life = running()
    other = {"requests": {"cpu": "0.1", "memory": "65536Ki"}, "limits": SMALL["limits"]}
    assert life.on(Seen(sized(other))) == []


def test_who_asks_for_a_restart_gets_one() -> None:
    life = running([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}])
    life.on(Seen(sized(LARGE, [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}])))
    assert life.on(Granted({"app": LARGE})) == [Stop("app", "c1", 30.0)]
    assert life.records[-1].message == "Container app resize requires restart"
    assert life.end(0) == [Pull("app")]
    assert life.run(id="c2") == [Launch("app", 1, "sha256:1")]
    assert life.status()["restartCount"] == 1
    assert life.status()["resources"] == LARGE
    assert "PodResizeInProgress" not in types(life)


def test_a_resize_waits_for_room() -> None:
    life = running()
    life.on(Seen(sized(LARGE)))
    assert life.on(NotGranted("Deferred", "full")) == []
    pending = life.condition("PodResizePending")
    assert (pending["status"], pending["reason"], pending["message"]) == ("True", "Deferred", "full")
    assert "ResizeDeferred" in life.reasons
    assert life.on(RoomMade()) == [AskForRoom()]
    assert life.on(Granted({"app": LARGE})) == [Resize("app", "c1")]
    assert "PodResizePending" not in types(life)


def test_what_never_fits_is_not_asked_again_until_it_changes() -> None:
    life = running()
    life.on(Seen(sized(LARGE)))
    life.on(NotGranted("Infeasible", "too much"))
    assert life.on(RoomMade()) == []
    assert life.condition("PodResizePending")["reason"] == "Infeasible"
    assert life.on(Seen(sized(SMALL))) == []
    assert "PodResizePending" not in types(life)


def test_what_the_kernel_refuses_is_tried_again() -> None:
    life = running()
    life.on(Seen(sized(LARGE)), Granted({"app": LARGE}))
    assert life.on(ResizeFailed("app", "c1", "below current usage")) == []
    progress = life.condition("PodResizeInProgress")
    assert (progress["reason"], progress["message"]) == ("Error", "below current usage")
    assert life.wake() == [Resize("app", "c1")]
    life.on(Resized("app", "c1", LARGE))
    assert "PodResizeInProgress" not in types(life)


def test_an_agent_that_restarts_knows_what_was_granted() -> None:
    life = running()
    obj = {**sized(LARGE), "status": life.written}
    found = Found("app", "c1", "sha256:1", 0, running=True, started_at=life.now)
    again = Life(obj)
    again.state = restore(obj, [found], ("10.244.0.5",), life.now)
    again.up()
    assert again.status()["resources"] == SMALL
    assert again.state.asking


def test_a_node_that_ends_a_pod() -> None:
    life = running()
    assert life.on(Doomed("Evicted", "no room", 1.0, "TerminationByKubelet")) == [Stop("app", "c1", 1.0)]
    assert life.phase == "Running"
    assert "reason" not in life.written
    life.end(137)
    assert (life.phase, life.written["reason"], life.written["message"]) == ("Failed", "Evicted", "no room")
    disrupted = life.condition("DisruptionTarget")
    assert (disrupted["status"], disrupted["reason"], disrupted["message"]) == ("True", "TerminationByKubelet", "no room")
    assert life.on(Doomed("Terminated", "twice")) == []
    assert life.written["reason"] == "Evicted"


def test_a_pod_that_the_node_refuses() -> None:
    life = Life(sized(SMALL))
    assert life.on(Doomed("OutOfcpu", "too much", rejected=True), Seen(sized(SMALL))) == []
    assert (life.phase, life.written["reason"], life.written["message"]) == ("Failed", "OutOfcpu", "Pod was rejected: too much")
    assert "containerStatuses" not in life.written
    assert life.reasons == ["OutOfcpu"]
