"""RBAC: pure matching of rules, and the authorizer over the objects that the watch cache holds.

Source: rbac.authorization.k8s.io/v1; Kubernetes documentation "Using RBAC Authorization".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from podling.apiserver.identity import Attributes, Decision, User

Object = Mapping[str, Any]
Rule = Mapping[str, Any]


def rule_allows(rule: Rule, attributes: Attributes) -> bool:
    """Whether one PolicyRule covers the request."""
    if not _matches(rule.get("verbs"), attributes.verb):
        return False
    if not attributes.is_resource:
        return any(_path_matches(pattern, attributes.path) for pattern in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames")
    return (
        _matches(rule.get("apiGroups"), attributes.group)
        and _resource_matches(rule.get("resources") or (), attributes.resource, attributes.subresource)
        and (not names or attributes.name in names)
    )


def subject_is(subject: Mapping[str, str], user: User, binding_namespace: str) -> bool:
    """Whether a binding's subject means this user."""
    match subject["kind"]:
        case "User":
            return subject["name"] == user.name
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            namespace = subject.get("namespace") or binding_namespace
            return user.name == f"system:serviceaccount:{namespace}:{subject['name']}"
    return False


def _matches(values: Iterable[str] | None, wanted: str) -> bool:
    return any(value in ("*", wanted) for value in values or ())


def _resource_matches(patterns: Iterable[str], resource: str, subresource: str) -> bool:
    full = f"{resource}/{subresource}" if subresource else resource
    wildcard = f"*/{subresource}" if subresource else "*"
    return any(pattern in ("*", full, wildcard) for pattern in patterns)


def _path_matches(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


class RbacAuthorizer:
    """Allows what a role that is bound to the user allows.

    `objects(plural)` gives the current objects of one RBAC resource, as a snapshot that isn't edited: `clusterroles`, `roles`,
    `clusterrolebindings`, `rolebindings`; `generation()` changes whenever one of them does, so that the rules of a user are
    gathered once and not on each request.
    """

    def __init__(self, objects: Callable[[str], Iterable[Object]], generation: Callable[[], int]) -> None:
        self._objects = objects
        self._generation = generation
        self._seen = -1
        self._rules: dict[tuple[str, tuple[str, ...], str], list[tuple[Rule, str]]] = {}
        self._roles: dict[tuple[str, str], list[Rule]] = {}

    def authorize(self, attributes: Attributes) -> Decision:
        if "system:masters" in attributes.user.groups:
            return Decision(True)
        for rule, why in self._held(attributes.user, attributes.namespace):
            if rule_allows(rule, attributes):
                return Decision(True, why)
        return Decision(False, denial(attributes))

    def rules(self, user: User, namespace: str) -> list[Rule]:
        """Every rule that holds for the user in the namespace, the cluster-wide ones included."""
        return [rule for rule, _ in self._held(user, namespace)]

    def _held(self, user: User, namespace: str) -> list[tuple[Rule, str]]:
        """The rules, each with the words that say whence the user has it."""
        self._refresh()
        key = (user.name, user.groups, namespace)
        if key not in self._rules:
            self._rules[key] = list(self._gather(user, namespace))
        return self._rules[key]

    def _refresh(self) -> None:
        if (generation := self._generation()) != self._seen:
            self._seen = generation
            self._rules.clear()
            self._roles = {
                (role["metadata"].get("namespace", ""), role["metadata"]["name"]): role.get("rules") or []
                for plural in ("clusterroles", "roles")
                for role in self._objects(plural)
            }

    def _gather(self, user: User, namespace: str) -> Iterator[tuple[Rule, str]]:
        for plural in ("clusterrolebindings", "rolebindings"):
            for binding in self._objects(plural):
                home = binding["metadata"].get("namespace", "")
                if home and home != namespace:
                    continue
                meant = next((each for each in binding.get("subjects") or () if subject_is(each, user, home)), None)
                if meant is not None:
                    why = f"RBAC: allowed by {described(binding, meant)}"
                    yield from ((rule, why) for rule in self._of(binding["roleRef"], home))

    def _of(self, reference: Mapping[str, str], namespace: str) -> list[Rule]:
        home = "" if reference["kind"] == "ClusterRole" else namespace
        return self._roles.get((home, reference["name"]), [])


def described(binding: Object, subject: Mapping[str, str]) -> str:
    """Which binding gives which role to whom, in upstream's words."""
    metadata, role = binding["metadata"], binding["roleRef"]
    home = metadata.get("namespace", "")
    kind, name = ("RoleBinding", f"{metadata['name']}/{home}") if home else ("ClusterRoleBinding", metadata["name"])
    whom = subject["name"]
    if subject["kind"] == "ServiceAccount":
        whom = f"{whom}/{subject.get('namespace') or home}"
    return f'{kind} "{name}" of {role["kind"]} "{role["name"]}" to {subject["kind"]} "{whom}"'


def denial(attributes: Attributes) -> str:
    """The reason in a 403, in upstream's words."""
    if not attributes.is_resource:
        return f'User "{attributes.user.name}" cannot {attributes.verb} path "{attributes.path}"'
    resource = f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    return (
        f'User "{attributes.user.name}" cannot {attributes.verb} resource "{resource}" in API group "{attributes.group}" {where}'
    )
