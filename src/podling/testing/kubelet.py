"""Nodes without machines: objects, and a kubelet that makes pods run by writing that they do."""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

from podling.aio.tasks import Tasks
from podling.api.objects import Object, get, is_deleting, key_of, name_of, namespace_of, uid_of
from podling.api.timestamps import micro, rfc3339
from podling.client.client import Client
from podling.client.errors import FAILURES
from podling.client.informer import Informers
from podling.client.resource import LEASES, NODES, PODS
from podling.store.base import Store
from podling.testing.clock import ManualClock


def node(name: str, cpu: str = "4", memory: str = "8Gi", **labels: str) -> Object:
    capacity = {"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "100Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "status": {"capacity": capacity, "allocatable": capacity, "conditions": [{"type": "Ready", "status": "True"}]},
    }


_RENEWED = re.compile(rb'"renewTime":"[^"]*"')

Script = Callable[[Object], tuple[float, int] | None]
"""Of a pod: after how many seconds its containers end, and with which exit code; None: never."""


def endless(pod: Object) -> None:
    return None


class ToyKubelet:
    """Makes what is bound to its nodes run and be ready at once, lets go of what is deleted, and renews the nodes' leases.

    `silent` nodes do nothing of it: what ran goes on there. Images named in `broken` never get ready. `script` tells which pods
    end by themselves. `running` has the pods whose containers run, by uid, whatever the API says of them; `watchers` are told
    of each that starts (True) and ends. Leases are renewed every `beat` seconds, in the `store` itself: they are most of what
    happens in a large cluster, and nothing of it is in question.
    """

    def __init__(
        self, client: Client, clock: ManualClock, informers: Informers, tasks: Tasks, store: Store, beat: float = 10.0
    ) -> None:
        self._client = client
        self._clock = clock
        self._informers = informers
        self._tasks = tasks
        self._store = store
        self._beat = beat
        self.watchers: list[Callable[[Object, bool], None]] = []
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.script: Script = endless
        self.running: dict[str, Object] = {}
        self._away: set[str] = set()
        self._addresses = 0

    async def register(self, name: str, **labels: str) -> None:
        await self._client.create(NODES, node(name, **labels))
        status = node(name)["status"] | {"conditions": [self._ready()]}
        await self._client.patch(NODES, name, {"status": status}, subresource="status")
        spec = {"holderIdentity": name, "leaseDurationSeconds": int(4 * self._beat), "renewTime": micro(self._clock.now())}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
        await self._client.create(LEASES, lease, "kube-node-lease")

    def _ready(self) -> Object:
        now = rfc3339(self._clock.now())
        return {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }

    async def run(self) -> None:
        self._informers.of(PODS).add_handler(self._pod)
        while True:
            await self._clock.sleep(self._beat)
            for one in list(self._informers.of(NODES).cache):
                if name_of(one) not in self.silent:
                    await self._live(one)
                    self._catch_up(name_of(one))
            self._away = set(self.silent)

    def _catch_up(self, name: str) -> None:
        """A node that was silent sees what it has missed."""
        if name in self._away:
            for pod in self._informers.of(PODS).cache:
                if pod["spec"].get("nodeName") == name:
                    self._pod(None, pod)

    async def _live(self, one: Object) -> None:
        lease = f"/{LEASES.group}/{LEASES.plural}/kube-node-lease/{name_of(one)}"
        if (found := await self._store.get(lease)) is not None:
            await self._store.put(lease, _RENEWED.sub(f'"renewTime":"{micro(self._clock.now())}"'.encode(), found.value))
        conditions = get(one, "status.conditions", [])
        if any(entry["type"] == "Ready" and entry["status"] != "True" for entry in conditions):
            patch = {"status": {"conditions": [self._ready()]}}
            await self._client.patch(NODES, name_of(one), patch, type="strategic", subresource="status")

    def _pod(self, old: Object | None, new: Object | None) -> None:
        if new is None or not new["spec"].get("nodeName") or new["spec"]["nodeName"] in self.silent:
            return
        if is_deleting(new):
            self._tasks.start(self._let_go(new), f"let go of {key_of(new)}")
        elif get(new, "status.phase") == "Pending" and uid_of(new) not in self.running:
            self._tasks.start(self._start(new), f"start {key_of(new)}")

    async def _start(self, pod: Object) -> None:
        self._runs(pod, True)
        now = rfc3339(self._clock.now())
        ready = "False" if pod["spec"]["containers"][0]["image"] in self.broken else "True"
        self._addresses += 1
        address = f"10.{64 + (self._addresses >> 16)}.{self._addresses >> 8 & 255}.{self._addresses & 255}"
        conditions = [{"type": kind, "status": ready, "lastTransitionTime": now} for kind in ("Ready", "ContainersReady")]
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": now,
            "conditions": conditions,
        }
        await self._try(self._patch(pod, status))
        if (ending := self.script(pod)) is not None:
            await self._end(pod, *ending)

    def _runs(self, pod: Object, on: bool) -> None:
        if on:
            self.running[uid_of(pod)] = pod
        else:
            self.running.pop(uid_of(pod), None)
        for watcher in self.watchers:
            watcher(pod, on)

    async def _end(self, pod: Object, seconds: float, code: int) -> None:
        await self._clock.sleep(seconds)
        if uid_of(pod) not in self.running:
            return  # it was killed before
        self._runs(pod, False)
        if pod["spec"]["nodeName"] in self.silent:
            return
        now = rfc3339(self._clock.now())
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": now}
        statuses = [{"name": one["name"], "state": {"terminated": ended}} for one in pod["spec"]["containers"]]
        conditions = [{"type": "Ready", "status": "False", "reason": "PodCompleted", "lastTransitionTime": now}]
        phase = "Failed" if code else "Succeeded"
        await self._try(self._patch(pod, {"phase": phase, "containerStatuses": statuses, "conditions": conditions}))

    async def _patch(self, pod: Object, status: Object) -> None:
        patch = {"metadata": {"uid": uid_of(pod)}, "status": status}
        await self._client.patch(PODS, name_of(pod), patch, namespace_of(pod), type="strategic", subresource="status")

    async def _let_go(self, pod: Object) -> None:
        self._runs(pod, False)
        if pod["metadata"].get("finalizers") and get(pod, "status.phase") == "Running":
            await self._try(self._patch(pod, {"phase": "Failed"}))  # somebody wants to know how it ended
        await self._try(self._client.delete(PODS, name_of(pod), namespace_of(pod), grace=0, uid=uid_of(pod)))

    async def _try(self, work: Awaitable[object]) -> None:
        with suppress(*FAILURES):  # it went meanwhile
            await work
