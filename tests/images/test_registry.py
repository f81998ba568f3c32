"""Pull and push against a real registry, with skopeo as the second client."""

import asyncio
import base64
import datetime
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from images.stores import is_empty, open_images, skopeo, stream
from podling.aio.http import Request, Response
from podling.aio.server import HttpServer
from podling.base.errors import Failed, InvalidInput, NotFound, PodlingError, Unauthorized, Unavailable
from podling.images.images import Images
from podling.images.model import Credentials, Progress, RegistrySettings
from podling.images.packing import Packing
from podling.images.registry import Repository
from podling.linux import mount
from podling.oci import image as oci
from podling.oci import reference
from podling.testing.images import busybox_archive, docker_archive, files_layer
from podling.testing.registry import PASSWORD, USERNAME, basic_auth, running_registry
from podling.testing.snapshotter_contract import joined

pytestmark = pytest.mark.root
KNOWN = Credentials(USERNAME, PASSWORD)
SETTINGS = RegistrySettings()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with running_registry(tmp_path) as address:
        yield address


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    with running_registry(tmp_path, basic_auth(tmp_path)) as address:
        yield address


async def with_busybox(images: Images, name: str) -> str:
    await images.load(stream(busybox_archive()))
    await images.tag("busybox", name)
    return name


async def test_what_is_pushed_is_pulled_elsewhere(registry: str, images: Images, other: Images) -> None:
    name = await with_busybox(images, f"{registry}/team/busybox:v1")
    pushed = await images.push(name)
    assert pushed.tag == "v1"
    assert images.get("busybox").digests == (f"{registry}/team/busybox@{pushed.digest}",)
    pulled = await other.pull(name)
    assert pulled.id == images.get("busybox").id
    assert pulled.manifest == pushed.digest
    assert (pulled.tags, pulled.digests) == ((name,), (f"{registry}/team/busybox@{pushed.digest}",))
    assert other.snapshots.stat(pulled.chain).kind == "committed"
    await other.remove(name)
    assert is_empty(other)
    by_digest = await other.pull(f"{registry}/team/busybox@{pushed.digest}")
    assert (by_digest.tags, by_digest.digests) == ((), pulled.digests)


async def test_skopeo_and_we_read_each_other(registry: str, images: Images, tmp_path: Path) -> None:
    archive = tmp_path / "busybox.tar"
    archive.write_bytes(busybox_archive())
    skopeo("copy", "--dest-tls-verify=false", f"docker-archive:{archive}", f"docker://{registry}/box:theirs")
    pulled = await images.pull(f"{registry}/box:theirs")
    assert pulled.layers[0]["mediaType"].endswith("gzip")
    await images.load(stream(busybox_archive()))
    assert images.get("busybox").id == pulled.id
    await images.tag(pulled.id, f"{registry}/box:ours")
    await images.push(f"{registry}/box:ours")
    skopeo("copy", "--src-tls-verify=false", f"docker://{registry}/box:ours", f"docker-archive:{tmp_path}/back.tar:back:1")
    inspected = json.loads(skopeo("inspect", "--config", f"docker-archive:{tmp_path}/back.tar"))
    assert inspected["rootfs"]["diff_ids"] == pulled.config["rootfs"]["diff_ids"]
    async with Repository(reference.parse(f"{registry}/box"), Credentials(), SETTINGS) as repository:
        assert sorted(await repository.tags()) == ["ours", "theirs"]


async def test_progress_is_told_as_docker_tells_it(registry: str, images: Images, other: Images) -> None:
    name = await with_busybox(images, f"{registry}/busybox:latest")
    told: list[Progress] = []
    await images.push(name, report=told.append)
    layer = images.get("busybox").layers[0]["digest"].removeprefix("sha256:")[:12]
    assert told[0] == Progress(f"The push refers to repository [{registry}/busybox]")
    assert next(step.status for step in told if step.id == layer) == "Preparing"
    assert told[-2].status == "Pushed"
    assert told[-1].status.startswith("latest: digest: sha256:")
    await images.push(name, report=told.append)
    assert told[-2] == Progress("Layer already exists", layer)
    pulled: list[Progress] = []
    await other.pull(name, report=pulled.append)
    statuses = list(dict.fromkeys(step.status for step in pulled))
    assert statuses[:6] == [
        f"Pulling from {registry}/busybox",
        "Pulling fs layer",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
    ]
    assert statuses[6] == "Pull complete"
    assert statuses[-1] == f"Status: Downloaded newer image for {name}"
    again: list[Progress] = []
    await other.pull(name, report=again.append)
    assert again[1] == Progress("Already exists", other.get(name).layers[0]["digest"].removeprefix("sha256:")[:12])
    assert again[-1].status == f"Status: Image is up to date for {name}"


async def test_layers_are_pushed_compressed_and_compressed_once(
    registry: str, images: Images, other: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [files_layer({"low": bytes(3_000_000)}), files_layer({"high": b"2"}), files_layer({"high": b"2"})]
    await images.load(stream(docker_archive(layers, [f"{registry}/app:1"])))
    pushed = await images.push(f"{registry}/app:1")
    theirs = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry}/app:1"))
    assert {layer["mediaType"] for layer in theirs["layers"]} == {oci.OCI_LAYER_GZIP}
    assert theirs["layers"][0]["size"] < 10_000
    await images.collect()
    ours = images.get(f"{registry}/app:1")
    assert [layer["mediaType"] for layer in ours.layers] == [oci.OCI_LAYER] * 3
    assert {blob.digest for blob in images.content.walk()} == {
        ours.id,
        ours.manifest,
        pushed.digest,
        *(layer["digest"] for layer in ours.layers),
    }
    monkeypatch.setattr(Packing, "pieces", lambda self: pytest.fail("compressed again"))
    assert await images.push(f"{registry}/app:1") == pushed
    await images.tag(ours.id, f"{registry}/moved:1")
    assert (await images.push(f"{registry}/moved:1")).digest == pushed.digest
    pulled = await images.pull(f"{registry}/app:1")
    assert (pulled.manifest, pulled.layers) == (ours.manifest, ours.layers)
    assert (await other.pull(f"{registry}/app:1")).id == ours.id
    assert len(list(other.content.walk())) == 2 + len({layer["digest"] for layer in theirs["layers"]})
    await images.remove(ours.id, force=True)
    assert is_empty(images)
    assert images._metadata.packed(ours.layers[0]["digest"]) is None


async def test_a_layer_known_in_another_repository_is_mounted(registry: str, images: Images) -> None:
    await images.push(await with_busybox(images, f"{registry}/one:1"))
    await images.tag("busybox", f"{registry}/two:1")
    told: list[Progress] = []
    await images.push(f"{registry}/two:1", report=told.append)
    assert "Mounted from one" in [step.status for step in told]


async def test_two_pulls_at_once_share_the_work(registry: str, images: Images, other: Images) -> None:
    name = await with_busybox(images, f"{registry}/busybox:latest")
    await images.push(name)
    told: list[Progress] = []
    first, second = await asyncio.gather(other.pull(name, report=told.append), other.pull(name, report=told.append))
    assert first.id == second.id
    assert [step.status for step in told].count("Download complete") == 1
    assert [step.status for step in told].count("Pull complete") == 1


async def test_many_layers(registry: str, images: Images, other: Images) -> None:
    layers = [files_layer({f"f{number}": b"%d" % number, "last": b"%d" % number}) for number in range(12)]
    await images.load(stream(docker_archive(layers, [f"{registry}/many:1"])))
    await images.push(f"{registry}/many:1")
    pulled = await other.pull(f"{registry}/many:1")
    content, _ = other.snapshots.content(pulled.chain)
    assert (content / "last").read_text() == "11"


async def test_an_index_gives_the_image_of_the_platform(registry: str, images: Images, other: Images) -> None:
    manifests = []
    for architecture in ("amd64", "arm64"):
        image = await images.import_(
            stream(files_layer({"arch": architecture.encode()})),
            f"{registry}/multi:{architecture}",
            platform=f"linux/{architecture}",
        )
        pushed = await images.push(f"{registry}/multi:{architecture}")
        platform = {"os": "linux", "architecture": architecture}
        manifests.append({"mediaType": oci.OCI_MANIFEST, "digest": pushed.digest, "size": pushed.size, "platform": platform})
    index = json.dumps({"schemaVersion": 2, "mediaType": oci.OCI_INDEX, "manifests": manifests}).encode()
    async with Repository(reference.parse(f"{registry}/multi"), Credentials(), SETTINGS, push=True) as repository:
        await repository.put_manifest("all", oci.OCI_INDEX, index)
    name = f"{registry}/multi:all"
    found = await other.distribution(name)
    assert found.descriptor == {"mediaType": oci.OCI_INDEX, "digest": oci.descriptor("", index)["digest"], "size": len(index)}
    assert found.platforms == tuple(entry["platform"] for entry in manifests)
    alone = await other.distribution(f"{registry}/multi@{manifests[1]['digest']}")
    assert alone.platforms == ({"architecture": "arm64", "os": "linux"},)
    assert is_empty(other)
    assert (await other.pull(name, "linux/arm64")).id == image.id
    here = await other.pull(name)
    assert here.config["architecture"] == "amd64"
    assert here.digests == (f"{registry}/multi@{oci.descriptor('', index)['digest']}",)
    assert other.get(name).id == here.id
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        await other.pull(name, "linux/s390x")


async def test_what_the_registry_lacks_is_named(registry: str, images: Images) -> None:
    name = await with_busybox(images, f"{registry}/busybox:v1")
    await images.push(name)
    for missing in ("busybox:v2", "nothing:v1"):
        with pytest.raises(NotFound) as error:
            await images.pull(f"{registry}/{missing}")
        assert error.value.message == f"manifest for {registry}/{missing} not found: manifest unknown: manifest unknown"
    with pytest.raises(NotFound, match="An image does not exist locally with the tag"):
        await images.push(f"{registry}/absent:v1")
    with pytest.raises(InvalidInput, match="must be lowercase"):
        await images.pull(f"{registry}/Busybox")


async def test_nobody_answers(images: Images) -> None:
    with pytest.raises(Unavailable, match=r'Get "http://127\.0\.0\.1:9/v2/": cannot reach'):
        await images.pull("127.0.0.1:9/busybox")
    assert is_empty(images)


# -- basic authentication


async def test_a_password_is_asked_for(guarded: str, images: Images, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    name = await with_busybox(images, f"{guarded}/busybox:latest")
    with pytest.raises(Unauthorized, match=r"no basic auth credentials"):
        await images.push(name)
    wrong = Credentials(USERNAME, "wr0ng")
    refusals = {
        images.push(name, wrong): "unauthorized: authentication required",
        images.pull(name, credentials=wrong): "unauthorized: authentication required",
        images.login(guarded, wrong): f"login attempt to http://{guarded}/v2/ failed with status: 401 Unauthorized",
    }
    for attempt, words in refusals.items():
        with pytest.raises(Unauthorized) as error:
            await attempt
        assert error.value.message == words
        assert "wr0ng" not in repr(error.value)
    await images.login(guarded, KNOWN)
    await images.push(name, KNOWN)
    assert name in (await images.pull(name, credentials=KNOWN)).tags
    assert "secret" not in caplog.text + repr(KNOWN)
    assert "wr0ng" not in caplog.text


# -- tokens


@dataclass
class TokenServer:
    """A token server that lets everybody read `open/*`, and our user read and write `team/*`."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    asked: list[str]

    async def answer(self, request: Request) -> Response:
        known = request.headers.get("authorization") == "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if request.headers.get("authorization") and not known:
            return Response(401, b'{"details": "incorrect username or password"}')
        if request.method == "POST":
            form = await request.body()
            known = b"refresh_token=identity" in form
            scopes = [
                part[6:]
                for part in form.decode().replace("%3A", ":").replace("%2F", "/").replace("%2C", ",").split("&")
                if part.startswith("scope=")
            ]
        else:
            scopes = [scope for value in request.query.all("scope") for scope in value.split(" ")]
        self.asked += scopes
        access = []
        for scope in filter(None, scopes):
            kind, name, actions = scope.split(":")
            granted = actions.split(",") if known and name.startswith("team/") else ["pull"] if name.startswith("open/") else []
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(datetime.datetime.now(datetime.UTC).timestamp())
        claims = {"iss": "tests", "sub": USERNAME, "aud": "registry", "exp": now + 300, "nbf": now - 10, "iat": now, "jti": "1"}
        der = base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()
        token = jwt.encode({**claims, "access": access}, self.key, algorithm="RS256", headers={"x5c": [der]})
        return Response(200, json.dumps({"token": token}).encode())


def token_server() -> TokenServer:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(1))
    return TokenServer(key, builder.sign(key, hashes.SHA256()), [])


@pytest.fixture
async def tokens(tmp_path: Path) -> AsyncIterator[tuple[str, TokenServer]]:
    answering = token_server()
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(answering.certificate.public_bytes(serialization.Encoding.PEM))
    server = HttpServer(answering.answer)
    host, port = await server.listen_tcp("127.0.0.1", 0)
    auth = {"realm": f"http://{host}:{port}/token", "service": "registry", "issuer": "tests", "rootcertbundle": str(bundle)}
    with running_registry(tmp_path, {"token": auth}) as address:
        yield address, answering
    await server.close()


async def test_a_token_is_fetched_for_the_scope(tokens: tuple[str, TokenServer], images: Images, other: Images) -> None:
    registry, server = tokens
    name = await with_busybox(images, f"{registry}/team/busybox:1")
    await images.push(name, KNOWN)
    assert server.asked == ["repository:team/busybox:pull,push"]
    assert (await other.pull(name, credentials=KNOWN)).id == images.get(name).id
    assert (await other.pull(name, credentials=Credentials(identity_token="identity"))).id == images.get(name).id
    await images.login(registry, KNOWN)


async def test_what_a_token_does_not_allow_is_denied(tokens: tuple[str, TokenServer], images: Images) -> None:
    registry, _ = tokens
    name = await with_busybox(images, f"{registry}/team/busybox:1")
    await images.push(name, KNOWN)
    with pytest.raises(NotFound) as error:
        await images.pull(name)
    assert error.value.message == (
        f"pull access denied for {registry}/team/busybox, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied"
    )
    await images.tag("busybox", f"{registry}/open/busybox:1")
    with pytest.raises(PodlingError, match="denied: requested access to the resource is denied"):
        await images.push(f"{registry}/open/busybox:1", KNOWN)
    wrong = Credentials(USERNAME, "wrong")
    with pytest.raises(Unauthorized, match="unauthorized: incorrect username or password"):
        await images.pull(name, credentials=wrong)
    with pytest.raises(Unauthorized, match=r'^Get "http://.*/v2/": unauthorized: incorrect username or password'):
        await images.login(registry, wrong)


async def test_a_full_disk_is_named_and_leaves_nothing(registry: str, images: Images, tmp_path: Path) -> None:
    name = await with_busybox(images, f"{registry}/busybox:1")
    await images.push(name)
    place = tmp_path / "small"
    place.mkdir()
    for size in ("1m", "3m"):  # too small for the layer's blob, and for its files
        mount.tmpfs(place, f"size={size}")
        try:
            small = open_images(place)
            with pytest.raises(Failed, match="no space left on device"):
                await small.pull(name)
            await small.collect()
            assert is_empty(small)
            small.close()
        finally:
            mount.umount(place)


@asynccontextmanager
async def breaking(registry: str, breaks: list[int]) -> AsyncIterator[tuple[str, list[int]]]:
    """A proxy to `registry` that hangs up after so many bytes of an answer, once for each of `breaks`.

    Gives its address, and the bytes of each connection.
    """
    host, _, port = registry.partition(":")
    carried: list[int] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        number = len(carried)
        carried.append(0)

        async def back() -> None:
            while piece := await far_reader.read(65536):
                writer.write(piece)
                carried[number] += len(piece)
                if breaks and carried[number] > breaks[0]:
                    breaks.pop(0)
                    break
                await writer.drain()
            writer.close()

        async def forth() -> None:
            while piece := await reader.read(65536):
                far_writer.write(piece)
            far_writer.close()

        await asyncio.gather(back(), forth())

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()
        yield f"{address[0]}:{address[1]}", carried


async def test_a_broken_download_is_taken_up_where_it_broke(registry: str, images: Images, other: Images) -> None:
    size = 8_000_000
    await images.load(stream(docker_archive([files_layer({"noise": os.urandom(size)})], [f"{registry}/app:1"])))
    await images.push(f"{registry}/app:1")
    async with breaking(registry, [2_000_000, 3_000_000]) as (proxy, carried):
        told: list[Progress] = []
        pulled = await other.pull(f"{proxy}/app:1", report=told.append)
    assert pulled.id == images.get(f"{registry}/app:1").id
    assert [step.status for step in told if step.status.startswith("Retrying")] == [
        "Retrying in 1 seconds",
        "Retrying in 2 seconds",
    ]
    assert sum(carried) < size + 2_000_000


async def test_saved_again_after_a_pull(registry: str, images: Images, other: Images) -> None:
    name = await with_busybox(images, f"{registry}/busybox:1")
    await images.push(name)
    pulled = await other.pull(name)
    assert (await images.load(stream(await joined(other.save([name])))))[0].id == pulled.id
