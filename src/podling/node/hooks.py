"""postStart and preStop hooks. Source: Kubernetes, "Container Lifecycle Hooks"."""

import asyncio

from podling.aio.clock import Clock
from podling.base.errors import Failed
from podling.node.pod.spec import Object
from podling.node.probes import http_get
from podling.node.runtime import PodRuntime

_POST_START_PATIENCE = 3600.0


async def run_hook(
    runtime: PodRuntime, clock: Clock, handler: Object, container: Object, id: str, address: str, timeout: float = 0
) -> None:
    """Run one lifecycle handler to its end. Raises PodlingError, OSError, TimeoutError with what went wrong."""
    patience = timeout or _POST_START_PATIENCE
    async with asyncio.timeout(patience):
        if action := handler.get("exec"):
            done = await runtime.run(id, tuple(action["command"]), patience)
            if done.code != 0:
                output = done.output[:1024].decode(errors="replace").strip()
                raise Failed(f"command {action['command']} exited with {done.code}: {output}")
        elif action := handler.get("httpGet"):
            status = await http_get(action, container, address)
            if not 200 <= status < 400:
                raise Failed(f"HTTP lifecycle hook failed with statuscode: {status}")
        elif action := handler.get("sleep"):
            await clock.sleep(float(action.get("seconds") or 0))
