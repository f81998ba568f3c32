"""Several sets of controllers over one server: one acts at a time, and what one began another ends."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from podling.aio.http import Request, Response
from podling.api.objects import get, name_of
from podling.client.resource import JOBS, LEASES, PODS, STATEFUL_SETS
from podling.testing.applications import job, stateful_set
from podling.testing.simulation import Handle, Simulation

WRITES = ("POST", "PUT", "PATCH", "DELETE")


class Line:
    """The way of one set of controllers to the server; `cut`, nothing gets through."""

    def __init__(self) -> None:
        self.cut = False
        self.writes: list[tuple[str, str]] = []

    async def __call__(self, handle: Handle, request: Request) -> Response | None:
        if self.cut:
            raise ConnectionError("no route to host")
        if request.method in WRITES and "/leases" not in request.path and "/events" not in request.path:
            self.writes.append((request.method, request.path))
        return await handle(request)


@pytest.fixture
async def cluster() -> AsyncIterator[Simulation]:
    async with Simulation(nodes=3, controlled=False) as simulation:
        yield simulation


async def leader(cluster: Simulation) -> str:
    lease = await cluster.client.get(LEASES, "kube-controller-manager", "kube-system")
    return str(lease["spec"]["holderIdentity"])


async def test_only_the_leader_acts(cluster: Simulation) -> None:
    lines = {name: Line() for name in ("one", "two")}
    for name, line in lines.items():
        cluster.start_controllers(name, line)
    await cluster.deploy("web", 5)
    await cluster.advance(10)
    assert len(await cluster.pods()) == 5
    first = await leader(cluster)
    other = "two" if first == "one" else "one"
    assert lines[first].writes
    assert lines[other].writes == []


async def test_a_leader_that_is_cut_off_stops_and_another_goes_on(cluster: Simulation) -> None:
    lines = {name: Line() for name in ("one", "two")}
    for name, line in lines.items():
        cluster.start_controllers(name, line)
    cluster.kubelet.script = lambda pod: (7.0, 0) if name_of(pod).startswith("sum") else None
    await cluster.client.create(JOBS, job("sum", completions=12, parallelism=3))
    await cluster.client.create(STATEFUL_SETS, stateful_set("db", 4))
    made: Counter[str] = Counter()
    cluster.informers.of(PODS).add_handler(lambda old, new: made.update([name_of(new)] if old is None and new else []))
    for _ in range(4):
        await cluster.advance(11)
        first = await leader(cluster)
        lines[first].cut = True
        await cluster.advance(40)  # a lease is given up after 10 seconds, taken after 15
        assert await leader(cluster) != first
        lines[first].cut = False
        before = len(lines[first].writes)
        await cluster.advance(5)
        assert len(lines[first].writes) == before
    await cluster.advance(60)
    status = (await cluster.client.get(JOBS, "sum", "default"))["status"]
    pods = (await cluster.client.list(PODS, "default")).items
    succeeded = [pod for pod in pods if get(pod, "status.phase") == "Succeeded"]
    assert status["succeeded"] == len(succeeded) == 12
    assert {name: number for name, number in made.items() if name.startswith("db")} == {f"db-{number}": 1 for number in range(4)}


async def test_a_leader_that_ends_in_order_hands_over_at_once(cluster: Simulation) -> None:
    first = cluster.start_controllers("one")
    await cluster.advance(3)
    cluster.start_controllers("two")
    await cluster.advance(3)
    first.cancel()
    await cluster.advance(3)
    assert await leader(cluster) == "two"
    await cluster.deploy("web", 2)
    await cluster.advance(3)
    assert len(await cluster.pods()) == 2
