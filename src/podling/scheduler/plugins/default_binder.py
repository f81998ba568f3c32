"""Tells the API server which node a pod goes to."""

from podling.scheduler.framework import Handle, State
from podling.scheduler.pod_info import PodInfo


class DefaultBinder:
    name = "DefaultBinder"

    def __init__(self, handle: Handle) -> None:
        self._client = handle.client

    def events_to_register(self) -> tuple[()]:
        return ()

    async def bind(self, state: State, pod: PodInfo, node: str) -> bool:
        await self._client.bind(pod.pod, node)
        return True
