"""How long things take: medians, quantiles, and pairs run in turn so that noise of the machine hits all alike."""

import signal
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

END_BY_SIGNAL = (signal.SIGTERM, signal.SIGHUP)


def clean_up_on_signals() -> None:
    """Have a signal that ends the script raise, as Ctrl-C does, so that what it started is ended."""
    for number in END_BY_SIGNAL:
        signal.signal(number, signal.default_int_handler)


def timed(work: Callable[[], object]) -> float:
    """Seconds that one call of `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def alternate(works: Mapping[str, Callable[[], object] | None], rounds: int) -> dict[str, float | None]:
    """Median seconds of each after one call to warm up, called A B A B; None stays None."""
    present = {name: work for name, work in works.items() if work is not None}
    for work in present.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in present}
    for _ in range(rounds):
        for name, work in present.items():
            taken[name].append(timed(work))
    return {name: statistics.median(taken[name]) if name in taken else None for name in works}


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    return sorted(values)[max(0, -(-int(share * 1000) * len(values) // 1000) - 1)]
