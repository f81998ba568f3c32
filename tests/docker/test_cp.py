"""`docker cp`, by the real CLI."""

import io
import os
import tarfile

import pytest

pytestmark = pytest.mark.root


@pytest.fixture(params=["running", "stopped"])
def box(docker, request):
    command = ["sleep", "100"] if request.param == "running" else ["true"]
    docker("run", "-d", "--name", "box", "busybox", *command)
    if request.param == "stopped":
        docker("wait", "box")
    return "box"


def test_there_and_back(docker, box, tmp_path):
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/file").write_text("content")
    (tmp_path / "tree/link").symlink_to("deep/file")
    docker("cp", str(tmp_path / "tree"), f"{box}:/tmp/")
    docker("cp", f"{box}:/tmp/tree", str(tmp_path / "back"))
    assert (tmp_path / "back/deep/file").read_text() == "content"
    assert os.readlink(tmp_path / "back/link") == "deep/file"
    docker("cp", str(tmp_path / "tree/deep/file"), f"{box}:/tmp/renamed")
    docker("cp", f"{box}:/tmp/renamed", str(tmp_path / "renamed"))
    assert (tmp_path / "renamed").read_text() == "content"


def test_what_is_not_there(docker, box, tmp_path):
    assert "Could not find the file /nosuch in container" in docker("cp", "box:/nosuch", str(tmp_path), check=False).stderr
    (tmp_path / "file").write_text("x")
    assert docker("cp", str(tmp_path / "file"), "box:/nosuch/place", check=False).returncode == 1


def test_hostile_archives_stay_inside(docker, box, tmp_path):
    outside = tmp_path / "outside"
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        link = tarfile.TarInfo("leave")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        entry = tarfile.TarInfo("leave/outside")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))
        up = tarfile.TarInfo("../../../../../../../../outside")
        up.size = 4
        archive.addfile(up, io.BytesIO(b"evil"))
    status, _, body = docker.api("PUT", f"/containers/{box}/archive?path=/tmp", data.getvalue())
    assert status >= 400, body
    assert not outside.exists()
    assert docker.api("PUT", f"/containers/{box}/archive?path=/tmp", b"no tar at all" * 100)[0] == 400
    assert docker.api("PUT", f"/containers/{box}/archive", b"")[0] == 400
