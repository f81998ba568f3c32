import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
import zstandard

from images.stores import is_empty, open_images, sha256, skopeo, stream
from podling.base.errors import InvalidInput, NotFound, PodlingError
from podling.images.images import Images
from podling.images.model import Loaded
from podling.linux import mount
from podling.snapshots.unpack import Limits
from podling.testing.images import busybox_archive, busybox_layer, docker_archive, entry, files_layer, image_config, layer
from podling.testing.snapshotter_contract import joined

pytestmark = pytest.mark.root


def parts(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
async def test_a_docker_archive_is_loaded(images: Images, compress: object) -> None:
    data = compress(busybox_archive("busybox:latest", "other:1"))  # type: ignore[operator]
    first, second = await images.load(stream(data))
    identifier = sha256(json.dumps(image_config([busybox_layer()]), sort_keys=True).encode())
    assert [first, second] == [Loaded(identifier, "busybox:latest"), Loaded(identifier, "other:1")]
    image = images.get("busybox")
    assert image.id == identifier
    assert 1_500_000 < image.size < len(busybox_layer())
    assert await images.load(stream(data)) == [first, second]
    assert len(images.all()) == 1


async def test_several_images_and_links_between_their_layers(images: Images) -> None:
    shared = files_layer({"shared": b"1"})
    config = json.dumps(image_config([shared])).encode()
    manifest = [{"Config": "c.json", "RepoTags": [f"app:{tag}"], "Layers": [f"{tag}/layer.tar"]} for tag in ("a", "b")]
    data = layer(
        [
            (entry("a", tarfile.DIRTYPE), b""),
            (entry("a/layer.tar"), shared),
            (entry("b/layer.tar", tarfile.SYMTYPE, link="../a/layer.tar"), b""),
            (entry("c.json"), config),
            (entry("manifest.json"), json.dumps(manifest).encode()),
        ]
    )
    assert [one.name for one in await images.load(stream(data))] == ["app:a", "app:b"]


async def test_an_image_without_name_is_known_by_its_id(images: Images) -> None:
    (loaded,) = await images.load(stream(docker_archive([files_layer({"x": b""})], [])))
    assert loaded.name == ""
    assert images.get(loaded.id).tags == ()


async def test_saved_images_are_loaded_elsewhere(images: Images, other: Images) -> None:
    await images.load(stream(busybox_archive("busybox:latest", "busybox:2")))
    await images.load(stream(docker_archive([busybox_layer(), files_layer({"x": b"x"})], ["app:1"])))
    archive = await joined(images.save(["busybox", "app:1"]))
    assert archive == await joined(images.save(["busybox", "app:1"]))
    loaded = await other.load(stream(archive))
    assert {one.name for one in loaded} == {"busybox:latest", "busybox:2", "app:1"}
    for name in ("busybox:2", "app:1"):
        assert other.get(name).id == images.get(name).id
        assert other.get(name).manifest == images.get(name).manifest


async def test_save_takes_the_names_that_were_asked_for(images: Images) -> None:
    await images.load(stream(busybox_archive("busybox:latest", "busybox:2")))

    async def tags(*names: str) -> list[str] | None:
        saved = parts(await joined(images.save(names)))
        return json.loads(saved["manifest.json"])[0]["RepoTags"]

    assert await tags("busybox:2") == ["busybox:2"]
    assert sorted(await tags("busybox") or []) == ["busybox:2", "busybox:latest"]
    assert await tags(images.get("busybox").id) is None
    with pytest.raises(NotFound, match="No such image: missing:latest"):
        images.save(["busybox", "missing"])


async def test_skopeo_reads_what_is_saved(images: Images, tmp_path: Path) -> None:
    await images.load(stream(busybox_archive()))
    archive = tmp_path / "saved.tar"
    archive.write_bytes(await joined(images.save(["busybox"])))
    for transport in ("docker-archive", "oci-archive"):
        inspected = json.loads(skopeo("inspect", "--config", f"{transport}:{archive}"))
        assert inspected["rootfs"]["diff_ids"] == [sha256(busybox_layer())]


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
async def test_what_skopeo_writes_is_loaded(images: Images, tmp_path: Path, transport: str) -> None:
    source, made = tmp_path / "source.tar", tmp_path / "made.tar"
    source.write_bytes(busybox_archive())
    skopeo("copy", f"docker-archive:{source}", f"{transport}:{made}:example.com/box:v1")
    (loaded,) = await images.load(stream(made.read_bytes()))
    assert loaded.name == "example.com/box:v1"
    assert images.get("example.com/box:v1").config["rootfs"]["diff_ids"] == [sha256(busybox_layer())]


# -- damaged archives


def broken(**changes: bytes | None) -> bytes:
    """A one-layer archive with some of its parts replaced or (None) left out."""
    base = files_layer({"x": b"x" * 5000})
    contents: dict[str, bytes | None] = {
        "config": json.dumps(image_config([base])).encode(),
        "layer": base,
        "manifest.json": json.dumps([{"Config": "config", "RepoTags": ["bad:1"], "Layers": ["layer"]}]).encode(),
        **changes,
    }
    return layer((entry(name), data) for name, data in contents.items() if data is not None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not contain a manifest.json"),
        (b"x" * 2000, "invalid tar header"),
        (broken()[:3000], "unexpected EOF"),
        (gzip.compress(broken())[:200], "unexpected EOF"),
        (broken(layer=None), "layer is missing"),
        (broken(config=None), "config is missing"),
        (broken(config=b"{"), "invalid image configuration"),
        (broken(config=b"[]"), "invalid image configuration"),
        (broken(config=b'{"architecture":"amd64","os":"linux"}'), "invalid image configuration"),
        (broken(layer=files_layer({"other": b""})), "wrong diff id"),
        (broken(layer=b"no tar" * 500), "invalid tar header"),
        (broken(config=json.dumps(image_config([])).encode()), "layers length mismatch: expected 0, got 1"),
        (broken(**{"manifest.json": b"{}"}), "manifest.json is malformed"),
        (broken(**{"manifest.json": b"nonsense"}), "invalid archive"),
        (broken(**{"manifest.json": b'[{"Config":"../../etc/passwd"}]'}), "missing"),
        (broken(**{"manifest.json": b'[{"Config":"config","RepoTags":["Bad"],"Layers":["layer"]}]'}), "must be lowercase"),
        (broken(**{"index.json": b'{"manifests":[{"digest":"sha256:%s"}]}' % (b"0" * 64)}), "is missing"),
    ],
)
async def test_a_damaged_archive_is_refused_and_leaves_nothing(images: Images, data: bytes, message: str) -> None:
    with pytest.raises(PodlingError, match=message):
        await images.load(stream(data))
    assert images.all() == []
    await images.collect()
    assert is_empty(images)


def found(top: Path, name: str) -> list[Path]:
    return list(top.rglob(name))


async def test_a_hostile_layer_in_an_archive_is_refused(images: Images, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="outside of the root"):
        await images.load(stream(docker_archive([layer([(entry("../../../../evil"), b"x")])], ["bad:1"])))
    assert images.all() == []
    assert found(tmp_path, "evil") == []


@pytest.mark.parametrize(
    ("limits", "message"),
    [(Limits(bytes=100_000), "unpacks to more than 100000 bytes"), (Limits(entries=50), "more than 50 entries")],
)
async def test_a_bomb_is_refused_and_leaves_nothing(tmp_path: Path, limits: Limits, message: str) -> None:
    """In the archive itself, in a layer, and in a root file system's tar."""
    images = open_images(tmp_path / "podling", limits=limits)
    zeros, many = bytes(150_000), files_layer({f"f{number}": b"" for number in range(60)})
    large = files_layer({"zeros": zeros})
    bombs = [gzip.compress(large), gzip.compress(many)]
    wanted = bombs[0] if limits.bytes else bombs[1]
    with pytest.raises(InvalidInput, match=message):
        await images.load(stream(wanted))
    with pytest.raises(InvalidInput, match=message):
        await images.load(stream(docker_archive([wanted], ["bad:1"])))
    with pytest.raises(InvalidInput, match=message):
        await images.import_(stream(wanted), "bad:2")
    await images.collect()
    assert is_empty(images)
    images.close()


async def test_a_source_that_fails_leaves_nothing(images: Images) -> None:
    async def failing() -> object:
        yield busybox_archive()[:1_000_000]
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        await images.load(failing())  # type: ignore[arg-type]
    await images.collect()
    assert is_empty(images)


async def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mount.tmpfs(place, "size=3m")
    try:
        images = open_images(place)
        with pytest.raises(PodlingError, match="no space left on device"):
            await images.load(stream(busybox_archive()))
        await images.collect()
        assert is_empty(images)
        images.close()
    finally:
        mount.umount(place)
