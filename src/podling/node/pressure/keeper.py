"""Looks at the machine now and then, and does what the deciders say: conditions, evictions, images thrown away."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.base.errors import PodlingError
from podling.client.errors import FAILURES
from podling.client.events import EventRecorder
from podling.node.admission import is_critical
from podling.node.kubelet.stats import machine
from podling.node.kubelet.stats.collector import Collector
from podling.node.kubelet.stats.values import PodReading
from podling.node.place import NodeConfig
from podling.node.pod.events import Doomed
from podling.node.pod.spec import key_of
from podling.node.pressure import images, ranking
from podling.node.pressure.judging import Amount, Known, judge
from podling.node.pressure.ranking import Use
from podling.node.pressure.thresholds import Threshold
from podling.node.runtime import HeldImage, PodRuntime
from podling.node.worker import PodWorker

log = logging.getLogger(__name__)

IMAGES_EVERY = 300.0
_HARD_GRACE = 1.0
_TERMINATED = "TerminationByKubelet"


class Keeper:
    """`pressed(conditions)` makes the conditions of the node known."""

    def __init__(
        self,
        config: NodeConfig,
        clock: Clock,
        runtime: PodRuntime,
        recorder: EventRecorder,
        collector: Collector,
        workers: Callable[[], Iterable[PodWorker]],
        pressed: Callable[[tuple[str, ...]], None],
    ) -> None:
        self._config = config
        self._settings = config.settings
        self._clock = clock
        self._runtime = runtime
        self._recorder = recorder
        self._collector = collector
        self._workers = workers
        self._pressed = pressed
        self._known = Known()
        self._seen: dict[str, images.Seen] = {}
        self._tasks = Tasks("node pressure")

    def start(self) -> None:
        self._tasks.start(self._look_again_and_again(), "thresholds")
        if self._settings.images_high < 100 or self._settings.image_age_most:
            self._tasks.start(self._collect_again_and_again(), "unused images")

    async def close(self) -> None:
        await self._tasks.cancel()

    # Evictions

    async def _look_again_and_again(self) -> None:
        while True:
            try:
                await self._look()
            except (*FAILURES, OSError) as error:
                log.warning("what the node uses can't be measured, again soon: %s", error)
            await self._clock.sleep(self._settings.measured_every)

    async def _look(self) -> None:
        await self._end_who_exceed()
        amounts = await asyncio.to_thread(measure, self._config.root)
        verdict = self._judge(amounts)
        if verdict is None:
            return
        node = {"kind": "Node", "name": self._config.name, "uid": self._config.name}
        self._recorder.event(node, "Warning", "EvictionThresholdMet", f"Attempting to reclaim {verdict.resource}")
        if verdict.condition == "DiskPressure":
            await self._throw_away(None)
            amounts = await asyncio.to_thread(measure, self._config.root)
            verdict = self._judge(amounts)
        if verdict is not None:
            await self._evict_one(verdict, amounts[verdict.signal])

    def _judge(self, amounts: dict[str, Amount]) -> Threshold | None:
        settings, now = self._settings, self._clock.monotonic()
        verdict, self._known = judge(
            amounts, settings.thresholds, self._known, now, settings.pressure_lasts, settings.minimum_reclaim
        )
        self._pressed(verdict.conditions)
        return verdict.due

    async def _evict_one(self, threshold: Threshold, amount: Amount) -> None:
        if any(worker.state.failure is not None and worker.claim is not None for worker in self._workers()):
            return  # one is on its way: what it leaves counts first
        uses = await self._uses(whole=threshold.resource != "memory")
        for use in ranking.ranked((use for _, use in uses), threshold.resource):
            worker = next(worker for worker, one in uses if one is use)
            if is_critical(use.pod):
                continue
            grace = _HARD_GRACE if threshold.hard else self._settings.soft_grace_most
            worker.post(Doomed("Evicted", ranking.words(use, threshold, amount), grace, _TERMINATED))
            log.warning("pod %s is evicted: %s is low", key_of(use.pod), threshold.resource)
            return

    async def _end_who_exceed(self) -> None:
        """Who has put more on the disk than it may."""
        if not any(ranking.has_local_limits(worker.state.pod) for worker in self._workers() if worker.claim is not None):
            return
        for worker, use in await self._uses(whole=True):
            if message := ranking.local_excess(use):
                worker.post(Doomed("Evicted", message, _HARD_GRACE, _TERMINATED))

    async def _uses(self, *, whole: bool) -> list[tuple[PodWorker, Use]]:
        reading = (await self._collector.whole())[0] if whole else await self._collector.brief()
        known = {pod.uid: pod for pod in reading.pods}
        running = [worker for worker in self._workers() if worker.claim is not None and worker.state.failure is None]
        return [(worker, _use(worker, known[worker.uid])) for worker in running if worker.uid in known]

    # Images

    async def _collect_again_and_again(self) -> None:
        while True:
            try:
                await self.collect()
            except (*FAILURES, OSError) as error:
                log.warning("unused images can't be removed, again later: %s", error)
            await self._clock.sleep(min(IMAGES_EVERY, self._settings.image_age or IMAGES_EVERY))

    async def collect(self) -> None:
        """Remove unused images where the disk is fuller than it may be, and those too old."""
        settings, amount = self._settings, (await asyncio.to_thread(measure, self._config.root))["imagefs.available"]
        free, now = await self._unused(), self._clock.monotonic()
        await self._remove(images.outlived(free, self._seen, now, settings.image_age_most))
        used = amount.capacity - amount.available
        if wanted := images.to_free(used, amount.capacity, settings.images_high, settings.images_low):
            await self._throw_away(wanted)

    async def _throw_away(self, wanted: int | None) -> None:
        """Remove unused images until so many bytes are free; None: all that may go."""
        free = await self._unused()
        chosen = free if wanted is None else images.enough(free, wanted)
        freed = await self._remove(chosen)
        if wanted is not None and freed < wanted:
            node = {"kind": "Node", "name": self._config.name, "uid": self._config.name}
            words = f"Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, "
            self._recorder.event(node, "Warning", "FreeDiskSpaceFailed", f"{words}but only found {freed} bytes eligible to free.")

    async def _unused(self) -> list[HeldImage]:
        held = await self._runtime.images()
        used = {container.image_id for container in await self._runtime.containers()}
        now = self._clock.monotonic()
        self._seen = images.note(held, used, self._seen, now)
        return images.unused(held, used, self._seen, now, self._settings.image_age)

    async def _remove(self, chosen: Iterable[HeldImage]) -> int:
        freed = 0
        for image in chosen:
            try:
                await self._runtime.remove_image(image.id)
                freed += image.size
            except PodlingError as error:  # a container of the Docker API is made of it
                log.info("image %s stays: %s", image.names or image.id, error)
        return freed


def measure(root: Path) -> dict[str, Amount]:
    """What is left of memory, disk and process numbers, by signal. Blocks. Raises OSError."""
    memory = machine.meminfo()["MemTotal"]
    working = machine.machine_use(0.0).working_set
    disk = os.statvfs(root)
    space = Amount(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)
    inodes = Amount(disk.f_ffree, disk.f_files)
    pids = machine.max_pids()
    amounts = {
        "memory.available": Amount(memory - working, memory),
        "pid.available": Amount(pids - machine.running_pids(), pids),
    }
    for name in ("nodefs", "imagefs", "containerfs"):  # one file system holds them all
        amounts[f"{name}.available"] = space
        if inodes.capacity:
            amounts[f"{name}.inodesFree"] = inodes
    return amounts


def _use(worker: PodWorker, reading: PodReading) -> Use:
    volumes = {volume.name: volume.disk for volume in reading.volumes if volume.ephemeral}
    each = {
        container.name: {
            "memory": container.use.working_set,
            "ephemeral-storage": sum(disk.used for disk in (container.rootfs, container.logs) if disk is not None),
            "inodes": sum(disk.inodes_used for disk in (container.rootfs, container.logs) if disk is not None),
        }
        for container in reading.containers
    }
    amounts = {name: sum(one[name] for one in each.values()) for name in ("memory", "ephemeral-storage", "inodes")}
    if reading.use is not None:
        amounts["memory"] = reading.use.working_set or amounts["memory"]
    amounts["ephemeral-storage"] += sum(disk.used for disk in volumes.values())
    amounts["inodes"] += sum(disk.inodes_used for disk in volumes.values())
    amounts["pids"] = sum(container.use.processes for container in reading.containers)
    return Use(worker.granted, amounts, each, {name: disk.used for name, disk in volumes.items()})
