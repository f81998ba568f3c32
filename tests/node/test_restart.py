"""An agent that goes and comes back: pods run on, what happened meanwhile is noticed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from node.conftest import Cluster, Object, World, condition, eventually, shell, status_of
from podling.client.client import Client
from podling.client.resource import PODS
from podling.client.transport import DirectTransport
from podling.testing.engine import load_busybox

pytestmark = pytest.mark.root


@asynccontextmanager
async def agent(world: World, *, last: bool = False) -> AsyncIterator[Cluster]:
    """An agent for as long as the context lasts; the `last` one takes everything away."""
    made = await world.agent()
    try:
        yield made
    finally:
        if last:
            await made.agent.close()
            await made.engine.purge()
            await made.agent.purge()
        await world.stop_agent(made)


DEBUG = ("--image=busybox", "--image-pull-policy=IfNotPresent", "--target=app", "--container=look", "--profile=general")


def looking(pod: Object) -> Object:
    """The status of the container that looks into the pod."""
    found: list[Object] = pod["status"].get("ephemeralContainerStatuses") or [{}]
    return found[0]


async def test_running_pods_run_on(world: World) -> None:
    async with agent(world) as before:
        await load_busybox(before.engine)
        await before.create("web", shell("while true; do date +%s; sleep 0.1; done"))
        await before.ready("web")
        await before.kubectl("debug", "web", *DEBUG, "--", "sh", "-c", "ps -o args; sleep 1000")
        pod = await before.until("web", lambda pod: "running" in looking(pod).get("state", {}), "looked into")
        assert "while true; do date" in await eventually(lambda: before.logs("web", "-c", "look"), bool)
    async with agent(world, last=True) as after:
        await asyncio.sleep(0.3)
        again = await after.ready("web")
        assert looking(again)["containerID"] == looking(pod)["containerID"]
        assert "running" in looking(again)["state"]
        assert status_of(again)["containerID"] == status_of(pod)["containerID"]
        assert (again["status"]["podIP"], status_of(again)["restartCount"]) == (pod["status"]["podIP"], 0)
        assert condition(again, "Ready") == condition(pod, "Ready")
        assert "exit 0" in await after.kubectl("exec", "web", "--", "true", check=False)
        await after.gone("web")


async def test_what_happened_meanwhile_is_noticed(world: World) -> None:
    async with agent(world) as before:
        await load_busybox(before.engine)
        await before.create("ends", shell("sleep 0.5; echo done > /dev/termination-log"), restartPolicy="Never")
        await before.create("again", shell("test -e /data/x && sleep 1000; touch /data/x; sleep 0.5; exit 1", **MOUNT), **DATA)
        await before.create("deleted", shell("sleep 1000"))
        await before.create("orphan", shell("sleep 1000"))
        for name in ("ends", "again", "deleted", "orphan"):
            await before.phase(name, "Running")
        orphan = (await before.get("orphan"))["metadata"]["uid"]
    await asyncio.sleep(0.6)
    client = Client(DirectTransport(world.server.handle))
    await client.delete(PODS, "deleted", "default")
    await client.delete(PODS, "orphan", "default", grace=0)
    await client.close()
    async with agent(world, last=True) as after:
        ended = await after.phase("ends", "Succeeded")
        assert status_of(ended)["state"]["terminated"]["message"] == "done\n"
        await after.until("again", lambda pod: status_of(pod)["restartCount"] == 1 and "running" in status_of(pod)["state"])
        names = lambda: after.client.list(PODS, "default")  # noqa: E731
        await eventually(names, lambda found: {p["metadata"]["name"] for p in found.items} == {"ends", "again"})

        async def uids() -> set[str]:
            return {container.spec.labels["io.kubernetes.pod.uid"] for container in after.engine.containers.list()}

        await eventually(uids, lambda found: orphan not in found)

        async def directories() -> set[str]:
            return after.agent._volumes.uids()

        await eventually(directories, lambda found: orphan not in found)


MOUNT = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
DATA = {"volumes": [{"name": "data", "emptyDir": {}}]}


async def test_a_finished_pod_stays_finished(world: World) -> None:
    async with agent(world) as before:
        await load_busybox(before.engine)
        await before.create("job", shell("echo once"), restartPolicy="Never")
        done = await before.phase("job", "Succeeded")
    async with agent(world, last=True) as after:
        await asyncio.sleep(0.3)
        again = await after.get("job")
        assert again["status"] == done["status"]
        assert await after.logs("job") == "once\n"
        await after.gone("job")
