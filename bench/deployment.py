"""How long a Deployment of 100 pods takes until all are Ready, and until none is in the API any more after its deletion."""

import time

import podlings
import table
import timing
from podling.client.client import Client
from podling.client.resource import DEPLOYMENTS
from podling.testing.podling import running_podling

REPLICAS = 100
GOAL = 5.0


async def measure(client: Client) -> tuple[float, float]:
    """Seconds to Ready, and seconds to gone."""
    started = time.perf_counter()
    await podlings.deploy(client, "web", REPLICAS)
    ready = time.perf_counter()
    await podlings.all_gone(client, lambda _: client.delete(DEPLOYMENTS, "web", "default", propagation="Background"))
    return ready - started, time.perf_counter() - ready


def main() -> None:
    timing.clean_up_on_signals()
    with running_podling() as podling:
        ready, gone = podlings.with_api(podling, measure)
    rows = [
        ("all Ready", table.duration(ready), table.ratio(ready, GOAL)),
        ("deleted, gone from the API", table.duration(gone), "-"),
    ]
    table.show(f"a Deployment of {REPLICAS} pods, one node", ("", "time", f"of {GOAL:.0f} s"), rows)


if __name__ == "__main__":
    main()
