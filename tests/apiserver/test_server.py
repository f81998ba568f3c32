"""What every request passes through, and what a restart finds."""

from pathlib import Path
from typing import Any

import pytest

from podling.aio.http import Request
from podling.api.status import unauthorized
from podling.apiserver.bootstrap import ClusterInfo
from podling.apiserver.call import Call
from podling.apiserver.compaction import WINDOW_SECONDS
from podling.apiserver.expiry import LIFETIME_SECONDS, SWEEP_SECONDS
from podling.apiserver.identity import Attributes, Decision, User
from podling.apiserver.server import ApiServer
from podling.store.memory import MemoryStore
from podling.store.sqlite import SqliteStore
from podling.testing.apiserver import CONFIG_MAPS, AllowAll, Api
from podling.testing.clock import ManualClock

Object = dict[str, Any]


class Bearer:
    """Any token but `wrong` is its own user."""

    async def authenticate(self, request: Request) -> User | None:
        token = request.headers.get("authorization").removeprefix("Bearer ")
        if token == "wrong":
            raise unauthorized()
        return User(token, ("system:authenticated",)) if token else None


class ReadersOnly:
    def __init__(self) -> None:
        self.asked: list[Attributes] = []

    def authorize(self, attributes: Attributes) -> Decision:
        self.asked.append(attributes)
        verb, name = attributes.verb, attributes.user.name
        allowed = verb in ("get", "list", "watch") and name != "system:anonymous"
        return Decision(allowed, f'User "{name}" cannot {verb} resource "{attributes.resource}" in API group ""')


async def test_who_may_do_what() -> None:
    authorizer = ReadersOnly()
    server = ApiServer(MemoryStore(), authorizer=authorizer, authenticators=(Bearer(),), clock=ManualClock())
    await server.start()
    api = Api(server, ManualClock())
    try:
        refused = await api("GET", CONFIG_MAPS)
        assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
        assert refused.message == (
            'configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps" in API group ""'
        )
        wrong = await api.transport.request("GET", CONFIG_MAPS, {}, [("authorization", "Bearer wrong")])
        assert wrong.status == 401
        allowed = await api.transport.request("GET", CONFIG_MAPS, {"watch": "1"}, [("authorization", "Bearer ann")])
        assert allowed.status == 200
        await allowed.close()
        asked = authorizer.asked[-1]
        assert (asked.user.name, asked.verb, asked.resource, asked.namespace) == ("ann", "watch", "configmaps", "default")
        await api("GET", "/version")
        assert (authorizer.asked[-1].verb, authorizer.asked[-1].path, authorizer.asked[-1].resource) == ("get", "/version", "")
    finally:
        await server.close()
        await api.transport.close()


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/apis/apps/v9/deployments", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/namespaces/default/pods/p/nothing", 404),
        ("POST", "/api/v1/pods", 405),
        ("POST", "/api/v1/namespaces/default/pods/p", 405),
        ("PUT", "/api/v1/namespaces/default/pods", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 405),
        ("OPTIONS", "/api/v1/pods", 405),
    ],
)
async def test_what_is_not_served(api: Api, method: str, path: str, code: int) -> None:
    answer = await api(method, path, {} if method in ("POST", "PUT") else None)
    assert (answer.status, answer.body["kind"], answer.body["code"]) == (code, "Status", code)


async def test_answers_and_streams_are_handed_in() -> None:
    async def answer(call: Call, review: Object) -> Object:
        return {**review, "status": {"allowed": True}}

    async def log(call: Call) -> Any:
        return call.answer_object({"of": call.attributes.name})

    async def broken(call: Call) -> Any:
        raise RuntimeError("a defect")

    server = ApiServer(
        MemoryStore(),
        authorizer=AllowAll(),
        answers={("authorization.k8s.io", "selfsubjectaccessreviews", ""): answer},
        streams={("", "pods", "log"): log, ("", "pods", "exec"): broken},
        clock=ManualClock(),
    )
    await server.start()
    api = Api(server, ManualClock())
    try:
        spec = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
        review = await api("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": spec})
        assert (review.status, review.body["status"]) == (201, {"allowed": True})
        assert (await api("GET", "/api/v1/namespaces/default/pods/p/log")).body == {"of": "p"}
        failed = await api("POST", "/api/v1/namespaces/default/pods/p/exec")
        assert (failed.status, failed.message) == (500, "Internal error occurred: a defect")
    finally:
        await server.close()
        await api.transport.close()


async def test_a_restart_finds_everything_and_creates_nothing_twice(tmp_path: Path) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}, "rules": []}
    revisions, uids = [], []
    for verbs in (["get"], ["get"], ["list"]):
        store = await SqliteStore.open(tmp_path / "state.db")
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]
        cluster = ClusterInfo("192.0.2.1", 6443, ({**role, "rules": rules},))
        server = ApiServer(store, authorizer=AllowAll(), clock=ManualClock(), cluster=cluster)
        await server.start()
        api = Api(server, ManualClock())
        found = (await api("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/r")).body
        assert found["rules"] == rules
        revisions.append(server.storage.revision)
        uids.append(found["metadata"]["uid"])
        slices = (await api("GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes")).body
        assert slices["endpoints"][0]["addresses"] == ["192.0.2.1"]
        await server.close()
        await store.close()
    assert revisions == [revisions[0], revisions[0], revisions[0] + 1]
    assert len(set(uids)) == 1


async def test_history_is_forgotten_in_time(api: Api) -> None:
    store = api.server._store
    await api.clock.advance(WINDOW_SECONDS)
    page = await store.range("/", revision=store.revision)
    await api.create(CONFIG_MAPS, {"metadata": {"name": "c"}})
    await api("DELETE", f"{CONFIG_MAPS}/c")
    assert (await store.range("/", revision=page.revision)).entries == page.entries
    await api.clock.advance(2 * WINDOW_SECONDS)
    with pytest.raises(Exception, match="compacted"):
        await store.range("/", revision=page.revision)


async def test_events_have_two_faces(api: Api) -> None:
    event = {
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "Started",
        "message": "it runs",
        "type": "Normal",
        "source": {"component": "kubelet"},
    }
    await api.create("/api/v1/namespaces/default/events", event)
    other = (await api("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")).body
    assert (other["apiVersion"], other["note"], other["regarding"]["name"]) == ("events.k8s.io/v1", "it runs", "p")
    listed = (await api("GET", "/apis/events.k8s.io/v1/events")).body
    assert (listed["kind"], listed["items"]) == ("EventList", [other])
    stream = await api.watch("/apis/events.k8s.io/v1/events")
    assert await stream.next() == ("ADDED", other)


async def test_old_events_go(api: Api) -> None:
    regarding = {"kind": "ConfigMap", "name": "c", "namespace": "default"}
    for name, seen in (("old", "2023-11-14T22:00:00Z"), ("repeated", "2023-11-14T23:10:00Z")):
        event = {"metadata": {"name": name}, "involvedObject": regarding, "reason": "R", "lastTimestamp": seen}
        await api.create("/api/v1/namespaces/default/events", event)
    await api.clock.advance(LIFETIME_SECONDS + 2 * SWEEP_SECONDS)
    left = (await api("GET", "/api/v1/events")).body["items"]
    assert [item["metadata"]["name"] for item in left] == ["repeated"]


async def test_metrics(api: Api) -> None:
    await api("GET", CONFIG_MAPS)
    await api("GET", f"{CONFIG_MAPS}/missing")
    text = (await api("GET", "/metrics")).body.decode()
    labels = 'group="",version="v1",resource="configmaps",subresource=""'
    assert f'apiserver_request_total{{verb="list",{labels},code="200"}} 1\n' in text
    assert f'apiserver_request_total{{verb="get",{labels},code="404"}} 1\n' in text
    assert 'apiserver_resource_objects{group="",resource="namespaces"} 4\n' in text
