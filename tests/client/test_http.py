"""The client over TLS against the API server: certificates, tokens, watches, refusals."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from podling.aio.clock import SystemClock
from podling.aio.http import Request, Response
from podling.aio.server import HttpServer
from podling.api.status import ApiError
from podling.apiserver.authn import ClientCertificates
from podling.apiserver.identity import Attributes, Decision
from podling.apiserver.pki import Authority
from podling.apiserver.server import ApiServer
from podling.base.errors import PodlingError
from podling.client.client import Client
from podling.client.errors import AlreadyExists, Conflict, NotFound
from podling.client.http import HttpTransport
from podling.client.kubeconfig import Access
from podling.client.resource import CONFIG_MAPS, NAMESPACES
from podling.store.memory import MemoryStore


class OnlyAlice:
    """Lets alice do everything and others nothing."""

    def authorize(self, attributes: Attributes) -> Decision:
        return Decision(attributes.user.name == "alice", "not alice")


@dataclass
class Served:
    address: str
    authority: Authority

    def client(self, name: str) -> Client:
        pair = self.authority.issue(name, time.time())
        access = Access(self.address, ca=self.authority.pair.certificate, certificate=pair.certificate, key=pair.key)
        return Client(HttpTransport(access))


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    authority = Authority.create("ca", time.time())
    pair = authority.issue("server", time.time(), names=["127.0.0.1"])
    for name, data in (("crt", pair.certificate), ("key", pair.key)):
        (tmp_path / name).write_bytes(data)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pair.certificate.decode())
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    api = ApiServer(MemoryStore(), authorizer=OnlyAlice(), authenticators=[ClientCertificates()], clock=SystemClock())
    await api.start()
    server = HttpServer(api.handle)
    _, port = await server.listen_tcp("127.0.0.1", 0, tls)
    yield Served(f"https://127.0.0.1:{port}", authority)
    await api.close()
    await server.close(1.0)


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


async def test_objects_are_made_changed_listed_and_deleted(served: Served) -> None:
    client = served.client("alice")
    made = await client.create(CONFIG_MAPS, config_map("a", x="1"))
    changed = await client.update(CONFIG_MAPS, {**made, "data": {"x": "2"}})
    with pytest.raises(Conflict):
        await client.update(CONFIG_MAPS, {**made, "data": {"x": "3"}})
    with pytest.raises(AlreadyExists):
        await client.create(CONFIG_MAPS, config_map("a"))
    await client.patch(CONFIG_MAPS, "a", {"data": {"y": "4"}}, "default")
    assert (await client.get(CONFIG_MAPS, "a", "default"))["data"] == {"x": "2", "y": "4"}
    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAPS, "a", "default", uid="another")
    await client.delete(CONFIG_MAPS, "a", "default", uid=changed["metadata"]["uid"])
    with pytest.raises(NotFound, match='configmaps "a" not found'):
        await client.get(CONFIG_MAPS, "a", "default")
    await client.close()


async def test_lists_come_whole_from_several_pages(served: Served) -> None:
    client = served.client("alice")
    for number in range(7):
        await client.create(CONFIG_MAPS, config_map(f"c{number}"))
    listing = await client.list(CONFIG_MAPS, "default", page=3)
    assert [item["metadata"]["name"] for item in listing.items] == [f"c{number}" for number in range(7)]
    await client.close()


async def test_a_watch_goes_on_from_a_list(served: Served) -> None:
    client = served.client("alice")
    listing = await client.list(CONFIG_MAPS, "default")
    events = client.watch(CONFIG_MAPS, "default", resource_version=listing.resource_version)
    await client.create(CONFIG_MAPS, config_map("a"))
    await client.delete(CONFIG_MAPS, "a", "default")
    async with asyncio.timeout(5):
        seen = [(event.type, event.object["metadata"]["name"]) for event in [await anext(events), await anext(events)]]
    assert seen == [("ADDED", "a"), ("DELETED", "a")]
    await events.aclose()
    await client.close()


async def test_others_are_refused_in_the_servers_words(served: Served) -> None:
    client = served.client("bob")
    with pytest.raises(ApiError, match='namespaces "default" is forbidden') as refused:
        await client.get(NAMESPACES, "default")
    assert refused.value.code == 403
    await client.close()


async def test_a_server_with_a_foreign_certificate_is_not_trusted(served: Served) -> None:
    client = Client(HttpTransport(Access(served.address, ca=Authority.create("other", time.time()).pair.certificate)))
    with pytest.raises(PodlingError, match="cannot reach https:"):
        await client.get(NAMESPACES, "default")
    await client.close()


async def test_a_token_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def handle(request: Request) -> Response:
        seen.append(request.headers.get("authorization"))
        return Response(200, b"{}")

    monkeypatch.setattr("podling.client.http.TOKEN_SECONDS", -1.0)
    file = tmp_path / "token"
    server = HttpServer(handle)
    _, port = await server.listen_tcp("127.0.0.1", 0)
    client = Client(HttpTransport(Access(f"http://127.0.0.1:{port}", token_file=file)))
    for text in ("one\n", "two\n"):
        file.write_text(text)
        await client.call("GET", "/version")
    assert seen == ["Bearer one", "Bearer two"]
    await client.close()
    await server.close(1.0)
