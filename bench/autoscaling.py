"""How long an autoscaler takes from the load to the pods: until the workload is asked to grow, and until the new pods are Ready.

With the periods that come with it (15 s between looks, as upstream), and with those of a cluster that reacts each second.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import podlings
import table
import timing
from podling.client.client import Client
from podling.client.resource import AUTOSCALERS, DEPLOYMENTS
from podling.testing.podling import running_podling

REPLICAS = 3
WORK = "while :; do if [ -e /load/on ]; then i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; else sleep 0.1; fi; done"
PERIODS = (("as it comes", {}), ("each second", {"metrics_resolution": 1, "horizontal_pod_autoscaler_sync_period": 1}))

Reaction = tuple[float, float, float]
"""Seconds until it is asked to grow, until all are Ready, and after the load's end until it is asked to shrink."""


def workload(load: Path) -> list[tuple[Any, dict[str, Any]]]:
    made = podlings.deployment("web", 1)
    spec = made["spec"]["template"]["spec"]
    container = spec["containers"][0]
    container |= {"command": ["sh", "-c", WORK], "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}}
    container["volumeMounts"] = [{"name": "load", "mountPath": "/load"}]
    spec["volumes"] = [{"name": "load", "hostPath": {"path": str(load)}}]
    made["spec"]["template"]["metadata"] = {"labels": {"app": "web"}}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": REPLICAS,
            "metrics": [metric],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }
    return [(DEPLOYMENTS, made), (AUTOSCALERS, autoscaler)]


async def until(client: Client, resource: Any, holds: Any) -> float:
    """When `holds` is true of the object `web`."""
    listing = await client.list(resource, "default")
    if not any(holds(obj) for obj in listing.items):
        await podlings.watch_until(client, resource, listing.resource_version, lambda _, obj: holds(obj))
    return time.perf_counter()


async def measure(client: Client, load: Path) -> Reaction:
    for resource, obj in workload(load):
        await client.create(resource, obj, "default")
    await until(client, AUTOSCALERS, lambda obj: "averageValue" in str(obj.get("status", {}).get("currentMetrics")))
    started = time.perf_counter()
    (load / "on").touch()
    grown = await until(client, DEPLOYMENTS, lambda obj: obj["spec"]["replicas"] == REPLICAS)
    ready = await until(client, DEPLOYMENTS, lambda obj: obj["status"].get("readyReplicas") == REPLICAS)
    ended = time.perf_counter()
    (load / "on").unlink()
    shrunk = await until(client, DEPLOYMENTS, lambda obj: obj["spec"]["replicas"] == 1)
    return grown - started, ready - started, shrunk - ended


def reaction(settings: dict[str, int]) -> Reaction:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.toml"
        config.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        with running_podling("--config", str(config)) as podling:
            return podlings.with_api(podling, lambda client: asyncio.wait_for(measure(client, Path(folder)), 300))


def main() -> None:
    timing.clean_up_on_signals()
    rows = [(name, *map(table.duration, reaction(settings))) for name, settings in PERIODS]
    table.show(f"an autoscaler, from 1 to {REPLICAS} pods on CPU", ("", "asked to grow", "all Ready", "asked to shrink"), rows)


if __name__ == "__main__":
    main()
