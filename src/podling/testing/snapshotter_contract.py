"""What every snapshot driver keeps. Subclass it and give `snapshots`; needs root."""

import io
import os
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from podling.base.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from podling.linux import mount
from podling.snapshots import diff
from podling.snapshots.base import Snapshotter
from podling.snapshots.unpack import apply


@contextmanager
def shown(snapshots: Snapshotter, key: str, target: Path) -> Iterator[Path]:
    """The snapshot mounted at `target` for the time of a block."""
    target.mkdir(exist_ok=True)
    snapshots.mount(key, target)
    try:
        yield target
    finally:
        mount.umount(target)


async def joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


class SnapshotterContract:
    """Tests of `podling.snapshots.base.Snapshotter`; a subclass has a fixture `snapshots`."""

    def base(self, snapshots: Snapshotter) -> None:
        content = snapshots.prepare("making")
        (content / "etc").mkdir()
        (content / "etc/old").write_text("old")
        (content / "etc/kept").write_text("kept")
        (content / "dir").mkdir()
        (content / "dir/file").write_text("below")
        snapshots.commit("base", "making")

    def test_what_is_written_over_a_layer_leaves_the_layer_alone(self, snapshots: Snapshotter, tmp_path: Path) -> None:
        self.base(snapshots)
        for key in ("one", "two"):
            snapshots.prepare(key, "base")
        with shown(snapshots, "one", tmp_path / "m") as root:
            (root / "etc/old").unlink()
            (root / "new").write_text("new")
        with shown(snapshots, "two", tmp_path / "m") as root:
            assert (root / "etc/old").read_text() == "old"
            assert not (root / "new").exists()
        with shown(snapshots, "one", tmp_path / "m") as root:
            assert (root / "new").read_text() == "new"
            assert not (root / "etc/old").exists()

    def test_a_snapshot_without_parent_is_empty(self, snapshots: Snapshotter, tmp_path: Path) -> None:
        snapshots.prepare("empty")
        with shown(snapshots, "empty", tmp_path / "m") as root:
            assert os.listdir(root) == []
            (root / "x").write_text("x")
        assert snapshots.content("empty")[0].joinpath("x").read_text() == "x"

    def test_the_root_keeps_its_attributes(self, snapshots: Snapshotter, tmp_path: Path) -> None:
        content = snapshots.prepare("making")
        os.chmod(content, 0o1777)
        os.chown(content, 7, 8)
        snapshots.commit("base", "making")
        snapshots.prepare("top", "base")
        with shown(snapshots, "top", tmp_path / "m") as root:
            status = root.stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o1777, 7, 8)

    def test_a_view_is_read_only(self, snapshots: Snapshotter, tmp_path: Path) -> None:
        self.base(snapshots)
        snapshots.prepare("second", "base")
        snapshots.commit("top", "second")
        for parent in ("base", "top"):
            snapshots.view("look", parent)
            with shown(snapshots, "look", tmp_path / "m") as root:
                assert (root / "etc/old").read_text() == "old"
                with pytest.raises(OSError):
                    (root / "x").write_text("x")
            snapshots.remove("look")

    def test_names_are_unique_and_known(self, snapshots: Snapshotter) -> None:
        self.base(snapshots)
        with pytest.raises(AlreadyExists):
            snapshots.prepare("base")
        with pytest.raises(NotFound):
            snapshots.prepare("x", "missing")
        snapshots.prepare("x")
        with pytest.raises(NotFound):
            snapshots.prepare("y", "x")  # not committed
        with pytest.raises(AlreadyExists):
            snapshots.commit("base", "x")
        with pytest.raises(NotFound):
            snapshots.commit("z", "missing")
        with pytest.raises(NotFound):
            snapshots.stat("missing")
        for hostile in ("../x", "", "a/b", ".", "-x"):
            with pytest.raises(InvalidInput):
                snapshots.prepare(hostile)

    def test_a_parent_stays_as_long_as_it_has_children(self, snapshots: Snapshotter) -> None:
        self.base(snapshots)
        snapshots.prepare("top", "base")
        with pytest.raises(Conflict):
            snapshots.remove("base")
        snapshots.remove("top")
        snapshots.remove("base")
        snapshots.remove("base")
        assert list(snapshots.walk()) == []

    def test_walk_and_stat_tell_kind_and_parent(self, snapshots: Snapshotter) -> None:
        self.base(snapshots)
        snapshots.prepare("top", "base")
        snapshots.view("look", "base")
        found = {info.name: (info.kind, info.parent) for info in snapshots.walk()}
        assert found == {"base": ("committed", ""), "top": ("active", "base"), "look": ("view", "base")}
        assert snapshots.stat("top") in list(snapshots.walk())

    def test_usage_counts_a_snapshots_own_files(self, snapshots: Snapshotter) -> None:
        content = snapshots.prepare("making")
        (content / "file").write_bytes(bytes(100_000))
        os.link(content / "file", content / "again")
        snapshots.commit("base", "making")
        usage = snapshots.usage("base")
        assert 100_000 <= usage.size < 200_000
        assert usage.inodes == 1

    def test_changes_name_what_differs(self, snapshots: Snapshotter, tmp_path: Path) -> None:
        self.base(snapshots)
        snapshots.prepare("top", "base")
        with shown(snapshots, "top", tmp_path / "m") as root:
            (root / "etc/old").unlink()
            (root / "etc/kept").write_text("changed")
            (root / "etc/new").write_text("new")
        found = {change.path: change.kind for change in snapshots.changes("top")}
        assert found == {"etc": "modified", "etc/old": "deleted", "etc/kept": "modified", "etc/new": "added"}

    async def test_a_layer_of_the_changes_makes_them_again(self, snapshots: Snapshotter, tmp_path: Path) -> None:
        self.base(snapshots)
        snapshots.prepare("top", "base")
        with shown(snapshots, "top", tmp_path / "m") as root:
            (root / "etc/old").unlink()
            (root / "dir/file").unlink()
            (root / "dir").rmdir()
            (root / "dir").mkdir()
            (root / "dir/other").write_text("other")
            (root / "link").symlink_to("etc/kept")
            os.link(root / "dir/other", root / "twin")
            os.chown(root / "dir/other", 5, 6)
            os.chmod(root / "dir/other", 0o4711)
        layer = await joined(diff.layer(snapshots, "top"))
        assert layer == await joined(diff.layer(snapshots, "top"))
        archive = tmp_path / "layer"
        archive.write_bytes(layer)
        content = snapshots.prepare("again", "base")
        with archive.open("rb") as file:
            await apply(file, content, whiteouts=snapshots.whiteouts)
        snapshots.commit("applied", "again")
        snapshots.view("look", "applied")
        with shown(snapshots, "look", tmp_path / "m") as root:
            assert sorted(os.listdir(root)) == ["dir", "etc", "link", "twin"]
            assert os.listdir(root / "dir") == ["other"]
            assert os.listdir(root / "etc") == ["kept"]
            assert (root / "link").read_text() == "kept"
            status = (root / "twin").stat()
            assert (status.st_nlink, status.st_uid, status.st_gid, status.st_mode & 0o7777) == (2, 5, 6, 0o4711)

    async def test_a_layer_names_deletions_in_the_form_of_images(self, snapshots: Snapshotter, tmp_path: Path) -> None:
        self.base(snapshots)
        snapshots.prepare("top", "base")
        with shown(snapshots, "top", tmp_path / "m") as root:
            (root / "etc/old").unlink()
        with tarfile.open(fileobj=io.BytesIO(await joined(diff.layer(snapshots, "top")))) as tar:
            assert tar.getnames() == ["etc", "etc/.wh.old"]

    def test_what_was_interrupted_is_gone_after_a_restart(self, snapshots: Snapshotter) -> None:
        self.base(snapshots)
        root = snapshots.content("base")[0].parents[2]
        left = root / "tmp" / "left"
        (left / "fs").mkdir(parents=True)
        again = type(snapshots)(root)  # type: ignore[call-arg]
        assert not left.exists()
        assert [info.name for info in again.walk()] == ["base"]
