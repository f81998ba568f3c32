"""Every endpoint that the conformance tests of Kubernetes call is there, and answers as its verb says."""

import http.client
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from podling.aio.client import HttpClient
from podling.aio.clock import SystemClock
from podling.api.core.pod import POD
from podling.api.kind import Kind
from podling.api.registry import BUILTIN
from podling.apiserver.authn import ServiceAccountTokens, TokenKeys
from podling.apiserver.pki import key_pem, new_key
from podling.apiserver.proxy import NodeProxy
from podling.apiserver.reverse_proxy import ReverseProxy
from podling.apiserver.reviews import Reviews
from podling.testing.apiserver import AllowAll, Served
from podling.testing.kinds import sample

Object = dict[str, Any]

LINES = (Path(__file__).parent / "endpoints.txt").read_text().splitlines()[1:]
ENDPOINTS = [(path, tuple(verbs.split(","))) for path, verbs in (line.split() for line in LINES)]
ORDER = ("get", "list", "patch", "put", "post", "delete", "deletecollection")
METHODS = {"list": "GET", "deletecollection": "DELETE"}
ACCESS = {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}}
QUESTIONS: dict[str, Object] = {
    "tokenreviews": {"spec": {"token": "x"}},
    "selfsubjectaccessreviews": {"spec": ACCESS},
    "subjectaccessreviews": {"spec": {"user": "u", **ACCESS}},
    "token": {"spec": {}},
    "binding": {"target": {"kind": "Node", "name": "n"}},
    "eviction": {},
}
MARKED = "?labelSelector=for%3Dendpoints"


@dataclass
class World:
    """A server with everything but nodes, over one connection."""

    connection: http.client.HTTPConnection
    names: Iterator[int] = field(default_factory=count)
    namespace: str = ""

    def __call__(self, method: str, path: str, body: Any = None, type: str = "application/json") -> tuple[int, Any]:
        data = None if body is None else orjson.dumps(body)
        self.connection.request(method, path, data, {"Content-Type": type} if data else {})
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, orjson.loads(text) if text else None

    def enter_namespace(self) -> None:
        """Objects are made in a namespace of the test's own."""
        self.namespace = f"n{next(self.names)}"
        self("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self("POST", f"/api/v1/namespaces/{self.namespace}/serviceaccounts", {"metadata": {"name": "default"}})

    def new(self, kind: Kind) -> Object:
        """An object that can be created. One that has its name, where there is but one good name, goes first."""
        fixed = kind.kind in ("CustomResourceDefinition", "APIService", "IPAddress", "ServiceCIDR")
        obj = sample(kind) if fixed else sample(kind, f"e{next(self.names)}")
        obj["metadata"]["labels"] = {"for": "endpoints"}
        if kind.namespaced:
            obj["metadata"]["namespace"] = self.namespace
        for member in ("involvedObject", "regarding"):
            if member in obj:
                obj[member]["namespace"] = self.namespace
        if fixed:
            self("DELETE", f"{self.collection(kind)}/{obj['metadata']['name']}")
        return obj

    def make(self, kind: Kind) -> str:
        """An object of a kind; its name."""
        status, made = self("POST", self.collection(kind), self.new(kind))
        assert status == 201, made
        return str(made["metadata"]["name"])

    def collection(self, kind: Kind) -> str:
        root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
        return f"{root}{f'/namespaces/{self.namespace}' if kind.namespaced else ''}/{kind.plural}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    keys = TokenKeys(key_pem(new_key()), "https://kubernetes.default.svc", SystemClock())
    reviews = Reviews(AllowAll(), ServiceAccountTokens(keys, lambda *_: None), keys, SystemClock())
    agents, workloads = HttpClient(), HttpClient()
    streams = {**NodeProxy(agents).streams, **ReverseProxy(agents, workloads).streams}
    with Served(tmp_path_factory.mktemp("endpoints"), answers=reviews.answers, streams=streams) as served:
        connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=30)
        made = World(connection)
        yield made
        connection.close()


@pytest.fixture(autouse=True)
def own_namespace(world: World) -> None:
    world.enter_namespace()


_split = re.compile(r"/apis?(?:/([^/]+(?=/[^/]+/)))?/(v[^/]+)/(?:namespaces/{namespace}/)?([^{/]+)(?:/{name})?/?([a-z]*)").match


def kind_of(path: str) -> tuple[Kind | None, str]:
    """The kind and the subresource of a path; no kind for one of discovery."""
    found = _split(path)
    if found is None:
        return None, ""
    return BUILTIN.resource(found[1] or "", found[2], found[3]), found[4]


@pytest.mark.parametrize(("path", "verbs"), [each for each in ENDPOINTS if "connect" not in each[1][0] and "/log" not in each[0]])
def test_endpoint(world: World, path: str, verbs: tuple[str, ...]) -> None:
    kind, subresource = kind_of(path)
    name = world.make(kind) if kind and "{name}" in path else ""
    filled = path.replace("{namespace}", world.namespace).replace("{name}", name)
    for verb in sorted(verbs, key=ORDER.index):
        status, answer = world(*request(world, verb, filled, kind, subresource))
        wanted = {"post": (201,), "delete": (200, 202)}.get(verb, (200,))
        assert status in wanted, (verb, filled, answer)


def request(world: World, verb: str, path: str, kind: Kind | None, subresource: str) -> tuple[Any, ...]:
    """Method, path, body and its type."""
    method = METHODS.get(verb, verb.upper())
    if verb == "patch":
        return method, path, {"metadata": {"labels": {"a": "b"}}}, "application/merge-patch+json"
    if verb == "put":
        seen = path.removesuffix("/finalize")
        return method, path, world("GET", seen)[1]
    if verb == "post":
        assert kind is not None
        question = QUESTIONS.get(subresource or kind.plural)
        if kind.plural == "localsubjectaccessreviews":
            question = {"spec": {"user": "u", "resourceAttributes": {"namespace": world.namespace, "verb": "get"}}}
        return method, path, world.new(kind) if question is None else question
    return method, f"{path}{MARKED}" if verb == "deletecollection" else path


@pytest.mark.parametrize(("path", "verbs"), [each for each in ENDPOINTS if "connect" in each[1][0]])
def test_what_goes_to_nodes_and_pods(world: World, path: str, verbs: tuple[str, ...]) -> None:
    """They get as far as they can without a node: to what is wrong with this pod or service."""
    kind, _ = kind_of(path)
    assert kind is not None
    name = world.make(kind)
    filled = path.replace("{namespace}", world.namespace).replace("{name}", name).replace("{path}", "some/path")
    wanted = {"pods": (400, "address not allowed"), "services": (503, f'no endpoints available for service "{name}"')}
    wanted_here = {
        "exec": (400, "you must specify at least 1 command for the container"),
        "portforward": (400, f"pod {name} does not have a host assigned"),
    }
    for verb in verbs:
        status, answer = world(verb.partition(":")[2], filled)
        expected = wanted_here.get(path.rpartition("/")[2], wanted[kind.plural])
        assert (status, answer and answer["message"]) in (expected, (expected[0], None)), (verb, filled, answer)


def test_a_log_needs_a_node(world: World) -> None:
    name = world.make(POD)
    status, answer = world("GET", f"{world.collection(POD)}/{name}/log")
    assert (status, answer["message"]) == (400, f"pod {name} does not have a host assigned")
