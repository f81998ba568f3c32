"""Registries with certificates, and mirrors: whom we trust, who we say we are, whom we ask first."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from images.stores import is_empty, open_images, stream
from podling.apiserver.pki import Authority
from podling.base.errors import InvalidInput, PodlingError, Unavailable
from podling.images.images import Images
from podling.images.model import Credentials, RegistrySettings
from podling.testing.images import docker_archive, files_layer
from podling.testing.registry import PASSWORD, USERNAME, basic_auth, running_registry

pytestmark = pytest.mark.root
NAME = "registry.test"
KNOWN = Credentials(USERNAME, PASSWORD)


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host names below .test are this machine, and Docker Hub is nowhere."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, *arguments: Any, **options: Any) -> Any:
        if str(host).endswith("docker.io"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve("127.0.0.1" if str(host).endswith(".test") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.fixture
def authority() -> Authority:
    return Authority.create("tests", time.time())


Secured = Callable[..., Any]


@pytest.fixture
def secured(tmp_path: Path, authority: Authority) -> Secured:
    """A registry that proves to be NAME; with `clients` only for who proves to be known. Gives NAME:PORT."""

    @contextmanager
    def run(*, clients: bool = False, auth: dict[str, Any] | None = None) -> Iterator[str]:
        pair = authority.issue("registry", time.time(), names=[NAME])
        files = {"certificate": tmp_path / "own.crt", "key": tmp_path / "own.key", "authority": tmp_path / "ca.crt"}
        for path, data in zip(files.values(), (pair.certificate, pair.key, authority.pair.certificate), strict=True):
            path.write_bytes(data)
        tls: dict[str, Any] = {"certificate": str(files["certificate"]), "key": str(files["key"])}
        if clients:
            tls["clientcas"] = [str(files["authority"])]
        with running_registry(tmp_path, auth, tls) as address:
            yield f"{NAME}:{address.rpartition(':')[2]}"

    return run


@contextmanager
def opened(root: Path, **settings: Any) -> Iterator[Images]:
    images = open_images(root, RegistrySettings(certificates=str(root / "certs.d"), **settings))
    yield images
    images.close()


def trust(root: Path, registry: str, files: dict[str, bytes]) -> None:
    directory = root / "certs.d" / registry
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (directory / name).write_bytes(data)


async def there_and_back(images: Images, name: str, credentials: Credentials = Credentials()) -> None:  # noqa: B008 - frozen
    made = (await images.load(stream(docker_archive([files_layer({"file": b"content"})], [name]))))[0].id
    await images.push(name, credentials)
    await images.remove(made, force=True)
    assert (await images.pull(name, credentials=credentials)).id == made


async def test_an_authority_that_nobody_knows_is_refused_until_it_is_made_known(
    secured: Secured, authority: Authority, tmp_path: Path
) -> None:
    with secured() as registry, opened(tmp_path / "podling") as images:
        with pytest.raises(Unavailable) as error:
            await images.pull(f"{registry}/app:1")
        assert error.value.message == (
            f'Get "https://{registry}/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority'
        )
        assert is_empty(images)
        trust(tmp_path / "podling", registry, {"ca.crt": authority.pair.certificate})
        await there_and_back(images, f"{registry}/app:1")


async def test_a_certificate_for_another_name_is_refused(secured: Secured, authority: Authority, tmp_path: Path) -> None:
    with secured() as registry, opened(tmp_path / "podling") as images:
        other = registry.replace(NAME, "other.test")
        trust(tmp_path / "podling", other, {"ca.crt": authority.pair.certificate})
        with pytest.raises(Unavailable, match="failed to verify certificate: x509: Hostname mismatch"):
            await images.pull(f"{other}/app:1")


async def test_an_insecure_registry_needs_no_trusted_certificate(secured: Secured, tmp_path: Path) -> None:
    with secured() as registry, opened(tmp_path / "podling", insecure=(registry,)) as images:
        await there_and_back(images, f"{registry}/app:1")


async def test_we_prove_who_we_are_with_a_certificate(secured: Secured, authority: Authority, tmp_path: Path) -> None:
    root = tmp_path / "podling"
    with secured(clients=True, auth=basic_auth(tmp_path)) as registry, opened(root) as images:
        trust(root, registry, {"ca.crt": authority.pair.certificate})
        with pytest.raises(PodlingError):
            await images.pull(f"{registry}/app:1")
        pair = authority.issue("us", time.time())
        trust(root, registry, {"client.cert": pair.certificate})
        with pytest.raises(InvalidInput) as error:
            await images.pull(f"{registry}/app:1")
        assert error.value.message.startswith("missing key client.key for client certificate client.cert.")
        trust(root, registry, {"client.key": pair.key})
        await there_and_back(images, f"{registry}/app:1", KNOWN)
        trust(root, registry, {"broken.crt": b"no certificate"})
        with pytest.raises(InvalidInput, match=r"broken\.crt is no usable certificate"):
            await images.pull(f"{registry}/app:1")


async def test_plain_http_where_tls_is_expected_is_told(tmp_path: Path) -> None:
    with running_registry(tmp_path) as address, opened(tmp_path / "podling") as images:
        registry = f"{NAME}:{address.rpartition(':')[2]}"
        with pytest.raises(Unavailable, match=r"http: server gave HTTP response to HTTPS client$"):
            await images.pull(f"{registry}/app:1")
    with running_registry(tmp_path) as address:
        registry = f"{NAME}:{address.rpartition(':')[2]}"
        with opened(tmp_path / "other", insecure=(NAME,)) as images:
            await there_and_back(images, f"{registry}/app:1")


async def test_mirrors_are_asked_before_docker_hub_and_the_next_one_for_what_one_lacks(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with running_registry(tmp_path / "first") as empty, running_registry(tmp_path / "second") as full:
        with opened(tmp_path / "maker") as maker:
            await maker.load(stream(docker_archive([files_layer({"file": b"content"})], [f"{full}/library/app:1"])))
            await maker.push(f"{full}/library/app:1")
        nobody = "http://127.0.0.1:9"
        with opened(tmp_path / "podling", mirrors=(nobody, f"http://{empty}/", f"http://{full}")) as images:
            pulled = await images.pull("app:1")
            assert (pulled.tags, pulled.digests[0].partition("@")[0]) == (("app:1",), "app")
            with pytest.raises(Unavailable, match=r'Get "https://registry-1\.docker\.io/v2/": cannot reach'):
                await images.pull("app:2")
            with pytest.raises(Unavailable, match=r"registry-1\.docker\.io"):
                await images.push("app:1")


async def test_a_mirror_never_sees_the_credentials_of_docker_hub(tmp_path: Path) -> None:
    with running_registry(tmp_path, basic_auth(tmp_path)) as guarded:
        with opened(tmp_path / "maker") as maker:
            await there_and_back(maker, f"{guarded}/library/app:1", KNOWN)
        with opened(tmp_path / "podling", mirrors=(f"http://{guarded}",)) as images:
            with pytest.raises(Unavailable, match=r"registry-1\.docker\.io"):
                await images.pull("app:1", credentials=KNOWN)
