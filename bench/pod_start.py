"""How long from the creation of a pod until a watcher sees it Running, its image present: one pod at a time, and 20 at once."""

import asyncio
import time
from functools import partial
from typing import Any

import podlings
import table
import timing
from podling.client.client import Client
from podling.client.resource import PODS
from podling.testing.podling import running_podling

ALONE = 30
AT_ONCE = 20
GOAL_P50, GOAL_P99 = 0.1, 0.3


async def start_together(client: Client, names: list[str]) -> list[float]:
    """Create the pods and give the seconds of each; then delete them, and return when they are gone."""
    revision = (await client.list(PODS, "default")).resource_version
    created: dict[str, float] = {}
    running: dict[str, float] = {}

    def is_running(_: str, pod: dict[str, Any]) -> bool:
        if pod.get("status", {}).get("phase") != "Running":
            return False
        running.setdefault(pod["metadata"]["name"], time.perf_counter())
        return True

    async def create(name: str) -> None:
        created[name] = time.perf_counter()
        await client.create(PODS, podlings.sleeper(name=name), "default")

    async with asyncio.TaskGroup() as group:
        group.create_task(podlings.watch_all(client, revision, names, is_running))
        for name in names:
            group.create_task(create(name))
    await podlings.all_gone(client, partial(delete, client))
    return [running[name] - created[name] for name in names]


async def delete(client: Client, names: list[str]) -> None:
    await asyncio.gather(*(client.delete(PODS, name, "default", grace=0) for name in names))


async def measure(client: Client) -> dict[str, list[float]]:
    await start_together(client, ["warm-up"])
    alone = [(await start_together(client, [f"alone-{number}"]))[0] for number in range(ALONE)]
    together = await start_together(client, [f"together-{number}" for number in range(AT_ONCE)])
    return {f"one at a time ({ALONE})": alone, f"{AT_ONCE} at once": together}


def row(name: str, taken: list[float]) -> tuple[str, ...]:
    p50, p99 = (timing.quantile(taken, share) for share in (0.5, 0.99))
    return name, table.duration(p50), table.ratio(p50, GOAL_P50), table.duration(p99), table.ratio(p99, GOAL_P99)


def main() -> None:
    timing.clean_up_on_signals()
    with running_podling() as podling:
        taken = podlings.with_api(podling, measure)
    head = ("", "p50", f"of {GOAL_P50 * 1e3:.0f} ms", "p99", f"of {GOAL_P99 * 1e3:.0f} ms")
    table.show("pod created to Running, as a watcher sees it", head, [row(name, values) for name, values in taken.items()])


if __name__ == "__main__":
    main()
