"""The proxy subresources: through the API server to what listens in a pod, behind a service, on a node."""

import json
from typing import Any

import pytest

from node.conftest import Cluster, World
from podling.aio.client import HttpClient
from podling.client.resource import SERVICES, Resource

pytestmark = pytest.mark.root

PODS = "/api/v1/namespaces/default/pods"
BACK = "/api/v1/namespaces/default/services/back"
# tells of a request what it was; knows some paths of its own
SERVER = r"""cat > /server <<'END'
IFS= read -r line; line=${line%$(printf '\r')}; path=${line#* }; path=${path% HTTP*}; length=0; fields=
while IFS= read -r field; do field=${field%$(printf '\r')}; [ -n "$field" ] || break
  case $field in [Cc]ontent-[Ll]ength:*) length=${field#*: } ;; esac
  fields="$fields$field
"; done
body=$(dd bs=1 count="$length" 2>/dev/null)
head() { printf 'HTTP/1.1 %s\r\nConnection: close\r\n' "$1"; shift; printf '%s\r\n' "$@" ''; }
case $path in
  /moved) head '302 Found' 'Location: /there/?a=b' ;;
  /page) head '200 OK' 'Content-Type: text/html; charset=utf-8'; echo '<a href="/there">x</a>' ;;
  /gone) head '404 Not Found' 'Content-Type: text/plain'; echo nothing here ;;
  /talk) printf 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: talk\r\n\r\n'; exec cat ;;
  *) head '200 OK' 'Content-Type: text/plain'; printf '%s\n%s%s' "$line" "$fields" "$body" ;;
esac
END
exec busybox nc -ll -p 8080 -e sh /server"""


async def served(cluster: Cluster) -> str:
    """A pod that listens, behind a service; its name."""
    listening = {"command": ["sh", "-c", SERVER], "ports": [{"containerPort": 8080}]}
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    await cluster.create("web", {**listening, "readinessProbe": probe})
    pod = await cluster.ready("web")
    ports = [{"name": "web", "port": 80, "targetPort": 8080}]
    await cluster.client.create(SERVICES, named("Service", spec={"ports": ports}))
    target = {"kind": "Pod", "name": "web", "namespace": "default"}
    addresses = [{"ip": pod["status"]["podIP"], "targetRef": target}]
    subsets = [{"addresses": addresses, "ports": [{"name": "web", "port": 8080}]}]
    await cluster.client.create(Resource("", "v1", "endpoints", True), named("Endpoints", subsets=subsets))
    return "web"


def named(kind: str, **members: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "back", "namespace": "default"}, **members}


async def test_proxies(cluster: Cluster, world: World) -> None:
    await served(cluster)
    url = json.loads(world.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    async with HttpClient(url) as client:
        await every_method(client)
        await links_lead_through(client)
        await behind_a_service(client)
        await an_upgrade(client)
        await the_nodes_agent(client)


async def ask(client: HttpClient, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, str]:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    reply = await client.request(method, path, fields, body)
    return reply.status, reply.headers, (await reply.body()).decode()


async def every_method(client: HttpClient) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        body = None if method in ("GET", "OPTIONS") else b"some text"
        status, headers, text = await ask(client, method, f"{PODS}/web/proxy/a%2Fb/?x=1&x=2", body, Authorization="Bearer t")
        first, *fields = text.splitlines()
        assert (status, first) == (200, f"{method} /a%2Fb/?x=1&x=2 HTTP/1.1")
        assert headers.get("content-type") == "text/plain"
        assert f"X-Forwarded-Uri: {PODS}/web/proxy/a%2Fb/" in fields
        assert not [field for field in fields if field.lower().startswith("authorization")]
        assert text.endswith("some text") is (body is not None)
    assert (await ask(client, "HEAD", f"{PODS}/http:web:8080/proxy/"))[0] == 200
    status, _, text = await ask(client, "GET", f"{PODS}/web/proxy/gone")
    assert (status, text) == (404, "nothing here\n")
    status, _, text = await ask(client, "POST", f"{PODS}/web/proxy")
    assert text.startswith("POST / HTTP/1.1")


async def links_lead_through(client: HttpClient) -> None:
    status, headers, _ = await ask(client, "GET", f"{PODS}/web/proxy?a=b")
    assert (status, headers.get("location")) == (301, f"{PODS}/web/proxy/?a=b")
    status, headers, _ = await ask(client, "GET", f"{PODS}/web/proxy/moved")
    assert (status, headers.get("location")) == (302, f"{PODS}/web/proxy/there/?a=b")
    _, _, text = await ask(client, "GET", f"{PODS}/web/proxy/page")
    assert text == f'<a href="{PODS}/web/proxy/there">x</a>\n'


async def behind_a_service(client: HttpClient) -> None:
    for name in ("back:web", "back:80", "http:back:web"):
        status, _, text = await ask(client, "PUT", f"{BACK.replace('back', name)}/proxy/x", b"1")
        assert (status, text.splitlines()[0]) == (200, "PUT /x HTTP/1.1")
    status, _, text = await ask(client, "GET", f"{BACK}:81/proxy/")
    assert (status, json.loads(text)["message"]) == (503, 'no service port 81 found for service "back"')
    status, _, text = await ask(client, "GET", f"{PODS}/web:9/proxy/")
    assert status == 503
    assert json.loads(text)["message"].startswith("error trying to reach service: ")


async def an_upgrade(client: HttpClient) -> None:
    status, headers, wire = await client.upgrade(
        "GET", f"{PODS}/web/proxy/talk", [("Connection", "Upgrade"), ("Upgrade", "talk")]
    )
    assert (status, headers.get("upgrade")) == (101, "talk")
    wire.write(b"hello\n")
    await wire.drain()
    assert await wire.read() == b"hello\n"
    await wire.close()


async def the_nodes_agent(client: HttpClient) -> None:
    status, _, text = await ask(client, "GET", "/api/v1/nodes/n1/proxy/pods")
    assert (status, [pod["metadata"]["name"] for pod in json.loads(text)["items"]]) == (200, ["web"])
    assert (await ask(client, "GET", "/api/v1/nodes/n1/proxy/healthz"))[2] == "ok\n"
    status, _, text = await ask(client, "POST", "/api/v1/nodes/n1/proxy/run/default/web/app?cmd=echo+hello")
    assert (status, text) == (200, "hello\n")
    assert (await ask(client, "GET", "/api/v1/nodes/none/proxy/pods"))[0] == 404
