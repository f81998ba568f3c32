import filecmp
import gzip
import hashlib
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import zstandard

from podling.base.errors import Failed, InvalidInput, PodlingError
from podling.snapshots.unpack import Applied, Limits, apply
from podling.testing.images import entry, layer

pytestmark = pytest.mark.root

Members = Iterable[tuple[tarfile.TarInfo, bytes]]
DIRECTORY, LINK, SYMLINK, CHARACTER = tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE


class Place:
    """A directory to unpack into, beside one that nothing may touch."""

    def __init__(self, top: Path) -> None:
        self.root = top / "root"
        self.root.mkdir()
        self.archive = top / "archive"
        self.outside = top / "outside"
        self.outside.mkdir()
        (self.outside / "secret").write_text("untouched")

    async def unpack(self, data: bytes | Members, **options: object) -> Applied:
        self.archive.write_bytes(data if isinstance(data, bytes) else layer(data))
        with self.archive.open("rb") as file:
            return await apply(file, self.root, **options)  # type: ignore[arg-type]

    def assert_outside_untouched(self) -> None:
        assert os.listdir(self.outside) == ["secret"]
        assert (self.outside / "secret").read_text() == "untouched"
        assert (self.outside / "secret").stat().st_nlink == 1


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
async def test_any_compression_gives_the_digest_of_the_plain_tar(place: Place, compress: object) -> None:
    plain = layer([(entry("a"), b"x" * 100_000), (entry("d", DIRECTORY, mode=0o750), b"")])
    applied = await place.unpack(compress(plain))  # type: ignore[operator]
    assert applied.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert applied.size == 100_000
    assert (place.root / "a").read_bytes() == b"x" * 100_000


async def test_several_compressed_members_are_one_stream(place: Place) -> None:
    plain = layer([(entry("a"), b"x" * 5000)])
    await place.unpack(gzip.compress(plain[:700]) + gzip.compress(plain[700:]))
    assert (place.root / "a").read_bytes() == b"x" * 5000


async def test_owner_mode_time_and_attributes_are_kept(place: Place) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    pax = {"SCHILY.xattr.security.capability": capability.decode("latin-1"), "SCHILY.xattr.user.note": "hi", "mtime": "1000.25"}
    await place.unpack(
        [
            (entry("d", DIRECTORY, mode=0o1777, mtime=500), b""),
            (entry("d/run", mode=0o6755, uid=1000, gid=1001, mtime=7), b"x"),
            (entry("d/cap", mode=0o755, uid=3, pax_headers=pax), b"x"),
            (entry("d/twin", LINK, link="d/run"), b""),
            (entry("d/null", CHARACTER, mode=0o666, devmajor=1, devminor=3), b""),
            (entry("d/pipe", tarfile.FIFOTYPE, mode=0o600), b""),
            (entry("d/sym", SYMLINK, link="/anywhere", uid=9), b""),
        ]
    )
    root = place.root / "d"
    run, cap, null = (root / "run").stat(), (root / "cap").stat(), (root / "null").stat()
    assert (stat.S_IMODE(run.st_mode), run.st_uid, run.st_gid, run.st_mtime, run.st_nlink) == (0o6755, 1000, 1001, 7, 2)
    assert (cap.st_uid, cap.st_mtime) == (3, 1000.25)
    assert os.getxattr(root / "cap", "user.note") == b"hi"
    assert os.getxattr(root / "cap", "security.capability")
    assert (stat.S_ISCHR(null.st_mode), null.st_rdev) == (True, os.makedev(1, 3))
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert (os.readlink(root / "sym"), (root / "sym").lstat().st_uid) == ("/anywhere", 9)
    assert (stat.S_IMODE(root.stat().st_mode), root.stat().st_mtime) == (0o1777, 500)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
async def test_long_and_foreign_names(place: Place, form: int) -> None:
    long = "/".join(["long" * 20] * 5)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, kind, link in ((long, tarfile.REGTYPE, ""), ("ümläut", tarfile.REGTYPE, ""), ("sym", SYMLINK, long)):
            tar.addfile(entry(name, kind, link=link))
    await place.unpack(out.getvalue())
    assert (place.root / long).exists()
    assert (place.root / "ümläut").exists()
    assert (place.root / "sym").exists()


@pytest.mark.parametrize(
    "form", ["gnu", "posix --sparse-version=0.0", "posix --sparse-version=0.1", "posix --sparse-version=1.0"]
)
async def test_sparse_files(place: Place, tmp_path: Path, form: str) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        for offset in range(0, 40 << 20, 1 << 20):
            file.seek(offset)
            file.write(b"%d" % offset)
        file.truncate(64 << 20)
    await place.unpack(sparse_tar(source, form))
    made = place.root / "source"
    assert filecmp.cmp(source, made, shallow=False)
    assert made.stat().st_blocks * 512 < 8 << 20


def sparse_tar(source: Path, form: str) -> bytes:
    command = ["tar", "-C", source.parent, "-S", "-cf", "-", *f"--format={form}".split(), source.name]
    return subprocess.run(command, check=True, capture_output=True).stdout


# -- deletions


def whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


async def test_whiteouts_take_the_form_of_overlayfs(place: Place) -> None:
    applied = await place.unpack(
        [
            (entry("d", DIRECTORY, mode=0o755), b""),
            (entry("d/.wh.gone"), b""),
            (entry("o", DIRECTORY, mode=0o755), b""),
            (entry("o/new"), b"new"),
            (entry("o/.wh..wh..opq"), b""),
            (entry("deep/er/.wh.gone"), b""),
            (entry(".wh..wh.plnk"), b""),
        ]
    )
    assert whiteout(place.root / "d/gone")
    assert whiteout(place.root / "deep/er/gone")
    assert os.getxattr(place.root / "o", "trusted.overlay.opaque") == b"y"
    assert sorted(os.listdir(place.root)) == ["d", "deep", "o"]
    assert applied.implied == ["/deep", "/deep/er"]


async def test_a_whiteout_does_not_touch_what_its_own_layer_brings(place: Place) -> None:
    await place.unpack(
        [(entry("a"), b"mine"), (entry(".wh.a"), b""), (entry(".wh.b"), b""), (entry("b", DIRECTORY, mode=0o755), b"")]
    )
    assert (place.root / "a").read_text() == "mine"
    assert os.getxattr(place.root / "b", "trusted.overlay.opaque") == b"y"


async def test_whiteouts_are_carried_out_where_the_parents_content_is_there(place: Place) -> None:
    for path in ("gone/sub/x", "o/old", "o/sub/old", "kept"):
        (place.root / path).parent.mkdir(parents=True, exist_ok=True)
        (place.root / path).write_text("old")
    await place.unpack(
        [(entry(".wh.gone"), b""), (entry("o/sub/new"), b"new"), (entry("o/.wh..wh..opq"), b""), (entry(".wh.never"), b"")],
        whiteouts="delete",
    )
    assert sorted(os.listdir(place.root)) == ["kept", "o"]
    assert os.listdir(place.root / "o") == ["sub"]
    assert os.listdir(place.root / "o/sub") == ["new"]


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh..."])
async def test_whiteouts_of_nothing_are_refused(place: Place, name: str) -> None:
    with pytest.raises(InvalidInput, match="invalid whiteout"):
        await place.unpack([(entry(f"d/{name}"), b"")])


# -- hostile archives


@pytest.mark.parametrize("name", ["../outside/secret", "a/../../outside/secret", "..", "d/../../x"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, DIRECTORY, SYMLINK])
async def test_names_that_lead_outside_are_refused(place: Place, name: str, kind: bytes) -> None:
    with pytest.raises(InvalidInput, match="outside of the root"):
        await place.unpack([(entry(name, kind, link="x"), b"")])
    place.assert_outside_untouched()


async def test_absolute_names_stay_in_the_root(place: Place) -> None:
    await place.unpack([(entry(f"{place.outside}/secret"), b"hostile"), (entry("/top"), b"x")])
    assert (place.root / "top").exists()
    place.assert_outside_untouched()


@pytest.mark.parametrize("through", ["absolute", "relative"])
async def test_a_symbolic_link_does_not_lead_outside(place: Place, through: str) -> None:
    target = str(place.outside) if through == "absolute" else "../outside"
    members = [(entry("door", SYMLINK, link=target), b""), (entry("door/secret"), b"hostile"), (entry("door/.wh.secret"), b"")]
    with pytest.raises(PodlingError):  # the link leads nowhere within the root
        await place.unpack(members)
    place.assert_outside_untouched()


async def test_a_file_is_not_written_through_a_link_of_its_name(place: Place) -> None:
    await place.unpack([(entry("a"), b"a"), (entry("door", SYMLINK, link="a"), b""), (entry("door"), b"own")])
    assert (place.root / "a").read_text() == "a"
    assert (place.root / "door").read_text() == "own"
    assert not (place.root / "door").is_symlink()


@pytest.mark.parametrize("target", ["../outside/secret", "/outside/secret", "door/secret"])
async def test_a_hard_link_does_not_lead_outside(place: Place, target: str) -> None:
    members = [(entry("door", SYMLINK, link=str(place.outside)), b""), (entry("link", LINK, link=target), b"")]
    with pytest.raises(PodlingError):
        await place.unpack(members)
    place.assert_outside_untouched()


async def test_nothing_is_written_into_a_device(place: Place) -> None:
    await place.unpack([(entry("disk", CHARACTER, devmajor=1, devminor=1), b""), (entry("disk"), b"plain")])
    assert (place.root / "disk").is_file()


async def test_an_archive_cannot_direct_the_overlay(place: Place) -> None:
    pax = {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.overlay.opaque": "y"}
    await place.unpack([(entry("d", DIRECTORY, mode=0o755, pax_headers=pax), b"")])
    assert [name for name in os.listxattr(place.root / "d") if "overlay" in name] == []


async def test_a_bomb_is_stopped(place: Place) -> None:
    bomb = gzip.compress(layer([(entry("zeros"), bytes(20 << 20))]))
    with pytest.raises(InvalidInput, match="more than 1048576 bytes"):
        await place.unpack(bomb, limits=Limits(bytes=1 << 20))
    assert not (place.root / "zeros").exists()
    with pytest.raises(InvalidInput, match="more than 10 entries"):
        await place.unpack([(entry(f"f{number}"), b"") for number in range(11)], limits=Limits(entries=10))


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("share", [0.2, 0.4, 0.7])
async def test_a_truncated_layer_is_refused(place: Place, compress: object, share: float) -> None:
    data = compress(layer([(entry("a"), os.urandom(40_000))]))  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="unexpected EOF"):
        await place.unpack(data[: int(len(data) * share)])


async def test_another_layer_than_announced_is_refused(place: Place) -> None:
    with pytest.raises(Failed, match="wrong diff id"):
        await place.unpack([(entry("a"), b"x")], diff_id=f"sha256:{'0' * 64}")


@pytest.mark.parametrize("data", [b"garbage" * 200, b"\x1f\x8bgarbage" * 100, b"\x28\xb5\x2f\xfdgarbage" * 100])
async def test_what_is_no_archive_is_refused(place: Place, data: bytes) -> None:
    with pytest.raises(InvalidInput):
        await place.unpack(data)
    assert os.listdir(place.root) == []


async def test_unknown_compressions_are_named(place: Place) -> None:
    with pytest.raises(InvalidInput, match="xz is not supported"):
        await place.unpack(b"\xfd7zXZ\x00" + bytes(600))
