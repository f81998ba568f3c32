"""The audit policy: which requests are told of, and how much of them. Pure.

Source: Kubernetes documentation "Auditing"; audit.k8s.io/v1 Policy.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from podling.apiserver.identity import Attributes
from podling.base.errors import InvalidInput

Object = dict[str, Any]

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
# their bodies are credentials, which no log may have whatever the policy says: (group, resource, subresource)
CREDENTIALS = {("", "secrets", ""), ("", "serviceaccounts", "token"), ("authentication.k8s.io", "tokenreviews", "")}


@dataclass(frozen=True, slots=True)
class Depth:
    """What is told of one request: how much, and at which stages."""

    level: str
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False

    @property
    def is_none(self) -> bool:
        return self.level == "None"

    @property
    def request(self) -> bool:
        return self.level in ("Request", "RequestResponse")

    @property
    def response(self) -> bool:
        return self.level == "RequestResponse"


NOTHING = Depth("None")


class Policy:
    """The rules, the first that fits decides; what none fits isn't told of."""

    def __init__(self, policy: Object) -> None:
        self._rules = policy["rules"]
        self._omit = frozenset(policy.get("omitStages") or ())
        self._managed = bool(policy.get("omitManagedFields"))

    def depth(self, attributes: Attributes) -> Depth:
        rule = next((rule for rule in self._rules if fits(rule, attributes)), None)
        if rule is None:
            return NOTHING
        level = rule["level"]
        if (attributes.group, attributes.resource, attributes.subresource) in CREDENTIALS:
            level = min(level, "Metadata", key=LEVELS.index)
        managed = rule.get("omitManagedFields")
        return Depth(level, self._omit | set(rule.get("omitStages") or ()), self._managed if managed is None else managed)


def fits(rule: Object, attributes: Attributes) -> bool:
    """Whether a rule is about the request; what it leaves out it doesn't ask for."""
    user = attributes.user
    if rule.get("users") and user.name not in rule["users"]:
        return False
    if rule.get("userGroups") and not set(rule["userGroups"]) & set(user.groups):
        return False
    if rule.get("verbs") and attributes.verb not in rule["verbs"]:
        return False
    if rule.get("namespaces") and attributes.namespace not in rule["namespaces"]:
        return False
    if not attributes.is_resource:
        return not rule.get("resources") and _path_fits(rule.get("nonResourceURLs"), attributes.path)
    if rule.get("nonResourceURLs"):
        return False
    return not rule.get("resources") or any(_resource_fits(each, attributes) for each in rule["resources"])


def _path_fits(patterns: Iterable[str] | None, path: str) -> bool:
    return not patterns or any(path == each or (each.endswith("*") and path.startswith(each[:-1])) for each in patterns)


def _resource_fits(wanted: Object, attributes: Attributes) -> bool:
    """`pods`, `pods/log`, `pods/*`, `*/scale`, `*`; no names for all of the group."""
    if wanted.get("group", "") != attributes.group:
        return False
    if wanted.get("resourceNames") and attributes.name not in wanted["resourceNames"]:
        return False
    resource, subresource = attributes.resource, attributes.subresource
    full = f"{resource}/{subresource}" if subresource else resource
    fitting = {full, "*", *((f"{resource}/*", f"*/{subresource}") if subresource else ())}
    return not wanted.get("resources") or bool(fitting & set(wanted["resources"]))


def read(content: bytes, source: str) -> Policy:
    """The policy in YAML or JSON. Raises InvalidInput naming `source`."""
    import yaml  # who audits can wait 35 ms

    try:
        found = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{source}: {error}") from None
    if not isinstance(found, dict) or found.get("kind") != "Policy":
        raise InvalidInput(f"{source}: kind is not Policy")
    if not found.get("rules"):
        raise InvalidInput(f"{source}: an audit policy has rules")
    for rule in found["rules"]:
        _check(rule, source)
    return Policy(found)


def _check(rule: Object, source: str) -> None:
    if rule.get("level") not in LEVELS:
        raise InvalidInput(f"{source}: level {rule.get('level')!r} is none of {', '.join(LEVELS)}")
    if unknown := set(rule.get("omitStages") or ()) - set(STAGES):
        raise InvalidInput(f"{source}: omitStages: {sorted(unknown)[0]!r} is none of {', '.join(STAGES)}")
    if rule.get("nonResourceURLs") and (rule.get("resources") or rule.get("namespaces")):
        raise InvalidInput(f"{source}: a rule is about resources or about nonResourceURLs")
