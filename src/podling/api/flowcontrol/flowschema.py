"""flowcontrol.apiserver.k8s.io/v1 FlowSchema. Source: Kubernetes API reference, "FlowSchema"; pkg/apis/flowcontrol."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object
from podling.api.rules import named, one_of, present, unique

PRECEDENCE, MOST_PRECEDENCE = 1000, 10000
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
# kind of a subject -> the member that names it
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec["matchingPrecedence"] = spec.get("matchingPrecedence") or PRECEDENCE


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from _precedence(spec / "matchingPrecedence", objects.name_of(new))
    if spec.get("distinguisherMethod") is not None:
        yield from one_of(spec / "distinguisherMethod" / "type", ("ByNamespace", "ByUser"))
    level = spec / "priorityLevelConfiguration" / "name"
    yield from present(level, "must reference a priority level")
    yield from named(level, names.subdomain)
    for rule in spec / "rules":
        yield from _rule(rule)


def _precedence(precedence: Cursor, name: str) -> Iterator[FieldError]:
    if precedence.value <= 0:
        yield precedence.invalid("must be a positive value")
    if precedence.value > MOST_PRECEDENCE:
        yield precedence.invalid(f"must not be greater than {MOST_PRECEDENCE}")
    if precedence.value == 1 and name != "exempt":
        yield precedence.invalid("only the schema named 'exempt' may have matchingPrecedence 1")


def _rule(rule: Cursor) -> Iterator[FieldError]:
    yield from present(rule / "subjects", "subjects must contain at least one value")
    for subject in rule / "subjects":
        yield from _subject(subject)
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        yield rule.required("at least one of resourceRules and nonResourceRules has to be non-empty")
    for each in rule / "resourceRules":
        yield from _resources(each)
    for each in rule / "nonResourceRules":
        yield from _urls(each)


def _subject(subject: Cursor) -> Iterator[FieldError]:
    kind = subject.get("kind", "")
    if kind not in _SUBJECTS:
        yield (subject / "kind").unsupported(sorted(_SUBJECTS), kind)
        return
    for other, member in _SUBJECTS.items():
        who = subject / member
        if other != kind:
            if who.value is not None:
                yield who.forbidden(f"{member} is forbidden when subject kind is not '{other}'")
        elif who.value is None:
            yield who.required(f"{member} is required when subject kind is '{kind}'")
        else:
            yield from present(who / "name")
            if kind == "ServiceAccount":
                yield from _account(who)


def _account(account: Cursor) -> Iterator[FieldError]:
    if account.get("name") != "*":
        yield from named(account / "name", names.subdomain)
    yield from present(account / "namespace", "must specify namespace for service account")
    yield from named(account / "namespace", names.label)


def _star(values: Cursor, missing: str, others: str) -> Iterator[FieldError]:
    """There is something, and a star stands alone."""
    yield from present(values, missing)
    if "*" in (values.value or ()) and len(values.value) > 1:
        yield values.invalid(f"if '*' is present, must not specify other {others}")


def _verbs(verbs: Cursor) -> Iterator[FieldError]:
    yield from _star(verbs, "verbs must contain at least one value", "verbs")
    if verbs and "*" not in verbs.value and not set(verbs.value) <= set(VERBS):
        yield verbs.unsupported(VERBS)


def _resources(rule: Cursor) -> Iterator[FieldError]:
    yield from _verbs(rule / "verbs")
    yield from _star(rule / "apiGroups", "resource rules must supply at least one api group", "api groups")
    yield from _star(rule / "resources", "resource rules must supply at least one resource", "resources")
    namespaces = rule / "namespaces"
    if not namespaces and not rule.get("clusterScope"):
        yield namespaces.required("resource rules that are not cluster scoped must supply at least one namespace")
    elif "*" in (namespaces.value or ()):
        yield from _star(namespaces, "", "namespaces")
    else:
        for namespace in namespaces:
            for complaint in names.label(namespace.value):
                yield namespace.invalid(f"each member of this list must be '*' or a DNS-1123 label; {complaint}")


def _urls(rule: Cursor) -> Iterator[FieldError]:
    yield from _verbs(rule / "verbs")
    urls = rule / "nonResourceURLs"
    yield from _star(urls, "nonResourceURLs must contain at least one value", "non-resource URLs")
    if "*" not in (urls.value or ()):
        for url in urls:
            if complaint := _complaint(url.value):
                yield url.invalid(complaint)


def _complaint(path: str) -> str:
    """What is wrong with a path."""
    if not path:
        return "must not be empty"
    if not path.startswith("/"):
        return "must start with slash"
    if " " in path:
        return "must not contain white-space"
    if "//" in path:
        return "must not contain double slash"
    stars = path.count("*")
    return "wildcard can only do suffix matching" if stars > 1 or (stars and not path.endswith("/*")) else ""


def validate_status(new: Object, _old: Object) -> Iterator[FieldError]:
    """Also of a PriorityLevelConfiguration."""
    conditions = at(new, "status", "conditions")
    yield from unique(conditions, "type")
    for condition in conditions:
        yield from present(condition / "type")


def _dangling(obj: Object, _: float) -> str:
    return str((objects.condition(obj, "Dangling") or {}).get("status", "?"))


FLOW_SCHEMA = Kind(
    api_version="flowcontrol.apiserver.k8s.io/v1",
    kind="FlowSchema",
    plural="flowschemas",
    namespaced=False,
    subresources=(STATUS,),
    generation=("spec",),
    default=default,
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        Column("PriorityLevel", "spec.priorityLevelConfiguration.name"),
        Column("MatchingPrecedence", lambda obj, _: objects.get(obj, "spec.matchingPrecedence", 0)),
        Column("DistinguisherMethod", "spec.distinguisherMethod.type"),
        AGE,
        Column("MissingPL", _dangling),
    ),
)
