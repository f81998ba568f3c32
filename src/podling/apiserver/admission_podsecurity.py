"""Admission of PodSecurity: a namespace's labels say which standard its pods keep, and what happens to those that don't.

Source: Kubernetes documentation "Pod Security Admission"; k8s.io/pod-security-admission admission.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from podling.api.field import Cursor, FieldError
from podling.api.objects import get, labels_of
from podling.api.status import forbidden, invalid
from podling.apiserver.admission import CREATE, UPDATE, Review, concerns
from podling.apiserver.podsecurity import LEVELS, violations

Object = dict[str, Any]

PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"latest|v1\.(0|[1-9]\d*)")
# where a pod stands in what makes pods
TEMPLATES = {
    ("", "podtemplates"): "template",
    ("", "replicationcontrollers"): "spec.template",
    ("apps", "daemonsets"): "spec.template",
    ("apps", "deployments"): "spec.template",
    ("apps", "replicasets"): "spec.template",
    ("apps", "statefulsets"): "spec.template",
    ("batch", "cronjobs"): "spec.jobTemplate.spec.template",
    ("batch", "jobs"): "spec.template",
}
MOST_PODS = 3000  # of a namespace whose labels change, that are looked at


@dataclass(frozen=True, slots=True)
class Policy:
    """A level at a version: `restricted:latest`, `baseline:v1.30`."""

    level: str = "privileged"
    version: str = "latest"

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"


def policy(labels: dict[str, str], mode: str) -> Policy:
    """What the labels say of a mode; a level that isn't one is taken as the strictest."""
    level = labels.get(PREFIX + mode)
    if level is None:
        return Policy()
    version = labels.get(f"{PREFIX}{mode}-version", "latest")
    return Policy(level if level in LEVELS else "restricted", version if _VERSION.fullmatch(version) else "latest")


@concerns((CREATE, UPDATE), [("", "pods"), ("", "namespaces"), *TEMPLATES])
async def pod_security(review: Review) -> None:
    """Refuses a pod that breaks the enforced standard; warns and notes for the other modes, of pods and what makes them."""
    kind, attributes = review.kind, review.attributes
    if kind.storage == ("", "namespaces"):
        _check_namespace(review)
        return
    template = TEMPLATES.get(kind.storage)
    if kind.storage != ("", "pods") and template is None:
        return
    if review.operation not in (CREATE, UPDATE) or attributes.subresource not in ("", "ephemeralcontainers"):
        return
    labels = _labels(review)
    if not any(name.startswith(PREFIX) for name in labels):
        return
    pod = review.obj if template is None else get(review.obj, template)
    if pod is None or (review.operation == UPDATE and template is None and not _changed(review)):
        return
    _judge(review, pod, labels, enforced=template is None)


def _labels(review: Review) -> dict[str, str]:
    found = review.backend.storage.of(("", "namespaces")).get(review.attributes.namespace)
    return found.labels if found is not None else {}


def _changed(review: Review) -> bool:
    """Whether an update of a pod touches what the standards are about."""
    old, new = review.old or {}, review.obj or {}
    return old.get("spec") != new.get("spec") or get(old, "metadata.annotations") != get(new, "metadata.annotations")


def _judge(review: Review, pod: Object, labels: dict[str, str], *, enforced: bool) -> None:
    seen: dict[Policy, list[str]] = {}

    def broken(wanted: Policy) -> list[str]:
        if wanted not in seen:
            seen[wanted] = violations(pod, wanted.level, wanted.version)
        return seen[wanted]

    rule = policy(labels, "enforce")
    review.notes[PREFIX + "enforce-policy"] = str(rule)
    if enforced and (found := broken(rule)):
        raise forbidden("pods", get(review.obj, "metadata.name", ""), f'violates PodSecurity "{rule}": {", ".join(found)}')
    audit, warn = policy(labels, "audit"), policy(labels, "warn")
    if found := broken(audit):
        review.notes[PREFIX + "audit-violations"] = f'would violate PodSecurity "{audit}": {", ".join(found)}'
    if found := broken(warn):
        _warn(review, f'would violate PodSecurity "{warn}": {", ".join(found)}')


def _warn(review: Review, text: str) -> None:
    if text not in review.warnings:  # a write that is tried again warns once
        review.warnings.append(text)


def _check_namespace(review: Review) -> None:
    """Refuses labels that say nothing; warns of the pods that a stricter one finds already there."""
    if review.obj is None or review.operation not in (CREATE, UPDATE) or review.attributes.subresource:
        return
    labels = labels_of(review.obj)
    if errors := label_errors(labels):
        raise invalid("Namespace", review.obj["metadata"].get("name", ""), errors)
    if review.operation == UPDATE:
        old, new = policy(labels_of(review.old or {}), "enforce"), policy(labels, "enforce")
        if LEVELS.index(new.level) > LEVELS.index(old.level):
            _warn_of_pods(review, new)


def label_errors(labels: dict[str, str]) -> list[FieldError]:
    errors = []
    for mode in MODES:
        for name, good, words in (
            (PREFIX + mode, lambda value: value in LEVELS, "must be one of privileged, baseline, restricted"),
            (f"{PREFIX}{mode}-version", _VERSION.fullmatch, 'must be "latest" or "v1.x"'),
        ):
            value = labels.get(name)
            if value is not None and not good(value):
                errors.append(Cursor(value, None, f"metadata.labels[{name}]").invalid(words))
    return errors


def _warn_of_pods(review: Review, rule: Policy) -> None:
    name = (review.obj or {})["metadata"]["name"]
    found: Counter[tuple[str, ...]] = Counter()
    first: dict[tuple[str, ...], str] = {}
    for number, pod in enumerate(review.backend.storage.objects(("", "pods"), f"{name}/")):
        if number == MOST_PODS:
            break
        if broken := tuple(each.partition(" (")[0] for each in violations(pod, rule.level, rule.version)):
            found[broken] += 1
            first.setdefault(broken, pod["metadata"]["name"])
    if not found:
        return
    _warn(review, f'existing pods in namespace "{name}" violate the new PodSecurity enforce level "{rule}"')
    for broken, pods in sorted(found.items(), key=lambda each: first[each[0]]):
        others = "" if pods == 1 else f" (and {pods - 1} other pod{'' if pods == 2 else 's'})"
        _warn(review, f"{first[broken]}{others}: {', '.join(broken)}")
