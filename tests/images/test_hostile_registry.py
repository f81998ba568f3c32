"""Registries that lie, break off, and send us elsewhere."""

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from images.stores import is_empty, sha256
from podling.aio.http import Request, Response
from podling.aio.server import HttpServer
from podling.base.errors import Failed, PodlingError, TimedOut
from podling.images import registry
from podling.images.images import Images
from podling.images.model import ANONYMOUS, Credentials, RegistrySettings
from podling.oci import image as oci
from podling.oci.reference import parse
from podling.testing.images import entry, files_layer, image_config, layer

pytestmark = pytest.mark.root


@dataclass
class FakeRegistry:
    """Serves one image, `app:1`; a test changes what it says. `seen` are the requests."""

    layer: bytes
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    seen: list[Request] = field(default_factory=list)
    change: Callable[[Request, Response], Response] = lambda request, response: response
    address: str = ""

    def __post_init__(self) -> None:
        packed = gzip.compress(self.layer, mtime=0)
        config = json.dumps(image_config([self.layer])).encode()
        described = {"mediaType": oci.OCI_LAYER_GZIP, "digest": sha256(packed), "size": len(packed)}
        self.blobs = {sha256(packed): packed, sha256(config): config}
        self.packed = sha256(packed)
        self.manifest = json.dumps(oci.manifest(oci.descriptor(oci.OCI_CONFIG, config), [described])).encode()  # type: ignore[list-item]

    async def answer(self, request: Request) -> Response:
        self.seen.append(request)
        return self.change(request, self.plain(request))

    def plain(self, request: Request) -> Response:
        if request.path == "/v2/":
            return Response(200, b"{}")
        if "/manifests/" in request.path:
            headers = [("Content-Type", oci.OCI_MANIFEST), ("Docker-Content-Digest", sha256(self.manifest))]
            return Response(200, self.manifest, headers)
        digest = request.path.rpartition("/")[2]
        if digest not in self.blobs:
            return Response(404, b"")
        data, wanted = self.blobs[digest], request.headers.get("range")
        if not wanted:
            return Response(200, data)
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        return Response(206, data[start:], [("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")])

    def layer_requests(self) -> list[Request]:
        return [request for request in self.seen if request.path.endswith(self.packed)]

    @property
    def name(self) -> str:
        return f"{self.address}/app:1"


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry(files_layer({"file": os.urandom(10_000)}))
    server = HttpServer(fake.answer)
    host, port = await server.listen_tcp("127.0.0.1", 0)
    fake.address = f"{host}:{port}"
    yield fake
    await server.close(grace=0)


async def refused(images: Images, fake: FakeRegistry, message: str) -> None:
    with pytest.raises(PodlingError, match=message):
        await images.pull(fake.name)
    assert images.all() == []
    await images.collect()
    assert is_empty(images)


async def test_the_truth_is_believed(images: Images, fake: FakeRegistry) -> None:
    assert (await images.pull(fake.name)).tags == (fake.name,)


async def test_another_blob_than_asked_for(images: Images, fake: FakeRegistry) -> None:
    fake.blobs[fake.packed] = bytes(len(fake.blobs[fake.packed]))
    await refused(images, fake, "verification failed for digest sha256:")


@pytest.mark.parametrize(("extra", "message"), [(b"more", "more than the"), (None, "bytes instead of")])
async def test_another_length_than_announced(images: Images, fake: FakeRegistry, extra: bytes | None, message: str) -> None:
    blob = fake.blobs[fake.packed]
    fake.blobs[fake.packed] = blob + extra if extra else blob[:-10]
    await refused(images, fake, message)


async def test_another_manifest_than_its_digest_says(images: Images, fake: FakeRegistry) -> None:
    def lie(request: Request, response: Response) -> Response:
        if "/manifests/" in request.path:
            response.headers = [("Content-Type", oci.OCI_MANIFEST), ("Docker-Content-Digest", "sha256:" + "0" * 64)]
        return response

    fake.change = lie
    await refused(images, fake, "manifest verification failed for digest sha256:0000")


async def test_a_layer_that_is_not_the_one_of_the_configuration(images: Images, fake: FakeRegistry) -> None:
    config = json.dumps(image_config([files_layer({"other": b""})])).encode()
    document = json.loads(fake.manifest)
    document["config"] = oci.descriptor(oci.OCI_CONFIG, config)
    fake.blobs[sha256(config)], fake.manifest = config, json.dumps(document).encode()
    await refused(images, fake, "wrong diff id")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"{}", "invalid image manifest"),
        (b"nonsense", "invalid image manifest"),
        (b'{"config":{"digest":"../../x","size":1},"layers":[]}', "digest"),
        (b'{"config":{"digest":"sha256:%s","size":3},"layers":[]}' % (b"0" * 64), "blob unknown"),
        (b'"' + b"x" * (5 << 20) + b'"', "larger than"),
    ],
)
async def test_a_malformed_manifest(images: Images, fake: FakeRegistry, manifest: bytes, message: str) -> None:
    fake.manifest = manifest
    await refused(images, fake, message)


async def test_a_media_type_of_another_age(images: Images, fake: FakeRegistry) -> None:
    def age(request: Request, response: Response) -> Response:
        if "/manifests/" in request.path:
            response.headers = [("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")]
        return response

    fake.change = age
    await refused(images, fake, "unsupported media type application/vnd.docker.distribution.manifest.v1")


async def test_a_download_that_breaks_off_goes_on_where_it_was(images: Images, fake: FakeRegistry) -> None:
    breaks = 2

    def break_off(request: Request, response: Response) -> Response:
        nonlocal breaks
        if not request.path.endswith(fake.packed) or not breaks:
            return response
        breaks -= 1
        assert isinstance(response.body, bytes)
        return Response(response.status, cut(response.body), [*response.headers, ("Content-Length", str(len(response.body)))])

    async def cut(data: bytes) -> AsyncIterator[bytes]:
        yield data[:100]
        raise ConnectionError("cut")

    fake.change = break_off
    assert (await images.pull(fake.name)).tags == (fake.name,)
    assert [request.headers.get("range") for request in fake.layer_requests()] == ["", "bytes=100-", "bytes=200-"]


async def test_a_download_that_stops_goes_on_where_it_was(
    images: Images, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "SILENCE", 0.2)

    def stop_once(request: Request, response: Response) -> Response:
        if not request.path.endswith(fake.packed) or len(fake.layer_requests()) > 1:
            return response
        assert isinstance(response.body, bytes)
        return Response(response.status, stop(response.body), [*response.headers, ("Content-Length", str(len(response.body)))])

    async def stop(data: bytes) -> AsyncIterator[bytes]:
        yield data[:100]
        await asyncio.Event().wait()

    fake.change = stop_once
    assert (await images.pull(fake.name)).tags == (fake.name,)
    assert [request.headers.get("range") for request in fake.layer_requests()] == ["", "bytes=100-"]


@pytest.mark.parametrize("reads", [0, 3 << 20])
async def test_a_push_to_a_registry_that_stops_reading(
    images: Images, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    monkeypatch.setattr(registry, "SILENCE", 0.5)
    taken = 0

    async def stop(request: Request) -> Response:
        nonlocal taken
        match request.method:
            case "GET":
                return Response(200, b"{}")
            case "POST":
                return Response(202, b"", [("Location", "/v2/upload")])
            case "PATCH":
                pieces = request.stream()
                while taken < reads:
                    taken += len(await anext(pieces))
                await asyncio.Event().wait()
        return Response(404, b"")

    await images.import_(files(os.urandom(40 << 20)), "big:1")
    server = HttpServer(stop)
    host, port = await server.listen_tcp("127.0.0.1", 0)
    await images.tag("big:1", f"{host}:{port}/big:1")
    with pytest.raises(TimedOut, match="no answer in time"):
        await images.push(f"{host}:{port}/big:1")
    await server.close(grace=0)
    assert taken >= reads


async def files(data: bytes) -> AsyncIterator[bytes]:
    yield files_layer({"file": data})


@pytest.mark.parametrize(("layers", "size", "message"), [(126, 1, "max depth exceeded"), (9, 1 << 60, "no space left")])
async def test_more_than_there_can_be(images: Images, fake: FakeRegistry, layers: int, size: int, message: str) -> None:
    document = json.loads(fake.manifest)
    announced = [{**document["layers"][0], "digest": f"sha256:{n:064x}", "size": size} for n in range(layers)]
    fake.manifest = json.dumps({**document, "layers": announced}).encode()
    await refused(images, fake, message)
    assert len(fake.seen) == 2  # the ping and the manifest


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"token": 5}', b'{"access_token": null}'])
async def test_a_token_server_without_tokens(images: Images, fake: FakeRegistry, answer: bytes) -> None:
    def ask_for_token(request: Request, response: Response) -> Response:
        if request.path == "/token":
            return Response(200, answer)
        return Response(401, b"", [("WWW-Authenticate", f'Bearer realm="http://{fake.address}/token",service="x"')])

    fake.change = ask_for_token
    await refused(images, fake, "token server answered 200 without a token")


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"tags": 3, "results": 3, "repositories": 3}'])
async def test_lists_that_are_none(images: Images, fake: FakeRegistry, answer: bytes) -> None:
    fake.change = lambda request, response: Response(200, b"{}" if request.path == "/v2/" else answer)
    async with registry.Repository(parse(fake.name), ANONYMOUS, RegistrySettings()) as repository:
        with pytest.raises(Failed, match="the registry answers with"):
            await repository.tags()
        with pytest.raises(Failed, match="the registry answers with"):
            await repository.search("word", 5)


async def test_a_registry_that_cannot_resume_sends_all_again(images: Images, fake: FakeRegistry) -> None:
    def forgetful(request: Request, response: Response) -> Response:
        return Response(200, fake.blobs[fake.packed]) if response.status == 206 else response

    fake.change = forgetful
    with images.content.ingest(fake.packed, digest=fake.packed) as ingest:
        ingest.write(b"an earlier attempt")
    assert (await images.pull(fake.name)).tags == (fake.name,)


async def test_credentials_stay_with_the_registry_when_it_sends_us_elsewhere(images: Images, fake: FakeRegistry) -> None:
    elsewhere: list[Request] = []

    async def storage(request: Request) -> Response:
        elsewhere.append(request)
        return Response(200, fake.blobs[fake.packed])

    server = HttpServer(storage)
    host, port = await server.listen_tcp("127.0.0.1", 0)

    def send_away(request: Request, response: Response) -> Response:
        if not request.headers.get("authorization"):
            return Response(401, b"", [("WWW-Authenticate", 'Basic realm="x"')])
        if request.path.endswith(fake.packed):
            return Response(307, b"", [("Location", f"http://{host}:{port}/storage")])
        return response

    fake.change = send_away
    await images.pull(fake.name, credentials=Credentials("user", "secret"))
    await server.close(grace=0)
    assert len(elsewhere) == 1
    assert "authorization" not in elsewhere[0].headers


async def test_a_hostile_layer(images: Images, fake: FakeRegistry) -> None:
    hostile = FakeRegistry(layer([(entry("../evil"), b"x")]), address=fake.address)
    fake.blobs, fake.manifest, fake.packed = hostile.blobs, hostile.manifest, hostile.packed
    await refused(images, fake, "outside of the root")


async def test_a_registry_in_trouble(images: Images, fake: FakeRegistry) -> None:
    def trouble(request: Request, response: Response) -> Response:
        document = {"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your limit."}]}
        return Response(429, json.dumps(document).encode()) if "/manifests/" in request.path else response

    fake.change = trouble
    await refused(images, fake, "toomanyrequests: You have reached your limit.")
