import asyncio
import contextlib
from pathlib import Path

import pytest

from images.stores import is_empty, open_images, sha256, stream
from podling.base.errors import Conflict, Failed, InvalidInput, NotFound
from podling.images.images import Images
from podling.images.model import Removed, User
from podling.testing.images import busybox_archive, busybox_layer, docker_archive, files_layer, image_config
from podling.testing.snapshotter_contract import shown

pytestmark = pytest.mark.root


async def loaded(images: Images, *names: str, label: str = "") -> str:
    """A tiny image, whose id it gives."""
    data = docker_archive([files_layer({"file": b"content"})], names, {"Labels": {"label": label}})
    return (await images.load(stream(data)))[0].id


async def test_an_image_is_found_by_whatever_means_it(images: Images) -> None:
    identifier = await loaded(images, "busybox:latest", "quay.io/a/b:v1")
    encoded = identifier.removeprefix("sha256:")
    for text in (
        "busybox",
        "busybox:latest",
        "docker.io/library/busybox",
        "quay.io/a/b:v1",
        identifier,
        encoded,
        encoded[:12],
        encoded[:2],
    ):
        assert images.get(text).id == identifier
    image = images.get("busybox")
    assert set(image.tags) == {"busybox:latest", "quay.io/a/b:v1"}
    assert image.digests == ()
    assert image.config["config"]["Labels"] == {"label": ""}


async def test_what_is_not_there_is_named_as_docker_names_it(images: Images) -> None:
    await loaded(images, "busybox:latest")
    for text, message in (
        ("missing", "No such image: missing:latest"),
        ("busybox:other", "No such image: busybox:other"),
        ("fffffffffff0", "No such image: fffffffffff0:latest"),
        ("sha256:" + "0" * 64, "No such image: sha256:" + "0" * 64),
    ):
        with pytest.raises(NotFound) as error:
            images.get(text)
        assert error.value.message == message
    with pytest.raises(InvalidInput, match="must be lowercase"):
        images.get("BusyBox")


async def test_the_start_of_two_ids_is_ambiguous(images: Images) -> None:
    digits = {(await loaded(images, label=str(number))).removeprefix("sha256:")[0] for number in range(17)}
    assert len(images.all()) == 17
    clashes = 0
    for digit in digits:
        with contextlib.suppress(InvalidInput):
            images.get(digit)
            continue
        clashes += 1
    assert clashes >= 1


async def test_names_move_and_survive_a_restart(images: Images, tmp_path: Path) -> None:
    first, second = await loaded(images, "app:1"), await loaded(images, "app:2", label="2")
    await images.tag("app:1", "app")
    assert images.get("app").id == first
    await images.tag(second, "app:latest")
    images.close()
    again = open_images(tmp_path / "podling")
    assert again.get("app").id == second
    assert set(again.get("app:2").tags) == {"app:2", "app:latest"}
    with pytest.raises(InvalidInput, match="digest reference"):
        await again.tag("app", "app@sha256:" + "0" * 64)
    again.close()


async def test_the_last_name_takes_the_image_along(images: Images) -> None:
    identifier = await loaded(images, "app:1", "app:2")
    assert await images.remove("app:1") == [Removed(untagged="app:1")]
    layer = Removed(layer=images.get(identifier).chain)
    assert await images.remove("app:2") == [Removed(untagged="app:2"), Removed(deleted=identifier), layer]
    assert is_empty(images)


async def test_layers_stay_as_long_as_another_image_has_them(images: Images) -> None:
    await loaded(images, "one")
    await loaded(images, "two", label="2")
    await images.remove("one")
    assert await images.unpack(images.get("two")) == images.get("two").chain
    assert [info.name for info in images.snapshots.walk()] == [images.get("two").chain]


async def test_removing_tells_of_the_layers_that_went_the_uppermost_first(images: Images) -> None:
    layers = [files_layer({"low": b"1"}), files_layer({"high": b"2"})]
    base = (await images.load(stream(docker_archive(layers[:1], ["base"]))))[0].id
    both = images.get((await images.load(stream(docker_archive(layers, ["both"]))))[0].id)
    low = images.get(base).chain
    assert await images.remove("both") == [Removed(untagged="both:latest"), Removed(deleted=both.id), Removed(layer=both.chain)]
    assert await images.remove("base") == [Removed(untagged="base:latest"), Removed(deleted=base), Removed(layer=low)]
    again = images.get((await images.load(stream(docker_archive(layers, ["both"]))))[0].id)
    removed = await images.remove(again.id)
    assert [each.layer for each in removed if each.layer] == [again.chain, low]


async def test_an_ancestor_that_goes_along_takes_its_own_layers(images: Images) -> None:
    layers = [files_layer({"low": b"1"}), files_layer({"high": b"2"})]
    base = images.get((await images.load(stream(docker_archive(layers[:1], []))))[0].id)
    child = images.get((await images.load(stream(docker_archive(layers, ["x"]))))[0].id)
    made = await images.add({**child.config, "author": "me"}, child.layers, ["child"], parent=base.id)
    await images.remove("x")
    assert await images.remove("child") == [
        Removed(untagged="child:latest"),
        Removed(deleted=made.id),
        Removed(layer=made.chain),
        Removed(deleted=base.id),
        Removed(layer=base.chain),
    ]


def refusal(identifier: str, how: str, why: str) -> str:
    return f"conflict: unable to delete {identifier.removeprefix('sha256:')[:12]} ({how}) - {why}"


async def test_an_image_in_use_is_kept(images: Images) -> None:
    identifier = await loaded(images, "app:1")
    container = "c" * 64
    for user, how in (
        (User(container, identifier, running=False), "must be forced"),
        (User(container, identifier, running=True), "cannot be forced"),
    ):
        with pytest.raises(Conflict) as error:
            await images.remove("app:1", [user])
        assert error.value.message == (
            f'conflict: unable to remove repository reference "app:1" (must force) - container {container[:12]} '
            f"is using its referenced image {identifier.removeprefix('sha256:')[:12]}"
        )
        with pytest.raises(Conflict) as error:
            await images.remove(identifier, [user])
        state = "running" if user.running else "stopped"
        assert error.value.message == refusal(identifier, how, f"image is being used by {state} container {container[:12]}")
    with pytest.raises(Conflict, match="cannot be forced"):
        await images.remove(identifier, [user], force=True)
    assert await images.remove("app:1", [user], force=True) == [Removed(untagged="app:1")]
    assert images.get(identifier).tags == ()
    stranger = User(container, "sha256:other", running=True)
    layer = Removed(layer=images.get(identifier).chain)
    assert await images.remove(identifier, [stranger]) == [Removed(deleted=identifier), layer]


async def test_an_id_with_several_names_needs_force(images: Images) -> None:
    identifier = await loaded(images, "app:1", "other:1")
    with pytest.raises(Conflict) as error:
        await images.remove(identifier)
    assert error.value.message == refusal(identifier, "must be forced", "image is referenced in multiple repositories")
    layer = Removed(layer=images.get(identifier).chain)
    removed = await images.remove(identifier, force=True)
    assert removed == [Removed(untagged="app:1"), Removed(untagged="other:1"), Removed(deleted=identifier), layer]


async def test_a_child_keeps_its_parent_and_takes_nameless_ones_along(images: Images) -> None:
    base = images.get(await loaded(images, "base"))
    config = {**base.config, "config": {"Cmd": ["true"]}}
    middle = await images.add(config, base.layers, parent=base.id)
    child = await images.add({**config, "author": "me"}, base.layers, ["child"], parent=middle.id)
    with pytest.raises(Conflict) as error:
        await images.remove(middle.id, force=True)
    assert error.value.message == refusal(middle.id, "cannot be forced", "image has dependent child images")
    assert await images.remove("child") == [
        Removed(untagged="child:latest"),
        Removed(deleted=child.id),
        Removed(deleted=middle.id),
    ]
    assert [image.id for image in images.all()] == [base.id]


async def test_history_tells_steps_sizes_and_names(images: Images) -> None:
    base = images.get(await loaded(images, "base"))
    step = {"created": "2024-01-02T00:00:00Z", "created_by": "CMD true", "empty_layer": True}
    config = {**base.config, "history": [*base.config["history"], step]}
    child = await images.add(config, base.layers, ["child"], parent=base.id)
    top, bottom = images.history("child")
    assert (top.id, top.created_by, top.size, top.tags) == (child.id, "CMD true", 0, ("child:latest",))
    assert (bottom.id, bottom.size, bottom.tags) == (base.id, len(b"content"), ("base:latest",))


# -- snapshots and leases


async def test_a_busybox_can_be_run_from_its_snapshot(images: Images, tmp_path: Path) -> None:
    await images.load(stream(busybox_archive()))
    chain = await images.unpack(images.get("busybox"))
    images.snapshots.prepare("container", chain)
    with shown(images.snapshots, "container", tmp_path / "m") as root:
        assert (root / "bin/sh").stat().st_ino == (root / "bin/busybox").stat().st_ino
        assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777


async def test_directories_that_a_layer_only_implies_keep_their_attributes(images: Images, tmp_path: Path) -> None:
    await images.load(stream(docker_archive([busybox_layer(), files_layer({"tmp/x": b"", "new/y": b""})], ["two:latest"])))
    images.snapshots.prepare("container", images.get("two").chain)
    with shown(images.snapshots, "container", tmp_path / "m") as root:
        assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
        assert (root / "new").stat().st_mode & 0o7777 == 0o755


async def test_what_a_lease_holds_is_not_collected(images: Images) -> None:
    image = images.get(await loaded(images, "app"))
    await images.lease("container:1", [image.id], [image.chain])
    await images.remove("app")
    assert [info.name for info in images.snapshots.walk()] == [image.chain]
    await images.release("container:1")
    assert await images.collect() > 0
    assert is_empty(images)


async def test_nothing_is_collected_while_a_manifest_cannot_be_read(images: Images) -> None:
    await loaded(images, "app")
    blobs = {blob.digest for blob in images.content.walk()}
    manifest = images.content.path(images.get("app").manifest)
    there = manifest.rename(manifest.with_suffix(".away"))
    manifest.mkdir()  # reading it is an error, as of a failing disk
    with pytest.raises(IsADirectoryError):
        await images.collect()
    manifest.rmdir()
    there.rename(manifest)
    assert {blob.digest for blob in images.content.walk()} == blobs


async def test_a_snapshot_becomes_an_image(images: Images, tmp_path: Path) -> None:
    base = images.get(await loaded(images, "base"))
    async with images.holding() as owner:
        images.snapshots.prepare("step", base.chain)
        with shown(images.snapshots, "step", tmp_path / "m") as root:
            (root / "made").write_text("made")
        layer, chain = await images.seal("step", owner)
        await images.collect()
        config = image_config([], {})
        config["rootfs"]["diff_ids"] = [*base.config["rootfs"]["diff_ids"], layer["digest"]]
        made = await images.add(config, [*base.layers, layer], ["made"], parent=base.id)
    assert made.chain == chain
    assert {info.name for info in images.snapshots.walk()} == {base.chain, chain}
    images.snapshots.remove(chain)
    assert await images.unpack(made) == chain
    content, _ = images.snapshots.content(chain)
    assert (content / "made").read_text() == "made"


async def test_a_running_snapshot_is_committed_and_stays(images: Images, tmp_path: Path) -> None:
    base = images.get(await loaded(images, "base"))
    images.snapshots.prepare("container", base.chain)
    (images.snapshots.content("container")[0] / "made").write_text("made")
    async with images.holding() as owner:
        layer = await images.write_layer("container", owner)
        config = image_config([], {})
        config["rootfs"]["diff_ids"] = [*base.config["rootfs"]["diff_ids"], layer["digest"]]
        made = await images.add(config, [*base.layers, layer], ["made"])
    assert images.snapshots.stat("container").kind == "active"
    assert images.snapshots.stat(made.chain).parent == base.chain


async def test_import_makes_an_image_of_a_tree(images: Images) -> None:
    tree = files_layer({"etc/hello": b"hi"})
    image = await images.import_(stream(tree), "imported", {"Cmd": ["sh"]}, "from a test")
    assert image.tags == ("imported:latest",)
    assert image.config["config"] == {"Cmd": ["sh"]}
    assert image.config["rootfs"]["diff_ids"] == [sha256(tree)]
    assert images.history("imported")[0].comment == "from a test"
    other = await images.import_(stream(tree), platform="linux/arm64")
    assert (other.config["architecture"], other.tags) == ("arm64", ())
    with pytest.raises(InvalidInput):
        await images.import_(stream(b"no tar at all" * 100), "bad")
    with pytest.raises(InvalidInput, match="must be lowercase"):
        await images.import_(stream(tree), "Bad")
    assert len(images.all()) == 2


async def test_a_restart_forgets_transfers_that_were_cut_short(images: Images, tmp_path: Path) -> None:
    """What a killed process leaves: a layer half unpacked, a blob half written, a lease whose holder is gone."""
    images.snapshots.prepare("unpack-cut-short")
    images.snapshots.prepare("container")
    left = tmp_path / "podling/images/content/ingest/tmp-cut-short"
    left.write_bytes(b"x")
    digest = images.content.put(b"held")
    images._metadata.lease("transfer:cut-short", "blob", [digest])
    images.close()
    again = open_images(tmp_path / "podling")
    await again.collect()
    assert [info.name for info in again.snapshots.walk()] == ["container"]
    assert not left.exists()
    assert not again.content.has(digest)
    again.close()


async def test_layers_that_may_not_be_on_the_disk_are_unpacked_anew(images: Images, tmp_path: Path) -> None:
    """As after a power cut between unpacking and syncing: the names are there, the files may be empty."""
    layers = [files_layer({"low": b"1"}), files_layer({"high": b"2"})]
    await images.load(stream(docker_archive(layers, ["app"])))
    chain = images.get("app").chain
    low = images.snapshots.stat(chain).parent
    images._metadata.forget_sizes([chain, low])
    (images.snapshots.content(low)[0] / "low").write_bytes(b"")
    images.close()
    again = open_images(tmp_path / "podling")
    assert list(again.snapshots.walk()) == []
    assert await again.unpack(again.get("app")) == chain
    assert (again.snapshots.content(low)[0] / "low").read_bytes() == b"1"
    again.close()
    third = open_images(tmp_path / "podling")
    assert {info.name for info in third.snapshots.walk()} == {chain, low}
    third.close()


async def test_a_layer_is_believed_in_only_after_it_was_synced(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        assert images._metadata.sizes() == {}
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(images.snapshots, "sync", refuse)
    with pytest.raises(Failed, match="layers cannot be written to the disk: input/output error"):
        await loaded(images, "app")
    await images.collect()
    assert is_empty(images)
    assert images._metadata.sizes() == {}


async def test_collecting_never_takes_what_is_coming_in(images: Images) -> None:
    """The same image comes and goes, while another one's coming meets its remains."""

    async def come_and_go(name: str) -> None:
        for _ in range(15):
            identifier = await loaded(images, name, label=name)
            image = images.get(identifier)
            assert images.snapshots.stat(image.chain).kind == "committed"
            assert all(images.content.has(layer["digest"]) for layer in image.layers)
            await images.remove(name)

    await asyncio.gather(*(come_and_go(name) for name in ("one", "two", "three")))
    assert is_empty(images)
