"""How many pods a second does the scheduler's cycle place? Against scheduler_perf's thresholds at 5,000 nodes.

Choosing and counting alone, in CPU time of this process: no API server, no binding.
"""

import random
import time
from typing import Any

from podling.api.objects import Object
from podling.scheduler.configuration.plugins import ProfileSpec
from podling.scheduler.cycle import Placed, schedule
from podling.scheduler.ledger import Ledger
from podling.scheduler.pod_info import PodInfo
from podling.testing.simulation import node

DEFAULT = ProfileSpec().build()
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
WEB = {"matchLabels": {"app": "web"}}
IN_ZONE = {"nodeSelectorTerms": [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["z1"]}]}]}
NEAR = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": ZONE, "labelSelector": WEB}]}
SPREAD = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": WEB}
# question -> (what the pods ask for, upstream's threshold in pods/s at 5,000 nodes)
CASES: dict[str, tuple[Object, int]] = {
    "basic": ({}, 680),
    "topology spread": ({"topologySpreadConstraints": [SPREAD]}, 460),
    "unschedulable": ({"nodeSelector": {"no": "such"}}, 590),
    "node affinity": ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": IN_ZONE}}}, 220),
    "pod affinity": ({"affinity": {"podAffinity": NEAR}}, 35),
}


def pod(number: int, spec: Object) -> Object:
    requests = {"cpu": "100m", "memory": "128Mi"}
    metadata = {"name": f"p{number}", "namespace": "default", "uid": f"u{number}", "labels": {"app": "web"}}
    return {"metadata": metadata, "spec": {"containers": [{"image": "web:1", "resources": {"requests": requests}}], **spec}}


def rate(nodes: int, pods: int, spec: dict[str, Any]) -> float:
    ledger = Ledger()
    chance = random.Random(1)
    for number in range(nodes):
        ledger.put_node(node(f"n{number}", cpu="32", memory="64Gi", **{ZONE: f"z{number % 3}"}))
    start = time.process_time()
    for number in range(pods):
        info = PodInfo.of(pod(number, spec))
        found = schedule(info, ledger.snapshot, DEFAULT, lambda count: int(chance.random() * count))
        if isinstance(found, Placed):
            ledger.assume(info, found.node)
    return pods / (time.process_time() - start)


def main() -> None:
    print(f"{'':20}{'100 nodes':>12}{'5,000 nodes':>14}{'threshold':>12}{'ratio':>8}")
    for name, (spec, threshold) in CASES.items():
        small, large = rate(100, 1000, spec), rate(5000, 1000, spec)
        print(f"{name:20}{small:10.0f}/s{large:12.0f}/s{threshold:10}/s{large / threshold:8.1f}")


if __name__ == "__main__":
    main()
