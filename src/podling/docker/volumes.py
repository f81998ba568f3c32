"""Volumes. Source: Docker Engine API, "Volume"."""

from typing import Any

from podling.aio.http import Response
from podling.docker import filters, timestamps
from podling.docker.answers import empty, json
from podling.docker.daemon import Daemon
from podling.docker.events import pruned
from podling.docker.filters import Given
from podling.docker.routing import Call, Routes
from podling.volumes.base import Volume

routes = Routes()
_KNOWN = frozenset({"dangling", "driver", "label", "label!", "name"})
_ALL_UNUSED = (1, 42)  # before it `prune` took named volumes too


def volume_json(volume: Volume) -> dict[str, Any]:
    return {
        "CreatedAt": timestamps.from_seconds(volume.created),
        "Driver": volume.driver,
        "Labels": dict(volume.labels) or None,
        "Mountpoint": str(volume.path),
        "Name": volume.name,
        "Options": dict(volume.options) or None,
        "Scope": "local",
    }


@routes.get("/volumes")
async def list_(call: Call, daemon: Daemon) -> Response:
    given, volumes = call.filters(), daemon.engine.volumes
    filters.check(given, _KNOWN)
    dangling = filters.flag(given, "dangling")
    found = [
        volume_json(volume)
        for volume in volumes.list()
        if _fits(volume, given) and (dangling is None or dangling is not bool(volumes.users(volume.name)))
    ]
    return json({"Volumes": found, "Warnings": None})


def _fits(volume: Volume, given: Given) -> bool:
    return (
        filters.labels(given, volume.labels)
        and filters.any_of(given, "name", lambda value: value in volume.name)
        and filters.any_of(given, "driver", lambda value: value == volume.driver)
    )


@routes.post("/volumes/create")
async def create(call: Call, daemon: Daemon) -> Response:
    body = await call.json()
    volume = await daemon.engine.volumes.create(
        body.get("Name") or "",
        driver=body.get("Driver") or "local",
        options=body.get("DriverOpts"),
        labels=body.get("Labels"),
    )
    return json(volume_json(volume), 201)


@routes.post("/volumes/prune")
async def prune(call: Call, daemon: Daemon) -> Response:
    given, engine = call.filters(), daemon.engine
    filters.check(given, {"label", "label!", "all"})
    everything = call.version < _ALL_UNUSED or filters.flag(given, "all") is True
    names, freed = await engine.volumes.prune(
        lambda volume: (everything or volume.anonymous) and filters.labels(given, volume.labels)
    )
    pruned(engine.events, "volume", freed)
    return json({"VolumesDeleted": list(names), "SpaceReclaimed": freed})


@routes.get("/volumes/{name}")
async def inspect(call: Call, daemon: Daemon) -> Response:
    return json(volume_json(daemon.engine.volumes.find(call.path["name"])))


@routes.delete("/volumes/{name}")
async def remove(call: Call, daemon: Daemon) -> Response:
    await daemon.engine.volumes.remove(call.path["name"], force=call.flag("force"))
    return empty()
