"""The volumes of one pod: set up, kept up to date while it runs, torn down."""

import asyncio
from collections.abc import Callable, Mapping

from podling.aio.tasks import Tasks
from podling.client.errors import FAILURES
from podling.node import environment
from podling.node.crew import Crew
from podling.node.place import node_values
from podling.node.pod.spec import Object, containers, init_containers, uid_of
from podling.node.pod.state import Part, State
from podling.node.pulls import image_owner, show_image
from podling.node.sources import Reference
from podling.node.volumes.base import Context, Placed
from podling.node.volumes.volumes import references

_AGAIN = 60.0  # seconds until volumes that could not be brought up to date are tried again


class PodVolumes:
    """`state` is what is known of the pod now."""

    def __init__(self, crew: Crew, tasks: Tasks, state: Callable[[], State]) -> None:
        self._crew = crew
        self._tasks = tasks
        self._state = state
        self._refresh: asyncio.Task[None] | None = None
        self.placed: Mapping[str, Placed] = {}

    async def set_up(self) -> None:
        """Make all volumes, or bring them up to date. Raises what `Volumes.set_up` does."""
        state = self._state()
        pod = state.pod
        context = Context(
            pod=pod,
            lookup=self._crew.sources.lookup(pod["metadata"]["namespace"]),
            tokens=self._crew.tokens.get,
            node=node_values(self._crew.config, state.addresses),
            show_image=lambda spec, target: show_image(self._crew, pod, spec, target),
        )
        self.placed = await self._crew.volumes.set_up(context)
        at = min((each.refresh_at for each in self.placed.values() if each.refresh_at), default=None)
        if at is not None:
            self.refresh_in(at - self._crew.clock.now())

    def refresh_in(self, seconds: float) -> None:
        """Bring them up to date then, and not at the time that was set before."""
        if self._refresh is not None and self._refresh is not asyncio.current_task():
            self._refresh.cancel()
        self._refresh = self._tasks.start(self._bring_up_to_date(seconds), "volumes up to date")

    async def _bring_up_to_date(self, seconds: float) -> None:
        await self._crew.clock.sleep(max(seconds, 0.0))
        if self._state().volumes.part is not Part.READY:
            return
        try:
            await self.set_up()
        except FAILURES as error:
            self._crew.record(self._state().pod, "Warning", "FailedMount", str(error))
            self.refresh_in(_AGAIN)

    def stop(self) -> None:
        """Leave them as they are."""
        if self._refresh is not None:
            self._refresh.cancel()

    async def tear_down(self) -> None:
        """Unmount and remove them; safe to call twice."""
        pod = self._state().pod
        await self._crew.volumes.tear_down(uid_of(pod))
        if any(volume.get("image") for volume in pod["spec"].get("volumes") or []):
            await self._crew.runtime.hide_images(image_owner(pod))


def references_of(pod: Object) -> set[Reference]:
    """The ConfigMaps and Secrets that the pod's volumes, environments and pulls need."""
    namespace = pod["metadata"]["namespace"]
    found = references(pod)
    for container in (*init_containers(pod), *containers(pod)):
        found |= environment.references(container)
    found |= {("Secret", each["name"]) for each in pod["spec"].get("imagePullSecrets") or [] if each.get("name")}
    return {(kind, namespace, name) for kind, name in found}
