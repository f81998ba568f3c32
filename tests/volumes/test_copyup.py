import os
from pathlib import Path

import pytest

from podling.volumes.copyup import fill


@pytest.fixture
def root(tmp_path: Path) -> Path:
    data = tmp_path / "root" / "data"
    (data / "inner").mkdir(parents=True)
    (data / "inner" / "file").write_text("hello")
    (data / "link").symlink_to("inner/file")
    os.chmod(data / "inner", 0o750)
    return tmp_path / "root"


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


def test_an_empty_volume_gets_the_images_content(root: Path, volume: Path) -> None:
    fill(volume, root, "/data")
    assert (volume / "inner" / "file").read_text() == "hello"
    assert (volume / "inner").stat().st_mode & 0o777 == 0o750
    assert os.readlink(volume / "link") == "inner/file"


@pytest.mark.root
def test_owners_are_kept(root: Path, volume: Path) -> None:
    os.chown(root / "data", 11, 12)
    os.chown(root / "data" / "inner" / "file", 13, 14)
    fill(volume, root, "/data")
    assert (volume.stat().st_uid, volume.stat().st_gid) == (11, 12)
    assert (volume / "inner" / "file").stat().st_uid == 13


def test_a_volume_with_content_stays(root: Path, volume: Path) -> None:
    (volume / "mine").touch()
    fill(volume, root, "/data")
    assert os.listdir(volume) == ["mine"]


def test_a_link_does_not_lead_out_of_the_image(root: Path, volume: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").touch()
    (root / "out").symlink_to(tmp_path / "secret")
    fill(volume, root, "/out")
    assert os.listdir(volume) == []


def test_where_the_image_has_nothing_the_volume_stays_empty(root: Path, volume: Path) -> None:
    fill(volume, root, "/missing")
    assert os.listdir(volume) == []
