"""Leader election between two processes on one API server, in simulated time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from podling.aio.http import Request, Response
from podling.aio.tasks import Tasks
from podling.apiserver.server import ApiServer
from podling.client.client import Client
from podling.client.leader import LeaderElector
from podling.client.resource import LEASES
from podling.client.transport import DirectTransport
from podling.store.memory import MemoryStore
from podling.testing.clock import ManualClock
from podling.testing.simulation import Everybody


class Candidate:
    """A process that can be cut off from the server."""

    def __init__(self, api: ApiServer, clock: ManualClock, name: str) -> None:
        self._api = api
        self.cut_off = False
        self.client = Client(DirectTransport(self._handle))
        self.elector = LeaderElector(self.client, clock, "job", name)
        self.terms = 0

    async def _handle(self, request: Request) -> Response | None:
        if self.cut_off:
            raise ConnectionRefusedError("cut off")
        return await self._api.handle(request)

    async def work(self) -> None:
        self.terms += 1
        await asyncio.Event().wait()

    async def run(self) -> None:
        await self.elector.run(self.work)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def api(clock: ManualClock) -> AsyncIterator[ApiServer]:
    server = ApiServer(MemoryStore(), authorizer=Everybody(), clock=clock)
    await server.start()
    yield server
    await server.close()


def leading(*candidates: Candidate) -> list[bool]:
    return [candidate.elector.leading.is_set() for candidate in candidates]


async def test_one_leads_and_the_other_takes_over_at_once_when_it_ends(api: ApiServer, clock: ManualClock) -> None:
    one, two = Candidate(api, clock, "one"), Candidate(api, clock, "two")
    async with Tasks("test") as tasks:
        first = tasks.start(one.run(), "one")
        await clock.advance(1)
        tasks.start(two.run(), "two")
        await clock.advance(60)
        assert leading(one, two) == [True, False]
        first.cancel()
        await clock.advance(3)
        assert leading(one, two) == [False, True]
    lease = await one.client.get(LEASES, "job", "kube-system")
    assert lease["spec"]["leaseTransitions"] == 1


async def test_a_leader_that_is_cut_off_stops_before_the_next_starts(api: ApiServer, clock: ManualClock) -> None:
    one, two = Candidate(api, clock, "one"), Candidate(api, clock, "two")
    async with Tasks("test") as tasks:
        tasks.start(one.run(), "one")
        await clock.advance(1)
        tasks.start(two.run(), "two")
        await clock.advance(5)
        one.cut_off = True
        both = []
        for _ in range(40):
            await clock.advance(0.5)
            both.append(leading(one, two))
        assert [True, True] not in both
        assert both[-1] == [False, True]
        assert both.index([False, False]) < both.index([False, True])


async def test_who_comes_back_by_the_same_name_leads_at_once(api: ApiServer, clock: ManualClock) -> None:
    one = Candidate(api, clock, "one")
    async with Tasks("test") as tasks:
        tasks.start(one.run(), "one")
        await clock.advance(5)
        one.cut_off = True  # as kill -9: nothing is released
    again = Candidate(api, clock, "one")
    async with Tasks("test") as tasks:
        tasks.start(again.run(), "again")
        await clock.advance(0)
        assert leading(again) == [True]
