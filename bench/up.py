"""How long `podling up -d` takes until the node is Ready and the cluster's DNS answers: with a fresh root, and a second time."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peers
import podlings
import table
import timing
from podling.testing.podling import Podling, take_down

ROUNDS = 5
# minikube's table time-to-k8s of v1.36.0, in seconds.
PUBLISHED = {"k3d": 19.9, "kind": 33.0, "minikube": 50.8}


@contextmanager
def fresh_podling() -> Iterator[Podling]:
    with tempfile.TemporaryDirectory(prefix="podling-bench-") as folder:
        podling = Podling.create(Path(folder))
        try:
            yield podling
        finally:
            leftovers = take_down(podling)
    assert not leftovers, leftovers


def bring_up(podling: Podling) -> None:
    """Return when the node is Ready and DNS answers, as asked from outside."""
    podling.up()
    deadline = time.monotonic() + 30
    while not (podlings.dns_answers(podling) and podlings.with_api(podling, podlings.node_is_ready)):
        assert time.monotonic() < deadline, "podling up has returned, but the node is not Ready or DNS does not answer"


def starts() -> tuple[float, float]:
    """Seconds of a start on a fresh root, and of the next on the same root."""
    with fresh_podling() as podling:
        first = timing.timed(lambda: bring_up(podling))
        podling.down()
        return first, timing.timed(lambda: bring_up(podling))


def dockerd_start() -> float | None:
    """Seconds until a Docker daemon with a fresh root answers on its socket."""
    started = time.perf_counter()
    with peers.dockerd() as daemon:
        return time.perf_counter() - started if daemon else None


def main() -> None:
    timing.clean_up_on_signals()
    fresh, again, dockerd = [], [], []
    for _ in range(ROUNDS):
        first, second = starts()
        fresh.append(first)
        again.append(second)
        dockerd.append(dockerd_start())
    median = statistics.median(fresh)
    measured = {
        "podling up, fresh root": median,
        "podling up, same root": statistics.median(again),
        "dockerd alone, to its API": None if None in dockerd else statistics.median(dockerd),
    }
    rows = [(name, table.duration(seconds), table.ratio(median, seconds)) for name, seconds in measured.items()]
    rows += [
        (f"{name} (as published)", table.duration(seconds), table.ratio(median, seconds)) for name, seconds in PUBLISHED.items()
    ]
    table.show(f"up, to node Ready and DNS answering; median of {ROUNDS}", ("", "time", "podling is"), rows)


if __name__ == "__main__":
    main()
