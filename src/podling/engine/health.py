"""Health checks: a command in the container, again and again. The verdict is pure (`judge`)."""

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from podling.base.errors import PodlingError
from podling.base.ids import short
from podling.engine.surroundings import Surroundings
from podling.engine.types import ExecSpec, HealthResult, HealthState
from podling.engine.types import Health as HealthSpec

if TYPE_CHECKING:
    from podling.engine.container import Container

_INTERVAL, _TIMEOUT, _START_INTERVAL, _RETRIES = 30.0, 30.0, 5.0, 3
_KEPT = 5
_OUTPUT = 4096
_NOT_RUN = -1


def command_of(spec: HealthSpec | None) -> tuple[str, ...]:
    """What to run; empty: no check."""
    test = spec.test if spec else ()
    if not test or test[0] == "NONE":
        return ()
    if test[0] == "CMD-SHELL":
        return ("/bin/sh", "-c", *test[1:])
    return test[1:] if test[0] == "CMD" else test


def judge(state: HealthState, result: HealthResult, spec: HealthSpec, started_at: float) -> HealthState:
    """The state after one more run. Failures in the start period don't count before the first success."""
    log = (*state.log, result)[-_KEPT:]
    if result.exit_code == 0:
        return HealthState("healthy", 0, log)
    if state.status == "starting" and result.start - started_at < spec.start_period:
        return replace(state, log=log)
    streak = state.failing_streak + 1
    status = "unhealthy" if streak >= (spec.retries or _RETRIES) else state.status
    return HealthState(status, streak, log)


def pause_of(spec: HealthSpec, state: HealthState, age: float) -> float:
    """Seconds to the next run, `age` seconds after the start: more often until the first success in the start period."""
    if state.status == "starting" and age < spec.start_period:
        return spec.start_interval or _START_INTERVAL
    return spec.interval or _INTERVAL


class Health:
    """The checks of one container, while it runs."""

    def __init__(self, container: "Container", around: Surroundings) -> None:
        self._container = container
        self._around = around
        self._task: asyncio.Task[None] | None = None
        self.state: HealthState | None = HealthState() if command_of(container.spec.health) else None

    def start(self) -> None:
        if command_of(self._container.spec.health):
            self.state = HealthState()
            self._task = self._around.tasks.start(self._run(), f"{short(self._container.id)} health")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        spec = self._container.spec.health
        assert spec is not None
        while True:
            assert self.state is not None
            age = self._around.clock.now() - self._container.state.started_at
            await self._around.clock.sleep(pause_of(spec, self.state, age))
            if self._container.state.status != "running":
                continue
            result = await self._check(spec)
            before = self.state.status
            self.state = judge(self.state, result, spec, self._container.state.started_at)
            if self.state.status != before:
                self._container.tell(f"health_status: {self.state.status}")

    async def _check(self, spec: HealthSpec) -> HealthResult:
        start = self._around.clock.now()
        output, code = b"", _NOT_RUN
        timeout = spec.timeout or _TIMEOUT
        try:
            execution = await self._container.exec(ExecSpec(command_of(spec)))
            async with asyncio.timeout(timeout):
                output, code = await execution.run(limit=_OUTPUT)
        except TimeoutError:
            with contextlib.suppress(PodlingError):
                execution.kill()
            output = f"Health check exceeded timeout ({timeout:g}s)".encode()
        except PodlingError as error:
            output = error.message.encode()
        return HealthResult(start, self._around.clock.now(), code, output.decode(errors="replace"))
