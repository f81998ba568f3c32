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


def test_owners_modes_and_times(docker, box, tmp_path):
    """Inside everything is as it was outside; outside the client makes all files its own."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "file").write_text("x")
    os.chown(place / "file", 1234, 2345)
    os.chmod(place / "file", 0o4751)  # a change of the owner would take the high bit away
    os.utime(place / "file", (1_000_000_000, 1_000_000_000))
    os.chown(place, 77, 88)
    docker("cp", "-a", str(place), f"{box}:/tmp/kept")
    answer = docker.api("GET", f"/containers/{box}/archive?path=/tmp/kept")
    with tarfile.open(fileobj=io.BytesIO(answer[2])) as archive:
        entries = {entry.name.partition("/")[2]: entry for entry in archive}
    kept = entries["file"]
    assert (kept.uid, kept.gid, kept.mode, kept.mtime) == (1234, 2345, 0o4751, 1_000_000_000)
    assert (entries[""].uid, entries[""].gid) == (77, 88)
    docker("cp", "-a", f"{box}:/tmp/kept", str(tmp_path / "out"))
    back = (tmp_path / "out/file").stat()
    assert (back.st_uid, back.st_mode & 0o7777, int(back.st_mtime)) == (os.getuid(), 0o4751, 1_000_000_000)


def test_links_of_both_kinds(docker, box, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("content")
    os.link(tree / "file", tree / "again")
    (tree / "to-file").symlink_to("file")
    (tree / "nowhere").symlink_to("/no/such/place")
    os.mkfifo(tree / "pipe")
    docker("cp", str(tree), f"{box}:/tmp/tree")
    docker("cp", f"{box}:/tmp/tree", str(tmp_path / "back"))
    back = tmp_path / "back"
    assert (back / "file").stat().st_ino == (back / "again").stat().st_ino
    assert [os.readlink(back / name) for name in ("to-file", "nowhere")] == ["file", "/no/such/place"]
    assert (back / "pipe").is_fifo()
    docker("cp", f"{box}:/tmp/tree/to-file", str(tmp_path / "link"))
    assert os.readlink(tmp_path / "link") == "file"
    docker("cp", "-L", f"{box}:/tmp/tree/to-file", str(tmp_path / "followed"))
    assert (tmp_path / "followed").read_text() == "content"
    docker("cp", "-L", str(tree / "to-file"), f"{box}:/tmp/followed")
    docker("cp", f"{box}:/tmp/followed", str(tmp_path / "of-followed"))
    assert (tmp_path / "of-followed").is_file()
    assert not (tmp_path / "of-followed").is_symlink()


def test_where_it_ends_up(docker, box, tmp_path):
    """The rules of cp(1): into a directory that there is, as the name that there is not, the content of `/.`"""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("new")
    for target in ("/tmp/", "/tmp/named", "/tmp/tree/."):
        docker("cp", str(tree), f"{box}:{target}")
    docker("cp", f"{tree}/.", f"{box}:/tmp")
    docker("cp", f"{box}:/tmp", str(tmp_path / "seen"))
    found = sorted(str(path.relative_to(tmp_path / "seen")) for path in (tmp_path / "seen").rglob("file"))
    assert found == ["file", "named/file", "tree/file", "tree/tree/file"]
    assert docker("cp", str(tree / "file"), f"{box}:/tmp/tree/file/x", check=False).returncode == 1
    assert "cannot copy directory" in docker("cp", str(tree), f"{box}:/tmp/file", check=False).stderr.lower()
    assert docker("cp", f"{box}:/tmp/file", "-").stdout.startswith("file")


def test_into_a_volume_and_a_place_that_cannot_be_written(docker, tmp_path):
    (tmp_path / "file").write_text("x")
    docker(
        "run", "-d", "--name", "box", "--read-only", "-v", "data:/data", "-v", f"{tmp_path}:/host:ro", "busybox", "sleep", "1000"
    )
    docker("cp", str(tmp_path / "file"), "box:/data/file")
    assert docker("run", "--rm", "-v", "data:/data", "busybox", "cat", "/data/file").stdout == "x"
    assert "is marked read-only" in docker("cp", str(tmp_path / "file"), "box:/etc/file", check=False).stderr
    assert "is marked read-only" in docker("cp", str(tmp_path / "file"), "box:/host/other", check=False).stderr
    assert not (tmp_path / "other").exists()


def test_what_is_copied_with_its_owner_becomes_the_containers_users(docker, tmp_path):
    (tmp_path / "file").write_text("x")
    os.chown(tmp_path / "file", 1234, 2345)
    docker("create", "--name", "box", "-u", "nobody", "busybox", "stat", "-c", "%n %u", "/tmp/kept", "/tmp/plain")
    docker("cp", "-a", str(tmp_path / "file"), "box:/tmp/kept")
    docker("cp", str(tmp_path / "file"), "box:/tmp/plain")
    assert docker("start", "-a", "box").stdout.splitlines() == ["/tmp/kept 65534", "/tmp/plain 1234"]
