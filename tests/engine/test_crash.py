"""The engine's process killed hundreds of times. PODLING_CRASH_ROUNDS and PODLING_CRASH_SEED ask for more, and for others."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from podling.testing.engine import engine_place

_ROUNDS, _SEED = int(os.environ.get("PODLING_CRASH_ROUNDS", "60")), int(os.environ.get("PODLING_CRASH_SEED", "1"))


@pytest.mark.root
@pytest.mark.timeout(60 + 3 * _ROUNDS)
async def test_whatever_the_engine_dies_of_its_state_is_whole(tmp_path: Path) -> None:
    async with engine_place(tmp_path) as netns:
        command = [sys.executable, "-m", "podling.testing.crash", str(tmp_path), str(netns), str(_ROUNDS), str(_SEED)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
