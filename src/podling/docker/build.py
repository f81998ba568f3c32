"""Builds, the classic way: a tar in, a stream of JSON messages out. Source: Docker Engine API, ImageBuild."""

import base64
import binascii
from contextlib import AsyncExitStack
from typing import Any

import orjson

from podling.aio.http import Response
from podling.base.errors import InvalidInput, Unsupported
from podling.build.base import Options
from podling.docker import credentials
from podling.docker.answers import json
from podling.docker.daemon import Daemon
from podling.docker.limits import Kernel, resources
from podling.docker.progress import Teller, narrated
from podling.docker.routing import Call, Routes, well_formed
from podling.images.model import Credentials
from podling.runtime.types import Resources

routes = Routes()


@routes.post("/build")
async def build(call: Call, daemon: Daemon) -> Response:
    if call.query.get("version") == "2":
        raise Unsupported("BuildKit is not supported: build with DOCKER_BUILDKIT=0")
    asked, remote = options(call), call.query.get("remote")
    held = AsyncExitStack()  # the context, for as long as the answer is being sent
    context = await held.enter_async_context(daemon.builder.context(call.request.stream(), asked.dockerfile, remote))

    async def work(tell: Teller) -> None:
        async with held:
            image = await daemon.builder.build(context, asked, tell)
        for name in asked.names:
            daemon.engine.events.publish("image", "tag", image.id, {"name": name})

    return await narrated(work)


def options(call: Call) -> Options:
    """The query's parameters. Raises InvalidInput in the daemon's words."""
    with well_formed():
        return Options(
            dockerfile=call.query.get("dockerfile") or "Dockerfile",
            names=tuple(name for name in call.query.all("t") if name),
            arguments=_object(call, "buildargs"),
            labels=_object(call, "labels"),
            target=call.query.get("target"),
            platform=call.query.get("platform"),
            use_cache=not call.flag("nocache"),
            pull=call.flag("pull"),
            quiet=call.flag("q"),
            network=_network(call.query.get("networkmode")),
            limits=_limits(call),
            shm_size=call.number("shmsize"),
            extra_hosts=tuple(call.query.get("extrahosts").split(",")) if call.query.get("extrahosts") else (),
            cgroup_parent=call.query.get("cgroupparent"),
            credentials=_credentials(call),
        )


def _object(call: Call, name: str) -> dict[str, Any]:
    text = call.query.get(name)
    given = orjson.loads(text) if text else {}
    if not isinstance(given, dict):
        raise InvalidInput(f"error reading {name}: not an object")
    return given


def _network(mode: str) -> str:
    return "" if mode == "default" else mode


def _limits(call: Call) -> Resources:
    text = call.query.get("ulimits")
    wanted, _ = resources(
        {
            "Memory": call.number("memory"),
            "MemorySwap": call.number("memswap"),
            "CpuShares": call.number("cpushares"),
            "CpuPeriod": call.number("cpuperiod"),
            "CpuQuota": call.number("cpuquota"),
            "CpusetCpus": call.query.get("cpusetcpus"),
            "CpusetMems": call.query.get("cpusetmems"),
            "Ulimits": orjson.loads(text) if text else [],
        },
        Kernel(),
    )
    return wanted


def _credentials(call: Call) -> dict[str, Credentials]:
    """X-Registry-Config: registry → AuthConfig."""
    text = call.headers.get("X-Registry-Config")
    try:
        given = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) if text else {}
    except (binascii.Error, orjson.JSONDecodeError):
        return {}
    return {credentials.domain(address): credentials.of_object(each) for address, each in (given or {}).items()}


@routes.post("/build/prune")
async def prune(call: Call, daemon: Daemon) -> Response:
    """The cache of builds are images, which `docker image prune` removes."""
    return json({"CachesDeleted": None, "SpaceReclaimed": 0})


@routes.post("/build/cancel")
async def cancel(call: Call, daemon: Daemon) -> Response:
    """A build ends when its client leaves."""
    raise Unsupported("cancelling a build by its id is not supported: close its connection")
