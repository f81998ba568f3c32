"""Pods that a directory of manifests asks for: run like all others, shown to the API as mirrors.

A mirror that somebody deletes is made again; a pod ends when its file goes. Source: Kubernetes, "Create static Pods".
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from podling.aio.tasks import Tasks
from podling.api.timestamps import rfc3339
from podling.base.errors import InvalidInput
from podling.client.errors import FAILURES, AlreadyExists, NotFound
from podling.client.resource import PODS
from podling.linux import inotify
from podling.node import manifests
from podling.node.crew import Crew
from podling.node.pod.events import Vanished
from podling.node.pod.spec import Object, key_of, uid_of
from podling.node.worker import PodWorker

log = logging.getLogger(__name__)

_CHANGES = inotify.CLOSE_WRITE | inotify.MOVED_TO | inotify.MOVED_FROM | inotify.DELETE
_AGAIN = 5.0


class StaticPods:
    """The pods of `directory`. `take_in` begins with a pod, `worker` finds one by uid, `mirror` an object of the API by key, and
    `node` is the Node object."""

    def __init__(
        self,
        crew: Crew,
        directory: Path,
        take_in: Callable[[Object], None],
        worker: Callable[[str], PodWorker | None],
        mirror: Callable[[str], Object | None],
        node: Callable[[], Object],
    ) -> None:
        self._crew = crew
        self._directory = directory
        self._take_in = take_in
        self._worker = worker
        self._mirror = mirror
        self._node = node
        self._pods: dict[str, Object] = {}  # by key
        self._dirty: set[str] = set()
        self._changed = asyncio.Event()
        self._tasks = Tasks("static pods")

    async def start(self) -> None:
        """Begin with what is there, and follow the directory."""
        await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
        watcher = inotify.Inotify()
        watcher.add(self._directory, _CHANGES)
        await self._read()
        self._tasks.start(self._follow(watcher), "manifests")
        self._tasks.start(self._reflect(), "mirrors")

    async def close(self) -> None:
        await self._tasks.cancel()

    async def _follow(self, watcher: inotify.Inotify) -> None:
        with watcher:
            async for _ in watcher:
                await self._read()

    async def _read(self) -> None:
        seen = rfc3339(self._crew.clock.now())
        texts = await asyncio.to_thread(_texts, self._directory)
        found: dict[str, Object] = {}
        for path, text in texts.items():
            try:
                pod = manifests.parse(text, path, self._crew.config.name, seen)
                found.setdefault(key_of(pod), pod)
            except InvalidInput as error:
                log.error("static pod: %s", error)
        self._align(found)

    def _align(self, found: dict[str, Object]) -> None:
        before, self._pods = self._pods, found
        for key in before.keys() | found.keys():
            old, new = before.get(key), found.get(key)
            if old is not None and (new is None or uid_of(new) != uid_of(old)):
                self._end(uid_of(old))
            elif old is None and new is not None:
                self._take_in(new)
            self.reflect(key)

    def _end(self, uid: str) -> None:
        if worker := self._worker(uid):
            worker.post(Vanished())

    def finished(self, pod: Object) -> None:
        """Nothing is left of it here: what its file says now may begin."""
        new = self._pods.get(key_of(pod))
        if new is not None and self._worker(uid_of(new)) is None:
            self._take_in(new)
        self.reflect(key_of(pod))

    def reflect(self, key: str) -> None:
        """See to the mirror of this name."""
        self._dirty.add(key)
        self._changed.set()

    async def _reflect(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for key in list(self._dirty):
                self._dirty.discard(key)
                try:
                    await self._see_to(key)
                except FAILURES as error:
                    log.warning("the mirror of static pod %s, again soon: %s", key, error)
                    self._tasks.start(self._later(key), "mirror again")

    async def _later(self, key: str) -> None:
        await self._crew.clock.sleep(_AGAIN)
        self.reflect(key)

    async def _see_to(self, key: str) -> None:
        pod, mirror = self._pods.get(key), self._mirror(key)
        if mirror is not None and not manifests.mirrored(mirror):
            log.error("static pod %s has the name of a pod of the API", key)
            return
        worker = self._worker(uid_of(pod)) if pod is not None else None
        match manifests.due(pod, mirror):
            case "create" if pod is not None:
                with suppress(AlreadyExists):  # our last one, which the informer hasn't seen yet
                    await self._crew.client.create(PODS, manifests.mirror_of(pod, self._node()))
            case "delete" if mirror is not None:
                if pod is None and self._worker(manifests.mirrored(mirror)) is not None:
                    return  # its last words are still to come
                await self._delete(mirror)
            case _ if worker is not None and mirror is not None:
                worker.aim(mirror)

    async def _delete(self, mirror: Object) -> None:
        metadata = mirror["metadata"]
        with suppress(NotFound):
            await self._crew.client.delete(PODS, metadata["name"], metadata["namespace"], grace=0, uid=metadata["uid"])


def _texts(directory: Path) -> dict[str, str]:
    """The manifests by path; hidden files are none."""
    files = sorted(path for path in directory.iterdir() if path.is_file() and not path.name.startswith("."))
    return {str(path): path.read_text(errors="replace") for path in files}
