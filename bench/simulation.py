"""How long does a day of 1,000 nodes take in simulated time? Each write is checked; the digest repeats from the seed.

bench/run simulation
.venv/bin/python bench/simulation.py --nodes 100 --hours 2 --seed 7
"""

import argparse
import asyncio
import time

from podling.testing.day import Day
from table import duration, rate, show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began, worked = time.perf_counter(), time.process_time()
    outcome = asyncio.run(Day(nodes=asked.nodes, hours=asked.hours, seed=asked.seed).run())
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    rows = [
        ("time", duration(seconds)),
        ("processor time", duration(worked)),
        ("writes", f"{outcome.writes:,}"),
        ("writes a second", rate(outcome.writes / worked)),
        ("steps checked", f"{outcome.steps:,}"),
        ("pods at the end", f"{outcome.pods:,}"),
        *((name, f"{count:,}") for name, count in sorted(outcome.day.acts.items())),
        ("digest", outcome.digest),
    ]
    show(f"{asked.hours:g} hours of {asked.nodes} nodes, seed {asked.seed}", ("", "all held"), rows)


if __name__ == "__main__":
    main()
