"""The engine's process killed hundreds of times. PODLING_CRASH_ROUNDS and PODLING_CRASH_SEED ask for more, and for others."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from podling.testing.engine import engine_place

_SEED = os.environ.get("PODLING_CRASH_SEED", "1")


def _rounds(usual: int) -> int:
    return int(os.environ.get("PODLING_CRASH_ROUNDS", usual))


@pytest.mark.root
@pytest.mark.timeout(120 + 5 * _rounds(60))
@pytest.mark.parametrize(("scenario", "rounds"), [("containers", _rounds(60)), ("images", _rounds(24))])
async def test_whatever_the_engine_dies_of_its_state_is_whole(tmp_path: Path, scenario: str, rounds: int) -> None:
    async with engine_place(tmp_path) as netns:
        command = [sys.executable, "-m", "podling.testing.crash", scenario, str(tmp_path), str(netns), str(rounds), _SEED]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
