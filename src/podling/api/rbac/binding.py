"""rbac.authorization.k8s.io/v1 RoleBinding and ClusterRoleBinding. Source: Kubernetes API reference of both."""

from collections.abc import Callable, Iterator

from podling.api import names
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rbac.role import API_VERSION

GROUP = "rbac.authorization.k8s.io"
Validate = Callable[[Object, Object | None], Iterator[FieldError]]


def default(obj: Object) -> None:
    role = obj.get("roleRef")
    if role is not None and not role.get("apiGroup"):
        role["apiGroup"] = GROUP
    for subject in obj.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = GROUP


def _validator(*role_kinds: str, namespaced: bool) -> Validate:
    def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
        role = at(new, "roleRef")
        if old is not None and new.get("roleRef") != old.get("roleRef"):
            yield role.invalid("cannot change roleRef")
        if role.get("apiGroup") != GROUP:
            yield (role / "apiGroup").unsupported((GROUP,), role.get("apiGroup", ""))
        if role.get("kind") not in role_kinds:
            yield (role / "kind").unsupported(role_kinds, role.get("kind", ""))
        if not role.get("name"):
            yield (role / "name").required()
        else:
            for complaint in names.path_segment(role.get("name")):
                yield (role / "name").invalid(complaint)
        for subject in at(new, "subjects"):
            yield from _subject(subject, namespaced=namespaced)

    return validate


def _subject(subject: Cursor, *, namespaced: bool) -> Iterator[FieldError]:
    if not subject.get("name"):
        yield (subject / "name").required()
    kind, group = subject.get("kind", ""), subject.get("apiGroup", "")
    if kind == "ServiceAccount":
        for complaint in names.subdomain(subject.get("name")) if subject.get("name") else ():
            yield (subject / "name").invalid(complaint)
        if group:
            yield (subject / "apiGroup").unsupported(("",), group)
        if not namespaced and not subject.get("namespace"):
            yield (subject / "namespace").required()
    elif kind in ("User", "Group"):
        if group != GROUP:
            yield (subject / "apiGroup").unsupported((GROUP,), group)
    else:
        yield (subject / "kind").unsupported(("ServiceAccount", "User", "Group"), kind)


def _role(obj: Object, _: float) -> str:
    role = obj.get("roleRef") or {}
    return f"{role.get('kind', '')}/{role.get('name', '')}"


def _subjects(kind: str) -> Callable[[Object, float], str]:
    def cell(obj: Object, _: float) -> str:
        return ", ".join(
            f"{subject.get('namespace', '')}/{subject['name']}" if kind == "ServiceAccount" else subject["name"]
            for subject in obj.get("subjects") or ()
            if subject.get("kind") == kind
        )

    return cell


_COLUMNS = (
    NAME,
    Column("Role", _role),
    AGE,
    Column("Users", _subjects("User"), priority=1),
    Column("Groups", _subjects("Group"), priority=1),
    Column("ServiceAccounts", _subjects("ServiceAccount"), priority=1),
)

ROLE_BINDING = Kind(
    api_version=API_VERSION,
    kind="RoleBinding",
    plural="rolebindings",
    create_on_update=True,
    check_name=names.path_segment,
    default=default,
    validate=_validator("Role", "ClusterRole", namespaced=True),
    columns=_COLUMNS,
)

CLUSTER_ROLE_BINDING = Kind(
    api_version=API_VERSION,
    kind="ClusterRoleBinding",
    plural="clusterrolebindings",
    create_on_update=True,
    namespaced=False,
    check_name=names.path_segment,
    default=default,
    validate=_validator("ClusterRole", namespaced=False),
    columns=_COLUMNS,
)
