"""A KubeletConfiguration as the node agent reads it."""

from pathlib import Path
from typing import Any

import pytest

from podling.base.errors import InvalidInput
from podling.node.durations import seconds
from podling.node.pressure.thresholds import Threshold, parse
from podling.node.settings import Settings, Shutdown, load, read


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("1h30m", 5400), ("1.5s", 1.5), ("300ms", 0.3), ("0", 0), ("2m0s", 120)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "-1s", "1s1"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)


def test_thresholds() -> None:
    assert parse({"memory.available": "100Mi", "nodefs.available": "10%", "imagefs.available": "0%"}) == (
        Threshold("memory.available", "100Mi", amount=100 << 20),
        Threshold("nodefs.available", "10%", share=0.1),
    )
    assert parse({"pid.available": "100"}, {"pid.available": 30.0})[0].grace == 30
    assert parse({"nodefs.inodesFree": "5%"})[0].limit(1000) == 50
    for given in ({"memory": "1Mi"}, {"memory.available": "much"}, {"memory.available": "120%"}):
        with pytest.raises(InvalidInput):
            parse(given)
    with pytest.raises(InvalidInput, match="grace period must be specified"):
        parse({"memory.available": "1Gi"}, {})


def test_a_whole_document(tmp_path: Path) -> None:
    file = tmp_path / "kubelet.yaml"
    file.write_text("""
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: manifests
evictionHard: {memory.available: 200Mi}
evictionSoft: {memory.available: 500Mi}
evictionSoftGracePeriod: {memory.available: 1m30s}
evictionPressureTransitionPeriod: 30s
containerLogMaxSize: 1Mi
containerLogMaxFiles: 3
imageGCHighThresholdPercent: 85
shutdownGracePeriod: 30s
shutdownGracePeriodCriticalPods: 10s
allowedUnsafeSysctls: [net.core.*]
""")
    found = load(file)
    assert found.manifests == tmp_path / "manifests"
    assert [(each.signal, each.hard, each.grace) for each in found.thresholds] == [
        ("memory.available", True, 0.0),
        ("memory.available", False, 90.0),
    ]
    assert (found.log_size, found.log_files, found.images_high, found.pressure_lasts) == (1 << 20, 3, 85, 30)
    assert found.shutdown == Shutdown(((0, 20.0), (2_000_000_000, 10.0)))
    assert found.shutdown.total == 30
    assert found.sysctls == ("net.core.*",)
    assert load(None) == Settings()


@pytest.mark.parametrize(
    "document",
    [
        {"containerLogMaxFiles": 1},
        {"imageGCHighThresholdPercent": 101},
        {"shutdownGracePeriod": "10s", "shutdownGracePeriodCriticalPods": "20s"},
        {"shutdownGracePeriod": "10s", "shutdownGracePeriodByPodPriority": [{"priority": 0, "shutdownGracePeriodSeconds": 1}]},
        {"evictionHard": {"disk": "1Gi"}},
    ],
)
def test_settings_that_make_no_sense(document: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        read(document)
    file = tmp_path / "kubelet.yaml"
    file.write_text("kind: Deployment")
    with pytest.raises(InvalidInput, match="it is no KubeletConfiguration"):
        load(file)
