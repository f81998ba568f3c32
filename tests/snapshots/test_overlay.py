import time
from pathlib import Path

import pytest

from podling.snapshots.overlay import OverlaySnapshotter
from podling.testing.snapshotter_contract import SnapshotterContract, shown


@pytest.fixture
def snapshots(tmp_path: Path) -> OverlaySnapshotter:
    return OverlaySnapshotter(tmp_path / "snapshots")


@pytest.mark.root
class TestOverlay(SnapshotterContract):
    pass


def committed(snapshots: OverlaySnapshotter, count: int) -> str:
    parent = ""
    for number in range(count):
        content = snapshots.prepare(f"making-{number}", parent)
        (content / f"file-{number}").write_text("x")
        snapshots.commit(f"layer-{number}", f"making-{number}")
        parent = f"layer-{number}"
    return parent


@pytest.mark.root
def test_a_hundred_layers_show_all_their_files(snapshots: OverlaySnapshotter, tmp_path: Path) -> None:
    snapshots.prepare("top", committed(snapshots, 100))
    with shown(snapshots, "top", tmp_path / "m") as root:
        assert len(list(root.iterdir())) == 100


@pytest.mark.root
def test_layers_can_be_prepared_before_their_parent(snapshots: OverlaySnapshotter, tmp_path: Path) -> None:
    upper = snapshots.prepare("upper")
    (upper / "b").write_text("b")
    lower = snapshots.prepare("lower")
    (lower / "a").write_text("a")
    snapshots.commit("base", "lower")
    snapshots.commit("whole", "upper", "base")
    snapshots.prepare("top", "whole")
    with shown(snapshots, "top", tmp_path / "m") as root:
        assert sorted(path.name for path in root.iterdir()) == ["a", "b"]


@pytest.mark.root
def test_a_start_takes_a_few_milliseconds(snapshots: OverlaySnapshotter, tmp_path: Path) -> None:
    """The goal is 0.85 ms on a quiet machine; the bound leaves room for a busy one."""
    top = committed(snapshots, 10)
    times = []
    for number in range(20):
        started = time.perf_counter()
        snapshots.prepare(f"c{number}", top)
        with shown(snapshots, f"c{number}", tmp_path / "m"):
            times.append(time.perf_counter() - started)
    assert sorted(times)[10] < 0.01
