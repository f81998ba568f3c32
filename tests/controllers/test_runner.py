"""The runner: never decides on a world without its own doing, tries again, and is one of several."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping

import pytest

from podling.aio.http import HeaderList, Headers, Request, Response
from podling.aio.tasks import Tasks
from podling.api.objects import Object
from podling.apiserver.server import ApiServer
from podling.client.client import Client
from podling.client.informer import Informers
from podling.client.resource import DEPLOYMENTS, EVENTS, LEASES, PODS, REPLICA_SETS
from podling.client.transport import DirectTransport, Reply
from podling.controllers.runner import run_controllers, status_patch
from podling.store.memory import MemoryStore
from podling.testing.clock import ManualClock
from podling.testing.simulation import CA, Everybody, deployment


class Lagging(DirectTransport):
    """The watch of pods shows everything `lag` seconds late; writes named in `refuse` fail; and it can be cut off."""

    def __init__(self, api: ApiServer, clock: ManualClock, lag: float = 0.0) -> None:
        super().__init__(self._handle)
        self._api = api
        self._clock = clock
        self._lag = lag
        self.refuse: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str]] = []
        self.cut_off = False

    async def _handle(self, request: Request) -> Response | None:
        return await self._api.handle(request)

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, headers: HeaderList | None = None, body: bytes = b""
    ) -> Reply:
        if self.cut_off:
            raise ConnectionRefusedError("cut off")
        self.asked.append((method, path.rpartition("/")[2]))
        if self.asked[-1] in self.refuse:
            return Reply(403, Headers(), b"refused")
        reply = await super().request(method, path, query, headers, body)
        if query and "watch" in query and path.endswith("/pods"):
            return Reply(reply.status, reply.headers, self._late(reply), reply.close)
        return reply

    async def _late(self, reply: Reply) -> AsyncGenerator[bytes, None]:
        async for piece in reply.stream():
            await self._clock.sleep(self._lag)
            yield piece


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def api(clock: ManualClock) -> AsyncIterator[ApiServer]:
    server = ApiServer(MemoryStore(), authorizer=Everybody(), clock=clock)
    await server.start()
    yield server
    await server.close()


class Running:
    """Controllers in a process of their own, as far as the server can tell."""

    def __init__(self, api: ApiServer, clock: ManualClock, identity: str = "", lag: float = 0.0) -> None:
        self.transport = Lagging(api, clock, lag)
        self.client = Client(self.transport)
        self.informers = Informers(self.client, clock, lambda: 0.0)
        self._clock = clock
        self._identity = identity

    async def run(self) -> None:
        async with self.informers:
            await run_controllers(self.client, self.informers, self._clock, ca=CA, jitter=lambda: 0.0, identity=self._identity)


async def pods(client: Client) -> list[Object]:
    return (await client.list(PODS, "default")).items


async def test_a_late_cache_makes_no_pod_too_many(api: ApiServer, clock: ManualClock) -> None:
    client = Client(DirectTransport(api.handle))
    running = Running(api, clock, lag=3.0)
    async with Tasks("test") as tasks:
        tasks.start(running.run(), "controllers")
        await clock.advance(20)
        await client.create(DEPLOYMENTS, deployment("web", 5, "web:1"))
        await clock.advance(60)
        assert len(await pods(client)) == 5
        await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 2}}, "default")
        await clock.advance(60)
        assert len([pod for pod in await pods(client) if "deletionTimestamp" not in pod["metadata"]]) == 2
    created = [asked for asked in running.transport.asked if asked == ("POST", "pods")]
    assert len(created) == 5
    assert len((await client.list(REPLICA_SETS, "default")).items) == 1


async def test_what_is_refused_is_tried_again_told_of_and_shown(api: ApiServer, clock: ManualClock) -> None:
    client = Client(DirectTransport(api.handle))
    running = Running(api, clock)
    async with Tasks("test") as tasks:
        tasks.start(running.run(), "controllers")
        await clock.advance(1)
        running.transport.refuse.add(("POST", "pods"))
        await client.create(DEPLOYMENTS, deployment("web", 1, "web:1"))
        await clock.advance(3)
        web = await client.get(DEPLOYMENTS, "web", "default")
        assert {one["type"]: one["reason"] for one in web["status"]["conditions"]}["ReplicaFailure"] == "FailedCreate"
        reasons = [event["reason"] for event in (await client.list(EVENTS, "default")).items]
        assert "FailedCreate" in reasons
        assert running.transport.asked.count(("POST", "pods")) < 15  # each time later
        running.transport.refuse.clear()
        await clock.advance(10)
        assert len(await pods(client)) == 1


async def test_only_the_leader_acts_and_another_goes_on_where_it_stopped(api: ApiServer, clock: ManualClock) -> None:
    client = Client(DirectTransport(api.handle))
    one, two = Running(api, clock, "one"), Running(api, clock, "two")
    async with Tasks("test") as tasks:
        tasks.start(one.run(), "one")
        await clock.advance(3)
        tasks.start(two.run(), "two")
        await clock.advance(3)
        await client.create(DEPLOYMENTS, deployment("web", 3, "web:1"))
        await clock.advance(3)
        assert len(await pods(client)) == 3
        assert ("POST", "pods") not in two.transport.asked
        one.transport.cut_off = True
        await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, "default")
        await clock.advance(40)
        assert len(await pods(client)) == 5
        lease = await client.get(LEASES, "kube-controller-manager", "kube-system")
        assert lease["spec"]["holderIdentity"] == "two"


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({}, None, None),
        ({"a": 1}, {"a": 1}, None),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 3}}, {"a": {"y": 3}}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}),
    ],
)
def test_a_status_is_written_as_what_changed(old: Object, new: Object | None, patch: Object | None) -> None:
    assert status_patch(old, new) == patch
