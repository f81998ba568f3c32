"""Fifty containers at once: nothing hangs, nothing leaks."""

import asyncio
import os
from pathlib import Path

import pytest

from podling.engine.engine import Engine
from podling.engine.types import ExecSpec, Mount
from podling.testing.crash_containers import check
from podling.testing.engine import run

pytestmark = pytest.mark.root
_MANY = 50


async def live(engine: Engine, number: int) -> tuple[bytes, int, int]:
    """One whole life: what its exec says, how that ends, and how the container does."""
    mounts = (Mount("volume", "", "/any"),)
    container = await run(engine, "sh", "-c", f"trap 'exit {number}' TERM; sleep 1000 & wait", name=f"n{number}", mounts=mounts)
    execution = await container.exec(ExecSpec(("sh", "-c", f"echo {number}; exit {number + 1}")))
    output, code = await execution.run(limit=100)
    await container.stop()
    await container.remove(volumes=True)
    return output, code, container.state.exit_code


async def test_fifty_live_and_go(engine: Engine, tmp_path: Path) -> None:
    await live(engine, 0)  # what is opened once is open now
    descriptors, tasks = os.listdir("/proc/self/fd"), len(asyncio.all_tasks())
    async with asyncio.timeout(60):
        lives = await asyncio.gather(*(live(engine, number) for number in range(_MANY)))
    assert lives == [(f"{number}\n".encode(), number + 1, number) for number in range(_MANY)]
    await check(engine, tmp_path, {})
    assert engine.containers.list() == []
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) <= tasks
    assert len(os.listdir("/proc/self/fd")) <= len(descriptors)


async def test_fifty_run_side_by_side(engine: Engine, tmp_path: Path) -> None:
    containers = await asyncio.gather(*(run(engine, "sleep", "1000") for _ in range(_MANY)))
    await check(engine, tmp_path, {container.id: "started" for container in containers})
    assert len({container.endpoints[0].ip for container in containers}) == _MANY
    await asyncio.gather(*(container.remove(force=True) for container in containers))
    await check(engine, tmp_path, {container.id: "removed" for container in containers})
