"""Copying into a tree, and finding what to copy."""

import os
import stat

import pytest

from podling.base.errors import InvalidInput
from podling.build import sources
from podling.build.copy import Copier
from podling.build.look import OnDisk

pytestmark = pytest.mark.root


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    (root / "dir/deep").mkdir(parents=True)
    (root / "dir/file").write_text("one")
    (root / "dir/deep/other").write_text("two")
    os.link(root / "dir/file", root / "dir/hard")
    (root / "dir/link").symlink_to("file")
    (root / "outside").symlink_to("/etc/hostname")
    (root / "up").symlink_to("../../../../../../etc")
    os.chmod(root / "dir/file", 0o4755)
    os.chown(root / "dir/deep", 7, 8)
    return root


@pytest.fixture
def target(tmp_path):
    root = tmp_path / "target"
    root.mkdir()
    return root


def test_a_directory_is_merged(source, target):
    (target / "to/deep").mkdir(parents=True)
    (target / "to/deep/kept").write_text("kept")
    Copier(target).copy(source, "dir", "/to")
    assert (target / "to/deep/kept").read_text() == "kept"
    assert (target / "to/deep/other").read_text() == "two"
    assert os.readlink(target / "to/link") == "file"
    assert stat.S_IMODE((target / "to/file").stat().st_mode) == 0o4755
    assert (target / "to/file").samefile(target / "to/hard")
    assert ((target / "to/deep").stat().st_uid, (target / "to/deep").stat().st_gid) == (7, 8)


def test_owner_and_mode_replace(source, target):
    Copier(target, owner=(3, 4), mode=0o640).copy(source, "dir/file", "/new/place/")
    made = (target / "new/place/file").stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (3, 4, 0o640)
    assert (target / "new").stat().st_uid == 3


def test_where_a_file_goes(source, target):
    (target / "there").mkdir()
    copier = Copier(target)
    copier.copy(source, "dir/file", "/there")
    copier.copy(source, "dir/file", "/named")
    copier.copy(source, "dir/file", "/fresh/")
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()) == [
        "fresh/file",
        "named",
        "there/file",
    ]


def test_links_of_the_target_lead_no_further_than_its_root(source, target, tmp_path):
    (target / "abs").symlink_to(tmp_path)
    (target / "up").symlink_to("../..")
    copier = Copier(target)
    copier.copy(source, "dir/file", "/up/escaped")
    assert (target / "escaped").exists()
    with pytest.raises((InvalidInput, OSError)):
        copier.copy(source, "dir", "/abs")
    assert not (tmp_path / "escaped").exists()
    assert not (tmp_path / "file").exists()


def test_a_file_replaces_a_link_and_not_what_it_means(source, target, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("safe")
    (target / "file").symlink_to(victim)
    Copier(target).copy(source, "dir/file", "/")
    assert victim.read_text() == "safe"
    assert (target / "file").read_text() == "one"


def test_directories_and_files_don_t_replace_each_other(source, target):
    (target / "deep").write_text("a file")
    with pytest.raises(InvalidInput, match="cannot copy to non-directory: deep"):
        Copier(target).copy(source, "dir", "/")
    (target / "x/file").mkdir(parents=True)
    with pytest.raises(InvalidInput, match="cannot overwrite directory file"):
        Copier(target).copy(source, "dir/file", "/x/")


def test_patterns(source):
    assert sources.find(OnDisk(source), ["dir/*e*"]) == ["dir/deep", "dir/file"]
    assert sources.find(OnDisk(source), ["d?r/[fh]*", "/dir"]) == ["dir/file", "dir/hard", "dir"]
    with pytest.raises(sources.NoSource, match="stat nosuch: file does not exist"):
        sources.find(OnDisk(source), ["nosuch"])
    with pytest.raises(InvalidInput, match="no source files were specified"):
        sources.find(OnDisk(source), ["no*such"])
    with pytest.raises(InvalidInput, match="forbidden path outside the build context"):
        sources.find(OnDisk(source), ["../x"])


def test_links_of_the_context_show_nothing_of_the_host(source):
    with pytest.raises(sources.NoSource):
        sources.find(OnDisk(source), ["outside"])
    with pytest.raises(sources.NoSource):
        sources.find(OnDisk(source), ["up/passwd"])


def test_the_digest_sees_what_matters(source):
    def digest(owners=False):
        return sources.digest(OnDisk(source), ["dir"], owners=owners)

    first, owned = digest(), digest(owners=True)
    assert first.startswith("dir:")
    os.utime(source / "dir/file", (5, 5))
    os.chown(source / "dir/file", 9, 9)
    os.chmod(source / "dir/file", 0o4755)
    assert digest() == first
    assert digest(owners=True) != owned
    (source / "dir/deep/other").write_text("new")
    changed = digest()
    assert changed != first
    os.chmod(source / "dir/deep/other", 0o600)
    assert digest() != changed
    assert sources.digest(OnDisk(source), ["dir/file"], owners=False).startswith("file:")
    assert sources.digest(OnDisk(source), ["dir/file", "dir"], owners=False).startswith("multi:")
