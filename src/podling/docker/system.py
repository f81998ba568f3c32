"""The daemon about itself: ping, version, info, events, disk usage, credentials. Source: Docker Engine API, "System"."""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import podling
from podling.aio.http import HeaderList, Response
from podling.base.errors import InvalidInput
from podling.docker import credentials, events, images, inspect, timestamps, volumes
from podling.docker.answers import json, json_lines
from podling.docker.containers import sizes
from podling.docker.daemon import Daemon
from podling.docker.filters import Given
from podling.docker.routing import MINIMUM_VERSION, VERSION, Call, Routes, text
from podling.engine.engine import Engine
from podling.engine.usage import total_memory
from podling.images.model import RegistrySettings
from podling.oci.image import chain_ids

routes = Routes()
Json = dict[str, Any]
SERVER = f"podling/{podling.__version__} (linux)"


def identity() -> HeaderList:
    """What every answer says about the server: clients agree on a version by it, and choose the classic builder."""
    return [
        ("Api-Version", text(VERSION)),
        ("Docker-Experimental", "false"),
        ("Ostype", "linux"),
        ("Server", SERVER),
    ]


@routes.get("/_ping")
@routes.head("/_ping")
async def ping(call: Call, daemon: Daemon) -> Response:
    daemon.engine.containers.expect()  # the docker command pings, and then does what it is for
    return Response(
        200,
        b"OK",
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Builder-Version", "1"),
            ("Swarm", "inactive"),
            ("Cache-Control", "no-cache, no-store, must-revalidate"),
            ("Pragma", "no-cache"),
        ],
    )


@routes.get("/version")
async def version(call: Call, daemon: Daemon) -> Response:
    kernel = os.uname()
    details = {
        "ApiVersion": text(VERSION),
        "Arch": daemon.engine.images.platform.architecture,
        "KernelVersion": kernel.release,
        "MinAPIVersion": text(MINIMUM_VERSION),
        "Os": "linux",
        "GitCommit": "",
        "GoVersion": "",
        "BuildTime": "",
        "Experimental": "false",
    }
    shown = {name: value for name, value in details.items() if name != "Experimental"}
    return json(
        {
            "Platform": {"Name": "podling"},
            "Components": [{"Name": "Engine", "Version": podling.__version__, "Details": details}],
            "Version": podling.__version__,
            **shown,
        }
    )


@routes.get("/info")
async def info(call: Call, daemon: Daemon) -> Response:
    engine = daemon.engine
    return json(
        {
            "ID": engine.instance,
            **_counts(engine),
            **_drivers(engine),
            **_limits(engine),
            **_machine(engine),
            **_FIXED,
            "RegistryConfig": _registries(engine.images.registries),
            "DockerRootDir": str(engine.root),
            "ServerVersion": podling.__version__,
            "SecurityOptions": ["name=seccomp,profile=builtin", *(["name=cgroupns"] if engine.host.cgroup_v2 else [])],
            "Warnings": [] if engine.host.swap_limit else ["WARNING: No swap limit support"],
        }
    )


# What does not apply here, or is always so.
_FIXED: Json = {
    "IPv4Forwarding": True,
    "Debug": False,
    "NFd": 0,
    "NGoroutines": 0,
    "NEventsListener": 0,
    "IndexServerAddress": "https://index.docker.io/v1/",
    "GenericResources": None,
    "HttpProxy": "",
    "HttpsProxy": "",
    "NoProxy": "",
    "Labels": [],
    "ExperimentalBuild": False,
    "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": ""},
    "LiveRestoreEnabled": True,
    "Isolation": "",
    "InitBinary": "docker-init",
    "ContainerdCommit": {"ID": ""},
    "RuncCommit": {"ID": ""},
    "InitCommit": {"ID": ""},
}


def _counts(engine: Engine) -> Json:
    states = [container.state.status for container in engine.containers.list()]
    return {
        "Containers": len(states),
        "ContainersRunning": states.count("running"),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": sum(state not in ("running", "paused") for state in states),
        "Images": len(engine.images.all()),
    }


def _drivers(engine: Engine) -> Json:
    return {
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", "host"], ["Supports d_type", "true"], ["Using metacopy", "false"]],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "macvlan", "null"],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if engine.host.cgroup_v2 else "1",
        "Runtimes": {name: {"path": path} for name in ("crun", "runc") if (path := shutil.which(name))},
        "DefaultRuntime": engine.runtime_name,
    }


def _limits(engine: Engine) -> Json:
    return {
        "MemoryLimit": True,
        "SwapLimit": engine.host.swap_limit,
        "CpuCfsPeriod": True,
        "CpuCfsQuota": True,
        "CPUShares": True,
        "CPUSet": True,
        "PidsLimit": True,
        "OomKillDisable": not engine.host.cgroup_v2,
    }


def _machine(engine: Engine) -> Json:
    kernel, release = os.uname(), _os_release()
    return {
        "Name": kernel.nodename,
        "NCPU": os.cpu_count() or 1,
        "MemTotal": total_memory(),
        "KernelVersion": kernel.release,
        "Architecture": kernel.machine,
        "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
        "OSVersion": release.get("VERSION_ID", ""),
        "OSType": "linux",
        "SystemTime": timestamps.from_seconds(engine.clock.now()),
    }


def _registries(settings: RegistrySettings) -> Json:
    """What is configured of registries: which may go without trusted certificates, and who stands in for Docker Hub."""
    ranges = ["::1/128", "127.0.0.0/8", *(entry for entry in settings.insecure if "/" in entry)]
    mirrors = [f"{mirror.rstrip('/')}/" for mirror in settings.mirrors]
    indexes = {"docker.io": {"Name": "docker.io", "Mirrors": mirrors, "Secure": True, "Official": True}}
    for name in settings.insecure:
        if "/" not in name:
            indexes[name] = {"Name": name, "Mirrors": [], "Secure": False, "Official": False}
    return {"InsecureRegistryCIDRs": list(dict.fromkeys(ranges)), "IndexConfigs": indexes, "Mirrors": mirrors}


def _os_release() -> dict[str, str]:
    """os-release(5)."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name: value.strip('"') for name, _, value in pairs}


@routes.get("/events")
async def stream(call: Call, daemon: Daemon) -> Response:
    given = call.filters()
    events.check(given)
    since, until = (timestamps.parse(call.query.get(name)) for name in ("since", "until"))
    return json_lines(_events(daemon, since, until, given))


async def _events(daemon: Daemon, since: float | None, until: float | None, given: Given) -> AsyncIterator[Json]:
    async for event in daemon.engine.events.subscribe(since, until, lambda event: events.wanted(event, given)):
        yield events.event_json(event)


@routes.get("/system/df")
async def disk_usage(call: Call, daemon: Daemon) -> Response:
    kinds = call.query.all("type") or ["container", "image", "volume", "build-cache"]
    for kind in kinds:
        if kind not in ("container", "image", "volume", "build-cache"):
            raise InvalidInput(f"unknown object type: {kind}")
    engine = daemon.engine
    shown: Json = {"BuilderSize": 0}
    if "image" in kinds:
        shown |= await _images_usage(engine)
    if "container" in kinds:
        now = engine.clock.now()
        shown["Containers"] = [
            {**inspect.summary(each, engine, now), **await sizes(each, daemon)} for each in engine.containers.list()
        ]
    if "volume" in kinds:
        shown["Volumes"] = [
            {**volumes.volume_json(each), "UsageData": await _volume_usage(each.name, daemon)} for each in engine.volumes.list()
        ]
    if "build-cache" in kinds:
        shown["BuildCache"] = []
    return json(shown)


async def _images_usage(engine: Engine) -> Json:
    """The images, with what each shares with others; all layers together, each counted once."""
    using = Counter(container.image_id for container in engine.containers.list())
    found = images.select(engine, {}, everything=False)
    sizes = await asyncio.to_thread(images.layer_sizes, engine, found)
    chains = {image.id: chain_ids(image.config["rootfs"]["diff_ids"]) for image in found}
    holders = Counter(chain for each in chains.values() for chain in each)
    shared = {identifier: sum(sizes[chain] for chain in each if holders[chain] > 1) for identifier, each in chains.items()}
    shown = [{**images.summary(image, using[image.id]), "SharedSize": shared[image.id]} for image in found]
    return {"LayersSize": sum(sizes.values()), "Images": shown}


async def _volume_usage(name: str, daemon: Daemon) -> dict[str, int]:
    known = daemon.engine.volumes
    return {"RefCount": len(known.users(name)), "Size": await known.usage(name)}


@routes.post("/auth")
async def login(call: Call, daemon: Daemon) -> Response:
    body = await call.json()
    await daemon.engine.images.login(credentials.domain(body.get("serveraddress") or ""), credentials.of_object(body))
    return json({"Status": "Login Succeeded", "IdentityToken": ""})
