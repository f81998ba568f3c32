"""Contexts in memory are what they are on the disk."""

import io
import os
import tarfile

import pytest

from podling.base.errors import InvalidInput
from podling.build import memory, sources
from podling.build.context import receive
from podling.build.ignore import Ignore
from podling.build.look import OnDisk
from podling.build.memory import Unusual
from podling.snapshots.unpack import Limits
from podling.testing.engine import bytes_once
from podling.testing.images import entry

UNLIMITED = Limits()
DOCKERFILE = (entry("Dockerfile"), b"FROM scratch\n")


def archive(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def directory(name, mode=0o755):
    return entry(name, tarfile.DIRTYPE, mode=mode), b""


def link(name, target):
    return entry(name, tarfile.SYMTYPE, link=target), b""


PLAIN = [
    DOCKERFILE,
    directory("./", 0o750),
    directory("site", 0o2755),
    (entry("site/b", mode=0o4711), b"b" * 1000),
    (entry("site/a"), b""),
    (entry("implied/deep/ä\udcff"), b"odd name"),
    link("site/link", "../nowhere"),
    directory("site", 0o700),
    directory("empty"),
]


PATTERNS = [["."], ["*"], ["s*"], ["site/[ab]"], ["implied/deep"], ["em?ty", "site/b"], ["nosuch"], ["no*such"], ["site/b/x"]]


@pytest.mark.root
@pytest.mark.parametrize("ignored", [None, b"*\n!site\nsite/a\n!implied/deep\n", b"site\nempty\n"])
async def test_a_plain_context_has_the_same_files_and_digests(tmp_path, ignored):
    members = [*PLAIN, *([(entry(".dockerignore"), ignored)] if ignored else [])]
    data = archive(*members)
    (tmp_path / "disk").mkdir()
    (tmp_path / "memory").mkdir()
    unpacked = await receive(bytes_once(data), tmp_path / "disk", "Dockerfile", small=0)
    held = await receive(bytes_once(data), tmp_path / "memory", "Dockerfile")
    assert list((tmp_path / "memory").iterdir()) == []
    assert held.file == unpacked.file
    for patterns in PATTERNS:
        assert await _found(held, patterns) == await _found(unpacked, patterns), patterns
    assert list((tmp_path / "memory").iterdir()) == []
    found = await held.files()
    assert sources.digest(OnDisk(found), ["."], owners=True) == sources.digest(OnDisk(await unpacked.files()), ["."], owners=True)


async def _found(context, patterns):
    def find(tree):
        try:
            paths = sources.find(tree, patterns)
        except InvalidInput as error:
            return type(error), str(error)
        return paths, sources.digest(tree, paths, owners=False)

    return await context.look(find)


@pytest.mark.parametrize(
    "members",
    [
        [(entry("../up"), b"")],
        [(entry("a/../../up"), b"")],
        [link("to", "/"), (entry("to/file"), b"x")],
        [(entry("file"), b"x"), (entry("file/below"), b"x")],
        [(entry("file"), b"x"), (entry("file"), b"again")],
        [(entry("file"), b"x"), directory("file")],
        [(entry("file"), b"x"), (entry("hard", tarfile.LNKTYPE, link="file"), b"")],
        [(entry("null", tarfile.CHRTYPE), b"")],
        [(entry("fifo", tarfile.FIFOTYPE), b"")],
        [(entry("x" * 256), b"")],
        [directory("set", 0o2755), (entry("set/implied/file"), b"")],
        [(entry("capable", pax_headers={"SCHILY.xattr.security.capability": "x"}), b"")],
        [(entry("."), b"x")],
    ],
)
def test_what_is_not_plain_is_left_to_the_disk(members):
    assert memory.read(archive(*members), UNLIMITED) is None


@pytest.mark.parametrize("data", [b"no tar" * 200, archive(DOCKERFILE)[:700], b"\x1f\x8b rest"])
def test_what_is_damaged_too(data):
    assert memory.read(data, UNLIMITED) is None


def test_limits_hold():
    data = archive(*[(entry(f"{number}"), b"x" * 10) for number in range(5)])
    assert memory.read(data, Limits(50, 5)) is not None
    assert memory.read(data, Limits(49, 0)) is None
    assert memory.read(data, Limits(0, 4)) is None


def test_a_path_through_a_link_is_left_to_the_disk():
    tree = memory.read(archive((entry("dir/file"), b"x"), link("way", "dir")), UNLIMITED)
    assert tree is not None
    assert tree.exists("dir/file")
    assert tree.names("dir/file") == []
    for path in ("way/file", "way"):
        with pytest.raises(Unusual):
            tree.exists(path)


def test_only_what_an_exception_keeps_stays_of_a_folder():
    tree = memory.read(archive((entry("dir/a"), b"x"), (entry("dir/b"), b"x"), (entry("dir/c/d"), b"x")), UNLIMITED)
    assert tree is not None
    tree.leave_out(Ignore.parse("dir\n!dir/b\n"))
    assert tree.names("dir") == ["b"]
    assert tree.read("dir/b", 10) == b"x"
    assert tree.read("dir", 10) is None


@pytest.mark.root
async def test_a_link_in_a_source_is_followed_on_the_disk(tmp_path):
    data = archive(DOCKERFILE, (entry("dir/file"), b"x"), link("way", "dir"))
    context = await receive(bytes_once(data), tmp_path, "Dockerfile")
    assert (await _found(context, ["way/file"]))[0] == ["way/file"]
    assert os.listdir(tmp_path) == ["context"]
