"""Pulling, building and removing images, and what must be true of them whenever an engine has been killed at it."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from podling.aio.clock import SystemClock
from podling.aio.http import Request, Response
from podling.aio.server import HttpServer
from podling.build.base import Message, Options
from podling.build.builder import Builder
from podling.build.tree import Trees
from podling.docker.runner import EngineRunner
from podling.engine.engine import Engine
from podling.images.content import ContentStore, Ingest
from podling.images.images import Images
from podling.images.layers import Layers
from podling.images.metadata import Metadata
from podling.images.model import Image
from podling.linux import mount, process
from podling.oci import digest as digests
from podling.oci import image as oci
from podling.snapshots.overlay import OverlaySnapshotter
from podling.testing.crash import Journal, Point, names, same
from podling.testing.engine import bytes_once, load_busybox
from podling.testing.images import files_layer, image_config

STEPS = 420
SECONDS = 1.5
POINTS: tuple[Point, ...] = (
    *((ContentStore, name) for name in ("put", "delete")),
    *((Ingest, name) for name in ("write", "commit")),
    *((Metadata, name) for name in ("add", "name", "drop", "lease", "release", "set_sizes", "forget_sizes")),
    *((OverlaySnapshotter, name) for name in ("prepare", "view", "mount", "commit", "remove", "detach", "sync")),
    *((Layers, name) for name in ("_fill", "_finish")),
    *((Images, name) for name in ("_register", "seal", "write_layer", "collect")),
    *((Trees, name) for name in ("seal", "_remove")),
    (mount, "unmount_if_mounted"),
    (process, "spawn"),
)
_FILES = 60  # of a layer
_LAYERS = tuple(files_layer({f"layer{layer}/{number}": b"%d " % number * 400 for number in range(_FILES)}) for layer in range(3))
_BUILT = "built:1"
_CONTEXT = files_layer(
    {
        "Dockerfile": b"FROM busybox\nENV A=b\nWORKDIR /work\nCOPY site site\nRUN echo ran > ran; rm -r site/10\nCMD pwd\n",
        **{f"site/{number}": b"%d " % number * 100 for number in range(_FILES)},
    }
)


async def prepare(engine: Engine) -> None:
    """The builder sweeps up after the one before it."""
    if not engine.images.all():
        await load_busybox(engine)
    await _builder(engine).start()
    for container in engine.containers.list():
        await container.idle()


def _builder(engine: Engine) -> Builder:
    return Builder(engine.images, EngineRunner(engine), engine.root / "build", SystemClock())


async def work(engine: Engine, journal: Journal) -> None:
    """What people do with images."""
    async with _registry() as name:
        await engine.images.pull(name)
        journal.note("there", name)
        await _build(engine)
        journal.note("there", _BUILT)
        await engine.images.tag(_BUILT, "other:1")
        for each in (_BUILT, name):
            journal.note("removing", each)
            await engine.images.remove(each)
            journal.note("gone", each)
        await engine.images.pull(name)
        journal.note("there", name)


async def _build(engine: Engine) -> Image:
    builder, options = _builder(engine), Options(names=(_BUILT,))
    async with builder.context(bytes_once(_CONTEXT), options.dockerfile) as context:
        return await builder.build(context, options, _Deaf())


class _Deaf:
    """Listens to no build."""

    def __call__(self, message: Message) -> None:
        return

    async def drain(self) -> None:
        return


@asynccontextmanager
async def _registry() -> AsyncIterator[str]:
    """A registry that has one image; gives its name."""
    config = json.dumps(image_config(_LAYERS)).encode()
    packed = [gzip.compress(layer, 1, mtime=0) for layer in _LAYERS]
    described = [oci.descriptor(oci.OCI_LAYER_GZIP, data) for data in packed]
    manifest = json.dumps(oci.manifest(oci.descriptor(oci.OCI_CONFIG, config), described)).encode()
    blobs = {digests.of(data): data for data in (config, manifest, *packed)}

    async def answer(request: Request) -> Response:
        last = request.path.rpartition("/")[2]
        if "/manifests/" in request.path:
            headers = [("Content-Type", oci.OCI_MANIFEST), ("Docker-Content-Digest", digests.of(manifest))]
            return Response(200, manifest, headers)
        if not last:
            return Response(200, b"{}")
        return _part(blobs[last], request.headers.get("Range"))

    server = HttpServer(answer)
    host, port = await server.listen_tcp("127.0.0.1", 0)
    try:
        yield f"{host}:{port}/app:1"
    finally:
        await server.close(grace=0)


def _part(blob: bytes, wanted: str) -> Response:
    """A blob from where an earlier attempt ended."""
    if not wanted:
        return Response(200, blob)
    start = int(wanted.removeprefix("bytes=").rstrip("-"))
    return Response(206, blob[start:], [("Content-Range", f"bytes {start}-{len(blob) - 1}/{len(blob)}")])


async def check(engine: Engine, root: Path, journal: dict[str, str]) -> None:
    """Raises AssertionError, with what is there, where something is lost, half there, or left over."""
    images = engine.images.all()
    tags = {tag for image in images for tag in image.tags}
    for name, word in journal.items():
        if word in ("there", "gone"):
            assert (name in tags) == (word == "there"), f"{name} should be {word}: {tags}"
    for image in images:
        _check_blobs(engine, image)
        await _check_files(engine, image)
    same("containers", [container.id for container in engine.containers.list()], ())
    same("places of builds", names(root / "lib/build"), ())
    same("mounts", [found.target for found in mount.mounts_below(root / "lib") if "/lib/" in found.target], ())
    same("snapshots", [info.name for info in engine.snapshots.walk() if info.kind != "committed"], ())
    await engine.images.collect()
    same("layers", [info.name for info in engine.snapshots.walk()], {chain for image in images for chain in _chains(image)})
    same("blobs", [blob.digest for blob in engine.images.content.walk()], {part for image in images for part in _parts(image)})
    same("what is being removed", names(root / "lib/snapshots/tmp"), ())


def _check_blobs(engine: Engine, image: Image) -> None:
    for part in _parts(image):
        with engine.images.content.open(part) as blob:
            assert digests.of(blob.read()) == part, f"blob {part} of {image.tags or image.id} is not whole"


async def _check_files(engine: Engine, image: Image) -> None:
    """What is unpacked is what was packed."""
    folder = engine.root / "looked-at"
    folder.mkdir()
    try:
        async with Trees(engine.images, folder, "").reading(image.chain) as tree:
            counts = {place.name: sum(1 for _ in place.iterdir()) for place in tree.iterdir() if place.name.startswith("layer")}
            assert counts in ({}, {f"layer{number}": _FILES for number in range(len(_LAYERS))}), f"{image.tags}: {counts}"
            assert (_BUILT not in image.tags) or sum(1 for _ in (tree / "work/site").iterdir()) == _FILES - 1
            assert (_BUILT not in image.tags) or (tree / "work/ran").read_text() == "ran\n"
    finally:
        folder.rmdir()


def _parts(image: Image) -> list[str]:
    return [image.manifest, image.id, *(layer["digest"] for layer in image.layers)]


def _chains(image: Image) -> list[str]:
    return list(oci.chain_ids(image.config["rootfs"]["diff_ids"]))


async def clear(engine: Engine) -> None:
    """The newest first: what it was built from goes with it."""
    while made := [image for image in engine.images.all() if "busybox:latest" not in image.tags]:
        for name in made[0].tags or (made[0].id,):
            await engine.images.remove(name, force=True)
