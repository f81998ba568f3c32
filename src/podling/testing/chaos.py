"""Chaos: server, agent and containers of a podling end at random while a Deployment, a StatefulSet and an indexed Job run.

    python -m podling.testing.chaos --seed 7 --seconds 600

Watched all the time: no identity of the StatefulSet runs twice; the Job's count only grows, and counts each index once and
only where its work was done. At the end all are as asked for. The seed decides what is done and when; how the machine's own
time falls between that, it can't decide.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from podling.linux.cgroup import Group
from podling.testing.podling import Podling, running_podling
from podling.testing.workloads import eventually

REPLICAS = 3
CONVERGE_SECONDS = 120.0
LONGEST_BACK_OFF = 300.0  # of a container that was killed again and again
WATCH_PERIOD = 0.1
WATCH_SECONDS = 5  # that kubectl follows the Job at a time
WORK = "sleep 1; echo $JOB_COMPLETION_INDEX >> /done/indexes"
SERVE = "exec httpd -f -p 8080 -h /etc"


@dataclass
class Report:
    """What was done, as (seconds, action, to what), and what did not hold."""

    done: list[tuple[float, str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    begin: float = field(default_factory=time.monotonic)

    def note(self, action: str, what: str) -> None:
        self.done.append((time.monotonic() - self.begin, action, what))

    def violate(self, text: str) -> None:
        if text not in self.broken:
            self.broken.append(text)
            self.note("BROKEN", text)

    def table(self) -> str:
        return "\n".join(f"{at:7.1f}  {action:<9}  {what}" for at, action, what in self.done)


# --- what runs


def workloads(completions: int, folder: Path) -> list[dict[str, Any]]:
    """The Deployment `web`, the StatefulSet `db` with its Service, and the Job `work`, whose indexes are written in `folder`."""
    job = _template("work", WORK, restartPolicy="OnFailure", volumes=[{"name": "done", "hostPath": {"path": str(folder)}}])
    job["spec"]["containers"][0]["volumeMounts"] = [{"name": "done", "mountPath": "/done"}]
    indexed = {"completionMode": "Indexed", "completions": completions, "parallelism": REPLICAS, "backoffLimit": 10_000}
    service = {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 8080}]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": service},
        _set("Deployment", "web"),
        _set("StatefulSet", "db", serviceName="db"),
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": {**indexed, "template": job}},
    ]


def _set(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    whole = {"replicas": REPLICAS, "selector": {"matchLabels": {"app": name}}, "template": _template(name, SERVE), **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": whole}


def _template(name: str, script: str, **spec: Any) -> dict[str, Any]:
    variable = {"name": "CHAOS_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    container = {"name": "main", "image": "busybox", "imagePullPolicy": "IfNotPresent", "env": [variable]}
    inner = {"terminationGracePeriodSeconds": 1, "containers": [{**container, "command": ["sh", "-c", script]}], **spec}
    return {"metadata": {"labels": {"app": name}}, "spec": inner}


# --- what is watched


def running(instance: str) -> dict[str, dict[str, int]]:
    """Pod name -> its running containers: PID namespace -> a process in it. As the kernel has it, whoever knows of it."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for pid in Group(f"/{instance}").pids():
        with suppress(OSError):
            words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if name := next((word for word in words if word.startswith(b"CHAOS_POD=")), None):
                found[name.partition(b"=")[2].decode()].setdefault(os.readlink(f"/proc/{pid}/ns/pid"), pid)
    return found


def twice(instance: str) -> Iterator[str]:
    """The pods of the StatefulSet that have two running containers, in two looks: one may have ended during the first."""
    suspects = {name: set(spaces) for name, spaces in running(instance).items() if name.startswith("db-") and len(spaces) > 1}
    if suspects:
        again = running(instance)
        yield from (name for name, spaces in suspects.items() if len(spaces & set(again.get(name, ()))) > 1)


@dataclass
class Ledger:
    """The Job's count as it was told, against the work that was done."""

    folder: Path
    indexes: frozenset[int] = frozenset()

    def see(self, succeeded: int, indexes: frozenset[int]) -> Iterator[str]:
        """What is wrong with this status, given those before."""
        if lost := self.indexes - indexes:
            yield f"the Job has lost the completions {sorted(lost)}"
        if succeeded != len(indexes):
            yield f"the Job counts {succeeded} completions of the indexes {sorted(indexes)}"
        if invented := indexes - self.worked():
            yield f"the Job counts {sorted(invented)}, whose work was not done"
        self.indexes |= indexes

    def worked(self) -> frozenset[int]:
        file = self.folder / "indexes"
        return frozenset(map(int, file.read_text().split())) if file.exists() else frozenset()


def parse_indexes(text: str) -> frozenset[int]:
    """`0-2,5` as in a Job's `completedIndexes`."""
    ends = ([int(end) for end in part.split("-")] for part in text.split(",") if part)
    return frozenset(index for each in ends for index in range(each[0], each[-1] + 1))


@contextmanager
def watched(podling: Podling, ledger: Ledger, report: Report) -> Iterator[None]:
    """While it lasts, a thread looks at what runs and another follows the Job; both tell `report` what does not hold."""
    over = threading.Event()

    def reported(watch: Callable[[], None]) -> None:
        try:
            watch()
        except Exception as error:
            report.violate(f"the watch has ended: {error!r}")

    watches = (
        partial(_watch_identities, podling.config.instance, report, over),
        partial(_watch_job, podling, ledger, report, over),
    )
    threads = [threading.Thread(target=reported, args=(watch,)) for watch in watches]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _watch_identities(instance: str, report: Report, over: threading.Event) -> None:
    while not over.wait(WATCH_PERIOD):
        for name in twice(instance):
            report.violate(f"{name} runs twice")


def _watch_job(podling: Podling, ledger: Ledger, report: Report, over: threading.Event) -> None:
    """Follow the Job's status with kubectl, anew when its time is over or the server has ended."""
    status = 'jsonpath={.status.succeeded};{.status.completedIndexes}{"\\n"}'
    command = podling.command("kubectl", "get", "job", "work", "--watch", f"--request-timeout={WATCH_SECONDS}s", "-o", status)
    while not over.wait(0.2):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=podling.environment()
        ) as process:
            for line in process.stdout or ():
                succeeded, _, indexes = line.strip().partition(";")
                for text in ledger.see(int(succeeded or 0), parse_indexes(indexes)):
                    report.violate(text)


# --- what is done


class Chaos:
    """What befalls a podling, by a seeded choice."""

    def __init__(self, podling: Podling, choice: random.Random, report: Report) -> None:
        self._podling, self._choice, self._report = podling, choice, report
        self._deeds: dict[Callable[[], None], int] = {
            self._container: 5,
            self._pod: 3,
            lambda: self._processes("agent"): 2,
            lambda: self._processes("server"): 2,
            lambda: self._processes("agent", "server"): 1,
        }

    def next(self) -> None:
        self._choice.choices(list(self._deeds), list(self._deeds.values()))[0]()
        time.sleep(self._choice.uniform(0.2, 3.0))

    def _processes(self, *names: str) -> None:
        """Kill them; perhaps a container as well while they are gone; start them again."""
        for name in names:
            with suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int(self._podling.config.pid_file(name).read_text()), signal.SIGKILL)
        self._report.note("kill", ", ".join(names))
        time.sleep(self._choice.uniform(0.0, 2.0))
        if self._choice.random() < 0.5:
            self._container()
        self._podling.up()
        self._report.note("up", ", ".join(names))

    def _container(self) -> None:
        """Kill what runs in one of the containers."""
        found = running(self._podling.config.instance)
        name = self._choice.choice(sorted(found)) if found else ""
        for pid in found[name].values() if name else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._report.note("kill", f"container of {name or 'no pod: none runs'}")

    def _pod(self) -> None:
        """Delete a pod of a set, in order: its successor has to wait for it."""
        listed = self._podling.kubectl("get", "pods", "-l", "app in (web, db)", "-o", "name").stdout.split()
        name = self._choice.choice(sorted(listed))
        self._podling.kubectl("delete", name, "--wait=false", "--ignore-not-found")
        self._report.note("delete", name)


def converged(podling: Podling, completions: int) -> bool:
    """All as asked for. Raises AssertionError saying what is not."""
    items = podling.get("deployment/web", "statefulset/db", "job/work")["items"]
    web, db, work = (item["status"] for item in items)
    ready = (web.get("readyReplicas"), web.get("replicas"), db.get("readyReplicas"), db.get("replicas"))
    assert ready == (REPLICAS,) * 4, f"ready and all of web, ready and all of db: {ready}"
    assert (work.get("succeeded"), work.get("completedIndexes")) == (completions, f"0-{completions - 1}"), work
    assert any(one["type"] == "Complete" and one["status"] == "True" for one in work["conditions"]), work
    return True


def chaos(seed: int, seconds: float) -> Report:
    """A podling of its own, `seconds` of chaos, and what came of it."""
    report = Report()
    try:
        with running_podling() as podling:
            _befall(podling, seed, seconds, report)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        report.violate(str(error))
    return report


def _befall(podling: Podling, seed: int, seconds: float, report: Report) -> None:
    folder = podling.root / "done"
    folder.mkdir()
    completions = max(6, int(seconds / 3))
    podling.apply(*workloads(completions, folder))
    with watched(podling, Ledger(folder), report):
        eventually(lambda: len(running(podling.config.instance)) >= REPLICAS, CONVERGE_SECONDS)
        report.note("begin", f"seed {seed}, {seconds:g} s, {completions} completions")
        deeds = Chaos(podling, random.Random(seed), report)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            deeds.next()
        report.note("calm", "nothing more is killed")
        try:
            eventually(lambda: converged(podling, completions), CONVERGE_SECONDS + _back_off(seconds))
            report.note("converged", "all as asked for")
        except AssertionError as error:
            report.violate(f"not converged: {error}\n{_evidence(podling)}")


def _evidence(podling: Podling) -> str:
    """What the API says of the pods, and the end of the agent's log: the podling is gone when somebody reads the report."""
    log = podling.config.log_file("agent").read_text(errors="replace").splitlines()
    return "\n".join([podling.kubectl("describe", "pods", check=False).stdout, *log[-100:]])


def _back_off(seconds: float) -> float:
    """The longest that a container which was killed again and again in this time may have to wait."""
    return 0.0 if seconds < 60 else min(seconds, LONGEST_BACK_OFF)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="./dev chaos", description="Kill parts of a podling at random and see that all is well."
    )
    parser.add_argument("--seed", type=int, default=None, help="repeat the choices of a run (random)")
    parser.add_argument("--seconds", type=float, default=600, help="how long things are killed (600)")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10_000) if arguments.seed is None else arguments.seed
    report = chaos(seed, arguments.seconds)
    print(report.table())
    print(f"seed {seed}: " + ("\n".join(report.broken) or "all held"))
    sys.exit(1 if report.broken else 0)


if __name__ == "__main__":
    main()
