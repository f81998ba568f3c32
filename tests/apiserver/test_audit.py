"""The audit log: which rule fits, what a line tells, and what no line ever tells."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from podling.aio.http import Request
from podling.api.status import unauthorized
from podling.apiserver.audit import Policy, read
from podling.apiserver.audit_log import AuditFile, Auditor
from podling.apiserver.identity import Attributes, User
from podling.apiserver.rbac import RbacAuthorizer
from podling.base.errors import InvalidInput
from podling.testing.apiserver import CONFIG_MAPS, Api

ANN = User("ann", ("dev",))
SECRETS = "/api/v1/namespaces/default/secrets"


def asks(verb: str = "get", resource: str = "pods", **more: Any) -> Attributes:
    return Attributes(more.pop("user", ANN), verb, more.pop("path", ""), resource=resource, **more)


@pytest.mark.parametrize(
    ("rule", "attributes", "fits"),
    [
        ({}, asks(), True),
        ({"users": ["bob"]}, asks(), False),
        ({"userGroups": ["dev"]}, asks(), True),
        ({"verbs": ["list"]}, asks(), False),
        ({"namespaces": ["a"]}, asks(namespace="a"), True),
        ({"namespaces": ["a"]}, asks(namespace="b"), False),
        ({"resources": [{"group": ""}]}, asks(), True),
        ({"resources": [{"group": "apps"}]}, asks(), False),
        ({"resources": [{"group": "", "resources": ["pods"]}]}, asks(subresource="log"), False),
        ({"resources": [{"group": "", "resources": ["pods/*"]}]}, asks(subresource="log"), True),
        ({"resources": [{"group": "", "resources": ["*/log"]}]}, asks(subresource="log"), True),
        ({"resources": [{"group": "", "resources": ["pods"], "resourceNames": ["x"]}]}, asks(name="y"), False),
        ({"nonResourceURLs": ["/healthz*"]}, asks(resource="", path="/healthz/ping"), True),
        ({"nonResourceURLs": ["/healthz*"]}, asks(), False),
        ({"resources": [{"group": ""}]}, asks(resource="", path="/version"), False),
    ],
)
def test_which_rule_fits(rule: dict[str, Any], attributes: Attributes, fits: bool) -> None:
    depth = Policy({"rules": [{"level": "Request", **rule}]}).depth(attributes)
    assert depth.level == ("Request" if fits else "None")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Pod", "kind is not Policy"),
        ("kind: Policy", "an audit policy has rules"),
        ("kind: Policy\nrules: [{level: All}]", "level 'All' is none of None, Metadata"),
        ("kind: Policy\nrules: [{level: None, omitStages: [Begin]}]", "omitStages: 'Begin' is none of"),
        ("kind: [", "policy.yaml: while parsing"),
    ],
)
def test_bad_policies(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read(text.encode(), "policy.yaml")


POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/healthz*"]
- level: RequestResponse
"""


class Someone:
    async def authenticate(self, request: Request) -> User | None:
        return User("someone", ("system:authenticated",))


class Stranger:
    async def authenticate(self, request: Request) -> User | None:
        raise unauthorized()


class Log:
    def __init__(self, path: Path, api: Api) -> None:
        self.path = path
        self.file = AuditFile(path)
        api.server.auditor = Auditor(read(POLICY.encode(), "p"), self.file, api.clock)
        api.server.auditor.start()

    async def lines(self, count: int) -> list[dict[str, Any]]:
        for _ in range(200):
            text = self.path.read_text() if self.path.exists() else ""
            if text.count("\n") >= count:
                break
            await asyncio.sleep(0.01)
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
async def log(api: Api, tmp_path: Path) -> AsyncIterator[Log]:
    log = Log(tmp_path / "audit.log", api)
    yield log
    await log.file.close()


async def test_a_write_with_its_bodies(api: Api, log: Log) -> None:
    await api("GET", "/healthz")
    await api.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"a": "b"}})
    (event,) = await log.lines(1)
    assert event["kind"], event["apiVersion"] == ("Event", "audit.k8s.io/v1")
    assert (event["level"], event["stage"], event["verb"]) == ("RequestResponse", "ResponseComplete", "create")
    assert event["requestURI"] == CONFIG_MAPS
    assert event["user"] == {"username": "admin", "groups": ["system:masters", "system:authenticated"]}
    assert event["objectRef"] == {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}
    assert event["responseStatus"]["code"] == 201
    assert event["requestObject"]["data"] == {"a": "b"}
    assert event["responseObject"]["metadata"]["uid"]
    assert log.path.stat().st_mode & 0o777 == 0o600


async def test_a_refusal_tells_why(api: Api, log: Log) -> None:
    await api("GET", f"{CONFIG_MAPS}/missing")
    (event,) = await log.lines(1)
    assert event["responseStatus"]["code"] == 404
    assert event["responseStatus"]["reason"] == "NotFound"


async def test_who_may_and_why(api: Api, log: Log) -> None:
    answer = await api("GET", CONFIG_MAPS)
    assert len(answer.headers.get("audit-id")) == 36
    rules = [
        {"metadata": {"name": "reader"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]}
    ]
    binding = {
        "metadata": {"name": "readers", "namespace": "default"},
        "roleRef": {"kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "Group", "name": "system:authenticated"}],
    }
    objects: dict[str, list[Any]] = {"clusterroles": rules, "rolebindings": [binding]}
    rbac = RbacAuthorizer(lambda plural: objects.get(plural, []), lambda: 1)
    api.server.backend = replace(api.server.backend, authorizer=rbac, authenticators=(Someone(),))
    await api("GET", CONFIG_MAPS)
    assert (await api("DELETE", CONFIG_MAPS)).status == 403
    _, allowed, forbidden = await log.lines(3)
    words = 'RBAC: allowed by RoleBinding "readers/default" of ClusterRole "reader" to Group "system:authenticated"'
    assert allowed["annotations"] == {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": words}
    assert forbidden["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert forbidden["responseStatus"]["code"] == 403
    assert forbidden["auditID"] != allowed["auditID"]


async def test_nobody_and_who_may_not_be_another(api: Api, log: Log) -> None:
    api.server.backend = replace(api.server.backend, authenticators=(Stranger(),))
    answer = await api("GET", CONFIG_MAPS)
    assert answer.status == 401
    (event,) = await log.lines(1)
    assert event["auditID"] == answer.headers.get("audit-id")
    assert (event["stage"], event["user"], event["verb"]) == ("ResponseStarted", {}, "list")
    assert event["responseStatus"]["code"] == 401
    assert event["responseStatus"]["message"] == "Authentication failed, no credentials provided"


async def test_a_stream_is_told_of_as_it_starts(api: Api, log: Log) -> None:
    await api.watch(CONFIG_MAPS)
    (event,) = await log.lines(1)
    assert (event["stage"], event["verb"]) == ("ResponseStarted", "watch")


async def test_no_secret_is_ever_in_a_log(api: Api, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    word = "Y29ycmVjdC1ob3JzZQ=="
    caplog.set_level("DEBUG")
    await api.create(SECRETS, {"metadata": {"name": "s"}, "data": {"w": word}})
    await api("GET", f"{SECRETS}/s")
    await api("GET", "/api/v1/secrets")
    await api("PATCH", f"{SECRETS}/s", {"data": {"v": word}}, type="application/merge-patch+json")
    await api("PATCH", f"{SECRETS}/s", {"data": {"v": f"!{word}"}}, type="application/merge-patch+json")
    await api("PUT", f"{SECRETS}/s", b'{"data": {"w": "' + word.encode())
    await api("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": word}})
    events = await log.lines(7)
    assert [event["level"] for event in events] == ["Metadata"] * 7
    assert word not in log.path.read_text()
    assert word not in caplog.text


def test_a_file_that_has_grown_is_put_aside(tmp_path: Path) -> None:
    async def write() -> None:
        for number in range(4):
            file = AuditFile(tmp_path / "audit.log", most_bytes=20)
            await file.add({"n": number})
            await file.add({"m": number})
            await file.close()

    asyncio.run(write())
    assert (tmp_path / "audit.log").read_text() == '{"n":3}\n{"m":3}\n'
    assert (tmp_path / "audit.log.1").read_text() == '{"n":2}\n{"m":2}\n'
    assert (tmp_path / "audit.log.3").exists()
