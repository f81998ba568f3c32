"""Networks. Source: Docker Engine API, "Network"."""

from typing import Any

from podling.aio.http import Response
from podling.base.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable, Unsupported
from podling.docker import filters, timestamps
from podling.docker.absent import NOT_A_MANAGER
from podling.docker.answers import empty, json
from podling.docker.daemon import Daemon
from podling.docker.endpoints import endpoint
from podling.docker.events import pruned
from podling.docker.filters import Given
from podling.docker.routing import Call, Routes
from podling.engine.engine import Engine
from podling.network.base import Endpoint, Network, Pool

routes = Routes()
_KNOWN = frozenset({"dangling", "driver", "id", "label", "label!", "name", "scope", "type"})


def network_json(network: Network, engine: Engine, *, containers: bool) -> dict[str, Any]:
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": timestamps.from_seconds(network.created),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": True,
        "EnableIPv6": any(":" in pool.subnet for pool in network.pools),
        "IPAM": {"Driver": "default", "Options": None, "Config": [_pool(pool) for pool in network.pools]},
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {each.sandbox: _member(each) for each in engine.networks.endpoints(network.id)} if containers else {},
        "Options": dict(network.options),
        "Labels": dict(network.labels),
    }


def _pool(pool: Pool) -> dict[str, Any]:
    shown: dict[str, Any] = {"Subnet": pool.subnet}
    if pool.range:
        shown["IPRange"] = pool.range
    if pool.gateway:
        shown["Gateway"] = pool.gateway
    if pool.reserved:
        shown["AuxiliaryAddresses"] = dict(pool.reserved)
    return shown


def _member(member: Endpoint) -> dict[str, str]:
    return {
        "Name": member.name,
        "EndpointID": member.id,
        "MacAddress": member.mac,
        "IPv4Address": member.address,
        "IPv6Address": member.address6,
    }


@routes.get("/networks")
async def list_(call: Call, daemon: Daemon) -> Response:
    given = call.filters()
    filters.check(given, _KNOWN)
    found = [network for network in daemon.engine.networks.all() if _fits(network, daemon.engine, given)]
    return json([network_json(network, daemon.engine, containers=False) for network in found])


def _fits(network: Network, engine: Engine, given: Given) -> bool:
    dangling = filters.flag(given, "dangling")
    is_dangling = not network.builtin and not engine.networks.endpoints(network.id)
    kind = "builtin" if network.builtin else "custom"
    return (
        filters.labels(given, network.labels)
        and filters.any_of(given, "name", lambda value: filters.name_matches(value, [network.name]))
        and filters.any_of(given, "id", network.id.startswith)
        and filters.any_of(given, "driver", lambda value: value == network.driver)
        and filters.any_of(given, "scope", lambda value: value == "local")
        and filters.any_of(given, "type", lambda value: value == kind)
        and (dangling is None or dangling is is_dangling)
    )


@routes.post("/networks/create")
async def create(call: Call, daemon: Daemon) -> Response:
    body = await call.json()
    if not body.get("Name"):
        raise InvalidInput("network name cannot be empty")
    ipam = body.get("IPAM") or {}
    _check(body, ipam)
    pools = [
        {
            "subnet": pool.get("Subnet"),
            "gateway": pool.get("Gateway"),
            "range": pool.get("IPRange"),
            "reserved": pool.get("AuxiliaryAddresses") or pool.get("AuxAddress"),
        }
        for pool in ipam.get("Config") or ()
    ]
    network = await daemon.engine.networks.create(
        body["Name"],
        driver=body.get("Driver") or "bridge",
        pools=pools,
        ipv6=bool(body.get("EnableIPv6")),
        internal=bool(body.get("Internal")),
        options=body.get("Options"),
        labels=body.get("Labels"),
        attachable=bool(body.get("Attachable")),
    )
    return json({"Id": network.id, "Warning": ""}, 201)


def _check(body: dict[str, Any], ipam: dict[str, Any]) -> None:
    """Raises what the daemon does for what is not to be had here."""
    if body.get("Scope") == "swarm" or body.get("Ingress"):
        raise Unavailable(NOT_A_MANAGER)
    if body.get("ConfigOnly") or body.get("ConfigFrom"):
        raise Unsupported("networks of configuration alone are not supported")
    if body.get("EnableIPv4") is False:
        raise Unsupported("a network without IPv4 is not supported")
    if (driver := ipam.get("Driver") or "default") != "default":
        raise NotFound(f"could not find an available, non-overlapping address pool: IPAM driver {driver} not found")


@routes.post("/networks/prune")
async def prune(call: Call, daemon: Daemon) -> Response:
    given, engine = call.filters(), daemon.engine
    filters.check(given, {"label", "label!", "until"})
    until = filters.until(given, engine.clock.now())
    deleted = []
    for network in engine.networks.all():
        if network.builtin or network.created >= until or not filters.labels(given, network.labels) or _wanted(network, engine):
            continue
        try:
            await engine.networks.remove(network.id)
        except (NotFound, Forbidden, Conflict):
            continue  # somebody was quicker
        deleted.append(network.name)
    pruned(engine.events, "network", 0)
    return json({"NetworksDeleted": deleted or None})


def _wanted(network: Network, engine: Engine) -> bool:
    """Whether a container is in it, or will be when it runs."""
    return any(network.name in container.networks() for container in engine.containers.list())


@routes.get("/networks/{name}")
async def inspect(call: Call, daemon: Daemon) -> Response:
    network = daemon.engine.networks.find(call.path["name"])
    return json(network_json(network, daemon.engine, containers=True))


@routes.delete("/networks/{name}")
async def remove(call: Call, daemon: Daemon) -> Response:
    await daemon.engine.networks.remove(call.path["name"])
    return empty()


@routes.post("/networks/{name}/connect")
async def connect(call: Call, daemon: Daemon) -> Response:
    body, engine = await call.json(), daemon.engine
    network = engine.networks.find(call.path["name"])
    container = engine.containers.find(body.get("Container") or "")
    await container.connect(network.name, endpoint(body.get("EndpointConfig") or {}))
    return empty(200)


@routes.post("/networks/{name}/disconnect")
async def disconnect(call: Call, daemon: Daemon) -> Response:
    body, engine = await call.json(), daemon.engine
    network = engine.networks.find(call.path["name"])
    container = engine.containers.find(body.get("Container") or "")
    await container.disconnect(network.name)
    return empty(200)
