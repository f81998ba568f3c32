"""Starting a worker process (`podling.snapshots.worker`) and getting its result or its error."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import podling
from podling.base import errors
from podling.linux import process

_RESULT = 3
_BOOT = "import sys;sys.path[:0]=sys.argv.pop(1).split(':');from podling.snapshots.worker import main;main()"


class Worker:
    """A running worker. `result` waits for its end."""

    def __init__(self, child: process.Process, report: int, stderr: int) -> None:
        self._child = child
        self._report = report
        self._stderr = stderr

    async def result(self) -> dict[str, Any]:
        """What the worker reports. Raises the PodlingError that it met, or Failed when it died."""
        code = await self._child.wait()
        report = os.pread(self._report, os.fstat(self._report).st_size, 0)
        if not report:
            words = process.tail(os.pread(self._stderr, 1 << 16, 0)) or f"exit code {code}"
            raise errors.Failed(f"the unpacking process ended early: {words}")
        result: dict[str, Any] = json.loads(report)
        if "error" in result:
            raise getattr(errors, result["error"])(result["message"])
        return result


@asynccontextmanager
async def working(job: dict[str, Any], *, stdin: int = -1, stdout: int = -1) -> AsyncIterator[Worker]:
    """Run a worker on `job`, with our descriptors `stdin` and `stdout` (-1: /dev/null). Leaving early kills it."""
    report, stderr = os.memfd_create("report"), os.memfd_create("stderr")
    try:
        argv = [sys.executable, "-I", "-S", "-c", _BOOT, _search_path(), json.dumps(job)]
        child = process.spawn(argv, files={0: stdin, 1: stdout, 2: stderr, _RESULT: report}, env={"LC_ALL": "C.UTF-8"})
        try:
            yield Worker(child, report, stderr)
        finally:
            child.kill()
            await asyncio.shield(child.wait())
    finally:
        os.close(report)
        os.close(stderr)


def _search_path() -> str:
    """Where a worker, which starts without site packages to be quick, finds this package and zstandard."""
    own = Path(podling.__file__).parent.parent
    places = [own, *(Path(entry) for entry in sys.path if entry.endswith("-packages"))]
    return ":".join(str(place) for place in dict.fromkeys(places))
