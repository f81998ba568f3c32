"""The pod machine, as tables: what happens, what it asks for, what the status says."""

from typing import Any

import pytest

from podling.node.pod.backoff import Backoff
from podling.node.pod.events import (
    ConfigurationChanged,
    Event,
    Exited,
    HookFailed,
    LaunchFailed,
    Probed,
    Pulled,
    PullFailed,
    SandboxDown,
    SandboxFailed,
    SandboxUp,
    Seen,
    Started,
    TracesCleared,
    VolumesDown,
    VolumesFailed,
    VolumesUp,
    Woke,
)
from podling.node.pod.instructions import (
    CancelPull,
    ClearTraces,
    DropSandbox,
    DropVolumes,
    Forget,
    Instruction,
    Launch,
    MakeSandbox,
    MakeVolumes,
    Pull,
    Record,
    Stop,
)
from podling.node.pod.lifecycle import begin, next_wake, probes_wanted, restore, step
from podling.node.pod.spec import qos_class
from podling.node.pod.state import Found
from podling.node.pod.status import pod_status

T0 = 1_700_000_000.0


def pod(**spec: Any) -> dict[str, Any]:
    spec.setdefault("containers", [{"name": "app", "image": "busybox"}])
    return {"metadata": {"name": "web", "namespace": "default", "uid": "u1"}, "spec": spec}


def deleted(obj: dict[str, Any], grace: int = 30) -> dict[str, Any]:
    metadata = {**obj["metadata"], "deletionTimestamp": "2024-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace}
    return {**obj, "metadata": metadata}


class Life:
    """A pod on a node whose time stands still until it is turned."""

    def __init__(self, obj: dict[str, Any]) -> None:
        self.now = T0
        self.state = begin(obj, T0)
        self.records: list[Record] = []
        self.written: dict[str, Any] = {}

    def on(self, *events: Event) -> list[Instruction]:
        asked: list[Instruction] = []
        for event in events:
            self.state, instructions = step(self.state, event, self.now)
            self.records += [i for i in instructions if isinstance(i, Record)]
            asked += [i for i in instructions if not isinstance(i, Record)]
            self.written = pod_status(self.state, self.written, "10.0.0.1", self.now)
        return asked

    def wake(self) -> list[Instruction]:
        at = next_wake(self.state, self.now)
        assert at is not None, "nothing to wake for"
        self.now = at
        return self.on(Woke())

    def up(self) -> list[Instruction]:
        self.on(Seen(self.state.pod))
        return self.on(VolumesUp(), SandboxUp(("10.244.0.5",)))

    def run(self, name: str = "app", id: str = "c1") -> list[Instruction]:
        return self.on(Pulled(name, "sha256:1"), Started(name, id, self.now))

    def end(self, code: int, name: str = "app", id: str = "c1", **more: Any) -> list[Instruction]:
        return self.on(Exited(name, id, code, self.now, **more))

    @property
    def phase(self) -> str:
        return str(self.written["phase"])

    def status(self, name: str = "app") -> dict[str, Any]:
        every = self.written["containerStatuses"] + self.written.get("initContainerStatuses", [])
        return next(s for s in every if s["name"] == name)

    def condition(self, name: str) -> dict[str, Any]:
        return next(c for c in self.written["conditions"] if c["type"] == name)

    @property
    def reasons(self) -> list[str]:
        return [r.reason for r in self.records]


def running(**spec: Any) -> Life:
    life = Life(pod(**spec))
    life.up()
    life.run()
    return life


def test_a_pod_comes_up() -> None:
    life = Life(pod())
    assert life.on(Seen(life.state.pod)) == [MakeSandbox(), MakeVolumes()]
    assert life.phase == "Pending"
    assert life.status()["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert life.on(VolumesUp()) == []
    assert life.on(SandboxUp(("10.244.0.5",))) == [Pull("app")]
    assert life.on(Pulled("app", "sha256:1")) == [Launch("app", 0, "sha256:1")]
    assert life.on(Started("app", "c1", T0)) == []
    assert life.phase == "Running"
    assert life.written["podIP"] == "10.244.0.5"
    assert life.status()["ready"] is True
    assert life.status()["containerID"] == "podling://c1"
    assert [c["status"] for c in life.written["conditions"]] == ["True"] * 5
    assert next_wake(life.state, life.now) is None


def test_init_containers_run_one_after_the_other_before_the_rest() -> None:
    life = Life(pod(initContainers=[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]))
    assert life.up() == [Pull("a")]
    assert life.status()["state"] == {"waiting": {"reason": "PodInitializing"}}
    life.run("a", "ca")
    assert life.phase == "Pending"
    assert life.condition("Initialized")["message"] == "containers with incomplete status: [a b]"
    assert life.end(0, "a", "ca") == [Pull("b")]
    life.run("b", "cb")
    assert life.end(0, "b", "cb") == [Pull("app")]
    life.run()
    assert (life.phase, life.condition("Initialized")["status"]) == ("Running", "True")
    assert life.status("a")["state"]["terminated"]["reason"] == "Completed"
    assert life.status("a")["ready"] is True


def test_a_failing_init_container_is_tried_again_unless_the_pod_never_restarts() -> None:
    for policy, phase in (("Always", "Pending"), ("OnFailure", "Pending"), ("Never", "Failed")):
        life = Life(pod(initContainers=[{"name": "a", "image": "i"}], restartPolicy=policy))
        life.up()
        life.run("a", "ca")
        asked = life.end(1, "a", "ca")
        assert life.phase == phase
        assert asked == ([DropSandbox(), DropVolumes()] if policy == "Never" else [Pull("a")])


def test_a_sidecar_starts_before_and_stops_after_the_application() -> None:
    life = Life(pod(initContainers=[{"name": "mesh", "image": "i", "restartPolicy": "Always"}]))
    assert life.up() == [Pull("mesh")]
    assert life.run("mesh", "cm") == [Launch("mesh", 0, "sha256:1"), Pull("app")]
    life.run()
    assert life.on(Seen(deleted(life.state.pod))) == [Stop("app", "c1", 30)]
    assert life.end(143) == [Stop("mesh", "cm", 30)]
    assert life.end(0, "mesh", "cm") == [DropSandbox(), DropVolumes()]


def test_a_finished_job_ends_its_sidecar() -> None:
    life = Life(pod(initContainers=[{"name": "mesh", "image": "i", "restartPolicy": "Always"}], restartPolicy="Never"))
    life.up()
    life.run("mesh", "cm")
    life.run()
    assert life.end(0) == [Stop("mesh", "cm", 30)]
    assert life.end(137, "mesh", "cm") == [DropSandbox(), DropVolumes()]
    assert life.phase == "Succeeded"


def test_a_crashed_sidecar_comes_back_while_the_application_runs() -> None:
    life = Life(pod(initContainers=[{"name": "mesh", "image": "i", "restartPolicy": "Always"}]))
    life.up()
    life.run("mesh", "cm")
    life.run()
    assert life.end(1, "mesh", "cm") == [Pull("mesh")]
    assert life.condition("ContainersReady")["message"] == "containers with unready status: [mesh]"


def test_containers_start_in_order() -> None:
    life = Life(pod(containers=[{"name": "app", "image": "i"}, {"name": "two", "image": "j"}]))
    assert life.up() == [Pull("app"), Pull("two")]
    assert life.on(Pulled("two", "sha256:2")) == []
    assert life.on(Pulled("app", "sha256:1")) == [Launch("app", 0, "sha256:1")]
    assert life.on(Started("app", "c1", T0)) == [Launch("two", 0, "sha256:2")]
    assert life.phase == "Pending"
    life.on(Started("two", "c2", T0))
    assert life.phase == "Running"


def test_a_missing_image_does_not_hold_back_the_other_container() -> None:
    life = Life(pod(containers=[{"name": "bad", "image": "i"}, {"name": "app", "image": "j"}]))
    life.up()
    life.on(Pulled("app", "sha256:2"))
    assert life.on(PullFailed("bad", "ErrImagePull", "no such image")) == [Launch("app", 0, "sha256:2")]


@pytest.mark.parametrize(
    ("policy", "code", "phase", "again"),
    [
        ("Always", 0, "Running", True),
        ("Always", 1, "Running", True),
        ("OnFailure", 0, "Succeeded", False),
        ("OnFailure", 1, "Running", True),
        ("Never", 0, "Succeeded", False),
        ("Never", 1, "Failed", False),
    ],
)
def test_restart_policies(policy: str, code: int, phase: str, again: bool) -> None:
    life = running(restartPolicy=policy)
    asked = life.end(code)
    assert asked == ([Pull("app")] if again else [DropSandbox(), DropVolumes()])
    assert life.phase == phase
    end = life.status()["state"]["terminated"]
    assert (end["exitCode"], end["reason"]) == (code, "Completed" if code == 0 else "Error")


def test_a_crashing_container_waits_longer_each_time() -> None:
    life = running()
    waits = []
    for number in range(1, 9):
        life.end(1, id=f"c{number}")
        before = life.now
        if number > 1:
            assert life.status()["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            assert life.status()["lastState"]["terminated"]["exitCode"] == 1
            assert life.wake() == [Pull("app")]
        waits.append(life.now - before)
        life.run(id=f"c{number + 1}")
        assert life.status()["restartCount"] == number
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert life.phase == "Running"


def test_the_message_of_a_crash_loop() -> None:
    life = running()
    life.end(1)
    life.run(id="c2")
    life.end(1, id="c2")
    waiting = life.status()["state"]["waiting"]
    assert waiting["message"] == "back-off 10s restarting failed container=app pod=web_default(u1)"
    assert life.reasons.count("BackOff") == 1


def test_a_container_that_ran_well_for_long_restarts_at_once() -> None:
    life = running()
    life.end(1)
    life.run(id="c2")
    life.now += 601
    assert life.end(1, id="c2") == [Pull("app")]


def test_backoff_stays_below_five_minutes() -> None:
    assert Backoff(300.0, T0).attempt(T0 + 300).delay == 300.0


def test_out_of_memory_is_told() -> None:
    life = running(restartPolicy="Never")
    life.end(137, oom_killed=True)
    assert life.status()["state"]["terminated"]["reason"] == "OOMKilled"


def test_a_pull_that_fails_backs_off_and_goes_on() -> None:
    life = Life(pod())
    life.up()
    life.on(PullFailed("app", "ErrImagePull", "connection refused"))
    assert life.status()["state"]["waiting"] == {"reason": "ErrImagePull", "message": "connection refused"}
    life.wake()
    waiting = life.status()["state"]["waiting"]
    assert waiting["reason"] == "ImagePullBackOff"
    assert waiting["message"] == 'Back-off pulling image "busybox": ErrImagePull: connection refused'
    assert life.wake() == [Pull("app")]
    assert life.now == T0 + 10
    life.on(PullFailed("app", "ErrImagePull", "connection refused"))
    life.wake()
    assert life.wake() == [Pull("app")]
    assert life.now == T0 + 30
    assert life.run() == [Launch("app", 0, "sha256:1")]
    assert (life.phase, life.status()["restartCount"]) == ("Running", 0)


def test_a_container_that_cannot_be_made_is_tried_again_as_the_same_one() -> None:
    life = Life(pod())
    life.up()
    life.on(Pulled("app", "sha256:1"), LaunchFailed("app", "CreateContainerConfigError", 'configmap "x" not found'))
    assert life.status()["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    assert life.wake() == [Pull("app")]
    assert life.run() == [Launch("app", 0, "sha256:1")]
    assert life.status()["restartCount"] == 0


def test_configuration_that_appears_is_taken_at_once() -> None:
    life = Life(pod())
    life.on(Seen(life.state.pod))
    life.on(VolumesFailed('secret "x" not found'), SandboxUp(("10.244.0.5",)))
    assert life.on(ConfigurationChanged()) == [MakeVolumes()]
    life.on(VolumesUp(), Pulled("app", "sha256:1"), LaunchFailed("app", "CreateContainerConfigError", "no key"))
    assert life.on(ConfigurationChanged()) == [Pull("app")]


def test_a_program_that_cannot_start_counts_as_a_crash() -> None:
    life = Life(pod())
    life.up()
    life.on(Pulled("app", "sha256:1"))
    assert life.on(LaunchFailed("app", "StartError", "no such file", "c1")) == [Pull("app")]
    assert life.status()["state"]["terminated"]["exitCode"] == 128
    assert life.phase == "Running"


def test_a_failed_post_start_hook_ends_the_container() -> None:
    life = Life(pod(terminationGracePeriodSeconds=5))
    life.up()
    life.on(Pulled("app", "sha256:1"))
    assert life.on(HookFailed("app", "c1", "exit code 1")) == [Stop("app", "c1", 5)]
    assert life.end(137) == [Pull("app")]
    assert "FailedPostStartHook" in life.reasons


def test_sandbox_and_volumes_are_tried_again() -> None:
    life = Life(pod())
    life.on(Seen(life.state.pod))
    life.on(VolumesFailed("MountVolume.SetUp failed"), SandboxFailed("no address left"))
    assert life.reasons == ["FailedMount", "FailedCreatePodSandBox"]
    assert (life.wake(), life.now) == ([MakeVolumes()], T0 + 0.5)
    assert (life.wake(), life.now) == ([MakeSandbox()], T0 + 1)


def test_deletion_goes_down_in_order() -> None:
    life = running()
    assert life.on(Seen(deleted(life.state.pod, 7))) == [Stop("app", "c1", 7)]
    assert life.phase == "Running"
    assert life.end(143) == [DropSandbox(), DropVolumes()]
    assert life.on(SandboxDown()) == []
    assert life.on(VolumesDown()) == [ClearTraces()]
    assert life.on(TracesCleared()) == [Forget()]
    assert (life.phase, life.status()["state"]["terminated"]["exitCode"]) == ("Failed", 143)
    assert life.state.over


def test_an_impatient_second_deletion_shortens_the_grace() -> None:
    life = running()
    life.on(Seen(deleted(life.state.pod, 30)))
    assert life.on(Seen(deleted(life.state.pod, 0))) == [Stop("app", "c1", 0)]
    assert life.on(Seen(deleted(life.state.pod, 30))) == []


def test_deletion_while_pulling_cancels_it() -> None:
    life = Life(pod())
    life.up()
    assert life.on(Seen(deleted(life.state.pod))) == [CancelPull("app"), DropSandbox(), DropVolumes()]
    assert life.on(Pulled("app", "sha256:1")) == []


def test_deletion_while_launching_waits_for_the_outcome() -> None:
    life = Life(pod())
    life.up()
    life.on(Pulled("app", "sha256:1"))
    assert life.on(Seen(deleted(life.state.pod))) == []
    assert life.on(Started("app", "c1", T0)) == [Stop("app", "c1", 30)]


def test_deletion_before_anything_was_made() -> None:
    life = Life(deleted(pod()))
    assert life.on(Seen(life.state.pod)) == [ClearTraces()]
    assert life.on(TracesCleared()) == [Forget()]


def test_deletion_while_the_sandbox_is_being_made_waits_for_it() -> None:
    life = Life(pod())
    life.on(Seen(life.state.pod))
    assert life.on(Seen(deleted(life.state.pod))) == []
    assert life.on(VolumesFailed("x")) == []
    assert life.on(SandboxUp(("10.244.0.5",))) == [DropSandbox()]
    assert life.on(SandboxDown()) == [ClearTraces()]


def test_a_deadline_ends_the_pod() -> None:
    life = running(activeDeadlineSeconds=60)
    assert life.wake() == [Stop("app", "c1", 30)]
    assert life.now == T0 + 60
    life.end(143)
    assert (life.phase, life.written["reason"]) == ("Failed", "DeadlineExceeded")


PROBED = {"name": "app", "image": "i", "startupProbe": {}, "livenessProbe": {"failureThreshold": 2}, "readinessProbe": {}}


def test_startup_gates_the_other_probes() -> None:
    life = running(containers=[PROBED])
    assert probes_wanted(life.state) == {("app", "c1", "startup")}
    assert (life.status()["started"], life.status()["ready"]) == (False, False)
    life.on(Probed("app", "c1", "startup", True))
    assert probes_wanted(life.state) == {("app", "c1", "liveness"), ("app", "c1", "readiness")}
    assert (life.status()["started"], life.status()["ready"]) == (True, False)
    life.on(Probed("app", "c1", "readiness", True))
    assert life.status()["ready"] is True


def test_readiness_falls_at_its_threshold_and_comes_back() -> None:
    life = running(containers=[{**PROBED, "startupProbe": None}])
    life.on(Probed("app", "c1", "readiness", True))
    life.on(*[Probed("app", "c1", "readiness", False, "HTTP probe failed with statuscode: 500")] * 2)
    assert life.condition("Ready")["status"] == "True"
    life.on(Probed("app", "c1", "readiness", False))
    assert life.condition("Ready")["reason"] == "ContainersNotReady"
    assert life.records[-2].message == "Readiness probe failed: HTTP probe failed with statuscode: 500"
    life.on(Probed("app", "c1", "readiness", True))
    assert life.condition("Ready")["status"] == "True"


def test_liveness_kills_at_its_threshold_once() -> None:
    life = running(containers=[{**PROBED, "startupProbe": None}])
    assert life.on(Probed("app", "c1", "liveness", False)) == []
    assert life.on(Probed("app", "c1", "liveness", False)) == [Stop("app", "c1", 30)]
    assert life.on(Probed("app", "c1", "liveness", False)) == []
    assert life.records[-2].message == "Container app failed liveness probe, will be restarted"
    assert life.end(137) == [Pull("app")]


def test_results_for_an_earlier_incarnation_are_dropped() -> None:
    life = running(containers=[{**PROBED, "startupProbe": None}])
    life.on(Probed("app", "c0", "readiness", True), Exited("app", "c0", 1, T0))
    assert life.status()["ready"] is False
    assert life.status()["state"].keys() == {"running"}


def test_transition_times_stay_while_the_status_stays() -> None:
    life = running()
    before = life.condition("Ready")
    life.now += 100
    life.on(Woke())
    assert life.condition("Ready") == before


def test_readiness_gates_and_conditions_of_others() -> None:
    obj = pod(readinessGates=[{"conditionType": "lb/ok"}])
    life = Life(obj)
    life.up()
    life.run()
    assert life.condition("Ready")["message"] == 'corresponding condition of pod readiness gate "lb/ok" does not exist.'
    theirs = {"type": "lb/ok", "status": "True", "lastTransitionTime": "2024-01-01T00:00:00Z"}
    life.on(Seen({**obj, "status": {"conditions": [theirs]}}))
    assert life.condition("Ready")["status"] == "True"
    assert life.condition("lb/ok") == theirs


def test_an_agent_that_restarts_finds_its_pod_as_it_was() -> None:
    obj = pod()
    life = Life(obj)
    crashed = running()
    crashed.end(3)
    crashed.run(id="c1")
    known = crashed.status()
    found = Found("app", "c1", "sha256:1", 2, True, T0 - 50)
    life.state = restore({**obj, "status": {"containerStatuses": [known]}}, [found], ("10.244.0.5",), T0)
    assert life.on(Seen(obj)) == [MakeVolumes()]
    assert life.on(VolumesUp()) == []
    assert (life.phase, life.status()["restartCount"], life.status()["ready"]) == ("Running", 2, True)
    assert life.status()["lastState"] == known["lastState"]
    assert life.written["startTime"] == "2023-11-14T22:12:30Z"


def test_after_a_reboot_everything_starts_anew() -> None:
    obj = pod(initContainers=[{"name": "a", "image": "i"}])
    found = [Found("a", "ca", "sha256:1", 0, False, T0 - 60), Found("app", "c1", "sha256:1", 2, False, T0 - 50)]
    life = Life(obj)
    life.state = restore(obj, found, None, T0)
    assert life.up() == [Pull("a")]
    assert life.run("a", "ca2") == [Launch("a", 1, "sha256:1")]
    assert life.end(0, "a", "ca2") == [Pull("app")]
    assert life.run(id="c2") == [Launch("app", 3, "sha256:1")]


def _resources(requests: dict[str, str], limits: dict[str, str]) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": requests, "limits": limits}}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([{"name": "c"}], "BestEffort"),
        ([_resources({"cpu": "0"}, {})], "BestEffort"),
        ([_resources({"cpu": "1"}, {})], "Burstable"),
        ([_resources({}, {"cpu": "1", "memory": "1Gi"})], "Guaranteed"),
        ([_resources({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"})], "Guaranteed"),
        ([_resources({"cpu": "500m", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"})], "Burstable"),
        ([_resources({}, {"cpu": "1", "memory": "1Gi"}), {"name": "d"}], "Burstable"),
    ],
)
def test_quality_of_service(containers: list[dict[str, Any]], expected: str) -> None:
    assert qos_class(pod(containers=containers)) == expected


def test_an_ephemeral_container_joins_runs_once_and_counts_for_nothing() -> None:
    life = running()
    joined = {**life.state.pod, "spec": {**life.state.pod["spec"], "ephemeralContainers": [{"name": "look", "image": "busybox"}]}}
    assert life.on(Seen(joined)) == [Pull("look")]
    assert life.condition("ContainersReady")["status"] == "True"
    life.run("look", "e1")
    assert "running" in life.written["ephemeralContainerStatuses"][0]["state"]
    assert life.end(1, "look", "e1") == []
    assert life.written["ephemeralContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 1
    assert (life.phase, life.condition("Ready")["status"]) == ("Running", "True")
    again = restore(joined, [Found("app", "c1", "sha256:1", 0, True, T0)], ("10.244.0.5",), T0)
    assert [c.role for c in again.containers] == ["app", "ephemeral"]


def test_a_pod_takes_its_ephemeral_containers_down_with_it() -> None:
    life = running()
    joined = {**life.state.pod, "spec": {**life.state.pod["spec"], "ephemeralContainers": [{"name": "look", "image": "busybox"}]}}
    life.on(Seen(joined))
    life.run("look", "e1")
    assert [order.container for order in life.on(Seen(deleted(joined))) if isinstance(order, Stop)] == ["app", "look"]
