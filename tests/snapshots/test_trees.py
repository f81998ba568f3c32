import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podling.base.errors import InvalidInput, NotFound
from podling.snapshots.trees import extract, pack
from podling.testing.images import entry, layer
from podling.testing.snapshotter_contract import joined

pytestmark = pytest.mark.root


async def stream(data: bytes, piece: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), piece):
        yield data[start : start + piece]


def names(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getnames()


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "data/sub").mkdir(parents=True)
    (root / "data/sub/file").write_text("content")
    (root / "link").symlink_to("/data")
    (tmp_path / "secret").write_text("secret")
    (root / "evil").symlink_to(tmp_path)
    return root


async def test_a_tree_comes_out_and_goes_in_unchanged(root: Path, tmp_path: Path) -> None:
    os.link(root / "data/sub/file", root / "data/twin")
    os.chown(root / "data/twin", 12, 34)
    archive = await joined(pack(root, [("/data", "moved")]))
    assert names(archive) == ["moved", "moved/sub", "moved/sub/file", "moved/twin"]
    assert archive == await joined(pack(root, [("/data", "moved")]))
    other = tmp_path / "other"
    other.mkdir()
    assert await extract(stream(archive), other) == len("content")
    assert (other / "moved/twin").stat().st_nlink == 2
    assert (other / "moved/twin").stat().st_uid == 12


async def test_large_files_and_roots(root: Path, tmp_path: Path) -> None:
    (root / "data/big").write_bytes(os.urandom(3 << 20))
    other = tmp_path / "other"
    other.mkdir()
    await extract(pack(root, [("/", "")]), other)
    assert (other / "data/big").read_bytes() == (root / "data/big").read_bytes()


async def test_links_are_followed_within_the_tree_only(root: Path) -> None:
    assert names(await joined(pack(root, [("/link", "x")]))) == ["x"]
    assert names(await joined(pack(root, [("/link", "x")], follow=True))) == ["x", "x/sub", "x/sub/file"]
    with pytest.raises(NotFound, match="no such file"):
        await joined(pack(root, [("/evil/secret", "x")], follow=True))
    with pytest.raises(NotFound):
        await joined(pack(root, [("/missing", "x")]))


async def test_extraction_follows_links_within_the_tree(root: Path, tmp_path: Path) -> None:
    await extract(stream(layer([(entry("new"), b"x")])), root, "/link")
    assert (root / "data/new").exists()
    with pytest.raises(InvalidInput, match="not a directory"):
        await extract(stream(layer([(entry("new"), b"x")])), root, "/evil")
    assert sorted(os.listdir(tmp_path)) == ["root", "secret"]


async def test_owner_and_whiteout_names(root: Path) -> None:
    await extract(stream(layer([(entry("d/.wh.x", uid=5), b"")])), root, "/data", owner=(7, 8))
    assert (root / "data/d/.wh.x").stat().st_uid == 7
    assert (root / "data/d").stat().st_gid == 8


async def test_directories_give_way_only_where_allowed(root: Path) -> None:
    archive = layer([(entry("sub"), b"file")])
    with pytest.raises(InvalidInput, match='cannot overwrite directory "/data/sub" with non-directory'):
        await extract(stream(archive), root, "/data", replace_directories=False)
    await extract(stream(archive), root, "/data")
    assert (root / "data/sub").read_text() == "file"
    again = layer([(entry("sub", tarfile.DIRTYPE, mode=0o755), b"")])
    with pytest.raises(InvalidInput, match='cannot overwrite non-directory "/data/sub" with directory'):
        await extract(stream(again), root, "/data", replace_directories=False)


async def test_a_source_that_fails_leaves_no_process(root: Path) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield layer([(entry("a"), b"x" * 10_000)])[:3000]
        raise RuntimeError("gone")

    before = set(children().split())
    with pytest.raises(RuntimeError, match="gone"):
        await extract(failing(), root)
    assert not set(children().split()) - before
