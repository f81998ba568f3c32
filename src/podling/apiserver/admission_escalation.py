"""Nobody grants more than he has: what roles may say and bindings may give depends on who writes them.

Source: Kubernetes documentation "Using RBAC Authorization", privilege escalation prevention and bootstrapping;
k8s.io/component-helpers auth/rbac/validation.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from podling.api.field import quote
from podling.api.kind import Kind
from podling.api.objects import name_of
from podling.api.status import forbidden, not_found
from podling.apiserver.admission import DELETE, Review, concerns
from podling.apiserver.identity import ANONYMOUS, Attributes
from podling.apiserver.rbac import rule_allows

Object = Mapping[str, Any]
Rule = Mapping[str, Any]

GROUP = "rbac.authorization.k8s.io"
ROLES, BINDINGS = ("clusterroles", "roles"), ("clusterrolebindings", "rolebindings")


EVERYTHING: Sequence[Rule] = (
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
)
"""What one must hold to gather rules that others will write."""


@concerns((), [(GROUP, plural) for plural in (*ROLES, *BINDINGS)])
async def no_escalation(review: Review) -> None:
    """Raises 403 for rules that the user doesn't hold, unless he may `escalate` the role or `bind` to it."""
    new, kind = review.obj, review.kind
    if new is None or review.operation == DELETE or kind.group != GROUP or "system:masters" in review.attributes.user.groups:
        return
    old = review.old or {}
    if kind.plural in ROLES and any(new.get(member) != old.get(member) for member in ("rules", "aggregationRule")):
        asked = replace(review.attributes, verb="escalate", subresource="")
        rules = EVERYTHING if new.get("aggregationRule") else new.get("rules") or []
    elif kind.plural in BINDINGS and (new["roleRef"], new.get("subjects")) != (old.get("roleRef"), old.get("subjects")):
        reference = new["roleRef"]
        role = next(one for one in _roles(review) if one.kind == reference["kind"])
        asked = replace(review.attributes, verb="bind", resource=role.plural, name=reference["name"], subresource="")
        if review.backend.authorizer.authorize(asked).allowed:
            return
        rules = _rules_of(review, role, reference["name"])
    else:
        return
    missing = _missing(review, rules)
    if missing and not review.backend.authorizer.authorize(asked).allowed:
        raise forbidden(kind.plural, name_of(new), _words(review, missing), kind.group)


def _roles(review: Review) -> Iterator[Kind]:
    return (kind for kind in review.backend.registry.of_group(GROUP, "v1") if kind.plural in ROLES)


def _rules_of(review: Review, role: Kind, name: str) -> Sequence[Rule]:
    found = review.backend.storage.get(role, review.attributes.namespace if role.namespaced else "", name)
    if found is None:
        raise not_found(role.plural, name, GROUP)
    rules: Sequence[Rule] = found.object.get("rules") or []
    return rules


def _missing(review: Review, rules: Sequence[Rule]) -> list[Rule]:
    """The simplest rules among `rules` that the user doesn't hold."""
    user, namespace = review.attributes.user, review.attributes.namespace
    owned = review.backend.authorizer.rules(user, namespace)
    return [part for rule in rules for part in simple(rule) if not any(covers(one, part) for one in owned)]


def simple(rule: Rule) -> Iterator[Rule]:
    """A rule as those of one verb, group, resource and name each."""
    for verb, url in product(rule.get("verbs") or (), rule.get("nonResourceURLs") or ()):
        yield {"nonResourceURLs": [url], "verbs": [verb]}
    names = [[name] for name in rule.get("resourceNames") or ()] or [[]]
    for verb, group, resource, name in product(
        rule.get("verbs") or (), rule.get("apiGroups") or (), rule.get("resources") or (), names
    ):
        yield {"apiGroups": [group], "resources": [resource], **({"resourceNames": name} if name else {}), "verbs": [verb]}


def covers(held: Rule, given: Rule) -> bool:
    """Whether a held rule allows all that `given`, one of `simple`, does. A wildcard is covered by a wildcard alone."""
    (verb,) = given["verbs"]
    if "nonResourceURLs" in given:
        (path,) = given["nonResourceURLs"]
        return rule_allows(held, Attributes(ANONYMOUS, verb, path))
    (group,), (resource,) = given["apiGroups"], given["resources"]
    (name,) = given.get("resourceNames") or ("",)
    main, _, sub = resource.partition("/")
    return rule_allows(held, Attributes(ANONYMOUS, verb, "", group, "", main, sub, "", name))


def _words(review: Review, missing: Sequence[Rule]) -> str:
    user = review.attributes.user
    who = f'user "{user.name}" (groups={_quoted(user.groups)})'
    lines = "\n".join(_compact(rule) for rule in missing)
    return f"{who} is attempting to grant RBAC permissions not currently held:\n{lines}"


_TITLES = {
    "apiGroups": "APIGroups",
    "resources": "Resources",
    "resourceNames": "ResourceNames",
    "nonResourceURLs": "NonResourceURLs",
    "verbs": "Verbs",
}


def _compact(rule: Rule) -> str:
    """`{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`"""
    parts = (f"{title}:{_quoted(rule[name])}" for name, title in _TITLES.items() if name in rule)
    return f"{{{', '.join(parts)}}}"


def _quoted(values: Iterable[str]) -> str:
    """A list of strings as Go prints it."""
    return "[" + " ".join(quote(value) for value in values) + "]"
