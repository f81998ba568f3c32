from pathlib import Path

import pytest

from podling.snapshots.copy import CopySnapshotter
from podling.testing.snapshotter_contract import SnapshotterContract


@pytest.fixture
def snapshots(tmp_path: Path) -> CopySnapshotter:
    return CopySnapshotter(tmp_path / "snapshots")


@pytest.mark.root
class TestCopy(SnapshotterContract):
    pass
