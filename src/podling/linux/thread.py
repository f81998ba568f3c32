"""Threads that are used once.

Namespaces, root and working directory belong to a thread. What changes them runs in a fresh thread that ends
afterwards, so that no thread of a pool is left in a foreign place.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def run_in_fresh_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own, wait for it, and give its result or raise its error. Costs about 0.1 ms."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to the caller
            errors.append(error)

    thread = threading.Thread(target=body, name="podling-once", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


async def in_fresh_thread(work: Callable[[], T]) -> T:
    """As `run_in_fresh_thread`, without blocking the event loop."""
    return await asyncio.to_thread(run_in_fresh_thread, work)
