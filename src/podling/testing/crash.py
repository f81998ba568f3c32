"""An engine that is killed again and again, at each of its steps and at random moments, and looked at by the one after it.

    python -m podling.testing.crash SCENARIO ROOT NETNS ROUNDS SEED

Each round is a process of its own: it takes up what the one before left, checks that it is whole, removes it, and does the work
of the scenario (a module) until it is killed. Ends with an error, and says which round, when something is lost, half there, or
left over.
"""

import asyncio
import functools
import importlib
import inspect
import os
import random
import select
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from podling.engine.engine import Engine
from podling.testing.engine import running_engine

Point = tuple[Any, str]
"""What has a function, and its name: a process may be killed before and after each call."""


class Scenario(Protocol):
    """`STEPS`: how often the work passes one of `POINTS`; `SECONDS` that it takes. Both roughly."""

    STEPS: int
    SECONDS: float
    POINTS: tuple[Point, ...]

    async def prepare(self, engine: Engine) -> None:
        """What the work needs, where it lacks, and what an engine that has just started does by itself: done."""

    async def work(self, engine: Engine, journal: "Journal") -> None: ...

    async def check(self, engine: Engine, root: Path, journal: dict[str, str]) -> None:
        """Raises AssertionError, with what is there, where something is lost, half there, or left over."""

    async def clear(self, engine: Engine) -> None:
        """Remove what the work has made."""


def _arm(points: Sequence[Point], steps: int) -> None:
    """Have this process killed before or after the step with this number."""
    left = steps

    def tick() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for owner, name in points:
        setattr(owner, name, _ticking(getattr(owner, name), tick))


def _ticking(work: Callable[..., Any], tick: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(work)
    def call(*args: Any, **named: Any) -> Any:
        tick()
        result = work(*args, **named)
        tick()
        return result

    @functools.wraps(work)
    async def call_async(*args: Any, **named: Any) -> Any:
        tick()
        result = await work(*args, **named)
        tick()
        return result

    return call_async if inspect.iscoroutinefunction(work) else call


class Journal:
    """What was begun and what was acknowledged: a word and the name of a thing a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, word: str, thing: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{word} {thing}\n")

    def take(self) -> dict[str, str]:
        """The last word on each thing; the journal is empty then."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._path.write_text("")
        return {thing: word for word, thing in (line.split() for line in lines)}


def same(what: str, found: Collection[str], wanted: Collection[str]) -> None:
    """Raises AssertionError with the difference."""
    found, wanted = set(found), set(wanted)
    assert found == wanted, f"{what}: {sorted(found - wanted)} too many, {sorted(wanted - found)} missing"


def names(directory: Path) -> set[str]:
    """What is in it; nothing where it isn't there."""
    return {entry.name for entry in directory.iterdir()} if directory.exists() else set()


async def _round(scenario: Scenario, root: Path, netns: Path, steps: int, ready: int) -> None:
    journal = Journal(root / "journal")
    async with running_engine(root, netns) as engine:
        await asyncio.sleep(0)  # the engine's own tasks begin
        await scenario.prepare(engine)
        await scenario.check(engine, root, journal.take())
        await scenario.clear(engine)
        await scenario.check(engine, root, {})
        os.write(ready, b"x")
        if steps:
            _arm(scenario.POINTS, steps)
        await scenario.work(engine, journal)


def _child(scenario: Scenario, root: Path, netns: Path, steps: int, ready: int) -> None:
    code = 3
    try:
        asyncio.run(_round(scenario, root, netns, steps, ready))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _live_and_die(scenario: Scenario, root: Path, netns: Path, steps: int, seconds: float) -> int:
    """One round, killed after `steps` of its steps, or (0) `seconds` after it began to work: its exit status."""
    theirs, ours = os.pipe()[::-1]
    pid = os.fork()
    if not pid:
        _child(scenario, root, netns, steps, theirs)
    os.close(theirs)
    os.read(ours, 1)
    os.close(ours)
    if not steps:
        pidfd = os.pidfd_open(pid)
        select.select([pidfd], [], [], seconds)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
    return os.waitpid(pid, 0)[1]


def main(name: str, root: Path, netns: Path, rounds: int, seed: int) -> int:
    scenario: Scenario = importlib.import_module(f"podling.testing.crash_{name}")
    chance = random.Random(seed)
    before = "nothing"
    for number in range(rounds):
        steps = chance.randrange(1, scenario.STEPS) if number % 2 else 0
        seconds = chance.uniform(0, scenario.SECONDS)
        status = _live_and_die(scenario, root, netns, steps, seconds)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            print(f"round {number} of seed {seed} failed; killed before: {before}", file=sys.stderr)
            return 1
        before = f"at step {steps}" if steps else f"after {seconds:.3f} s"
    asyncio.run(_end(root, netns))
    return 0


async def _end(root: Path, netns: Path) -> None:
    async with running_engine(root, netns) as engine:
        await engine.purge()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])))
