"""Mounts, each test in a mount namespace of its own."""

import contextlib
import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.linux import mount, namespace


@pytest.fixture
def privately(tmp_path):
    """Run a function where its mounts are seen by nobody else."""
    return namespace.in_private_mounts


def layer(root, name, **files):
    path = root / name
    path.mkdir(parents=True)
    for file, text in files.items():
        (path / file).write_text(text)
    return path


@pytest.mark.root
def test_overlay_shows_the_upper_layer_first_and_writes_to_upper(tmp_path, privately):
    base = layer(tmp_path, "base", a="base", b="base")
    top = layer(tmp_path, "top", b="top")
    upper, work, merged = (layer(tmp_path, name) for name in ("upper", "work", "merged"))

    def see():
        mount.overlay(merged, [top, base], upper, work)
        (merged / "c").write_text("new")
        return (merged / "a").read_text(), (merged / "b").read_text()

    assert privately(see) == ("base", "top")
    assert (upper / "c").read_text() == "new"


@pytest.mark.root
@pytest.mark.parametrize("way", [mount._overlay_by_fsopen, mount._overlay_by_options])
def test_overlay_of_many_layers_with_long_and_odd_names(tmp_path, privately, way):
    deep = tmp_path / ("d" * 200) / "e:f,g\\h"
    layers = [layer(deep, f"{n:03}", **{f"f{n}": "x"}) for n in range(60)]
    upper, work, merged = (layer(deep, name) for name in ("upper", "work", "merged"))

    def see():
        way(merged, layers, upper, work, ())
        return sorted(os.listdir(merged))

    assert len(privately(see)) == 60


@pytest.mark.root
def test_an_overlay_error_names_the_layer(tmp_path, privately):
    upper, work, merged = (layer(tmp_path, name) for name in ("upper", "work", "merged"))
    with pytest.raises(FileNotFoundError) as caught:
        privately(lambda: mount.overlay(merged, [tmp_path / "missing"], upper, work))
    assert "missing" in caught.value.filename


@pytest.mark.root
def test_a_read_only_bind_refuses_writes_below_too(tmp_path, privately):
    source, target = layer(tmp_path, "source"), layer(tmp_path, "target")
    inner = layer(source, "inner")

    def see():
        mount.tmpfs(inner, "size=1m")
        mount.bind(source, target, recursive=True, readonly=True)
        seen = [m.target for m in mount.mounts_below(target)]
        for path in (target / "x", target / "inner/x"):
            with pytest.raises(OSError) as caught:
                path.write_text("")
            assert caught.value.errno == errno.EROFS
        (source / "x").write_text("the source stays writable")
        return seen

    assert privately(see) == [str(target), str(target / "inner")]


@pytest.mark.root
def test_is_mountpoint_sees_binds(tmp_path, privately):
    one, two = layer(tmp_path, "one"), layer(tmp_path, "two")

    def see():
        mount.bind(one, two)
        before = mount.is_mountpoint(one), mount.is_mountpoint(two), mount.is_mountpoint(tmp_path / "missing")
        mount.unmount_if_mounted(two)
        mount.unmount_if_mounted(two)
        return before, mount.is_mountpoint(two)

    assert privately(see) == ((False, True, False), False)


@pytest.mark.root
def test_a_detached_copy_of_a_tree_can_be_placed(tmp_path, privately):
    source, target = layer(tmp_path, "source", a="1"), layer(tmp_path, "target")

    def see():
        tree = mount.open_tree(source)
        mount.move(tree, target)
        os.close(tree)
        return (target / "a").read_text()

    assert privately(see) == "1"


@pytest.mark.root
def test_an_error_names_both_paths(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing on .*target"):
        mount.bind(tmp_path / "missing", tmp_path / "target")


def test_mountinfo_with_escapes_and_propagation():
    line = r"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 shared:7 - ext3 /dev/ro\134ot rw,errors=continue" + "\n"
    found = mount.parse_mountinfo(line)
    assert (found.target, found.source, found.propagation) == ("/mnt 2", "/dev/ro\\ot", ("master:1", "shared:7"))
    assert (found.id, found.parent, found.fstype, found.super_options) == (36, 35, "ext3", "rw,errors=continue")


def test_own_mounts_have_a_root():
    assert any(m.target == "/" for m in mount.mounts())


@given(st.text())
def test_mountinfo_takes_any_text(text):
    with contextlib.suppress(ValueError):
        mount.parse_mountinfo(text)
