"""What the containers of one pod share, and how fast it sends: the pure part."""

from typing import Any

import pytest

from podling.base.errors import InvalidInput
from podling.node.sandbox import sandbox_of


def pod(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "default", "uid": "u1", "annotations": annotations or {}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "app"}], **spec}}


def test_what_a_pod_shares() -> None:
    spec = sandbox_of(pod(shareProcessNamespace=True, hostIPC=True), "/p/kubepods")
    assert (spec.share_processes, spec.host_ipc, spec.host_network) == (True, True, False)
    assert spec.cgroup == "/p/kubepods/besteffort/podu1"


@pytest.mark.parametrize(("text", "rate"), [("10M", 1_250_000), ("8k", 1000), ("1P", 10**15 // 8)])
def test_bandwidth_is_told_in_bits(text: str, rate: int) -> None:
    spec = sandbox_of(pod({"kubernetes.io/ingress-bandwidth": text}), "/p")
    assert (spec.ingress, spec.egress) == (rate, 0)
    assert sandbox_of(pod({"kubernetes.io/egress-bandwidth": text}), "/p").egress == rate


@pytest.mark.parametrize("text", ["1", "2P", "fast"])
def test_bandwidth_that_makes_no_sense(text: str) -> None:
    with pytest.raises(InvalidInput):
        sandbox_of(pod({"kubernetes.io/egress-bandwidth": text}), "/p")
