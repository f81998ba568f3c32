"""apiextensions.k8s.io/v1 CustomResourceDefinition: its own rules; those of the schemas in it are in structural.py.

Source: Kubernetes API reference, "CustomResourceDefinition"; k8s.io/apiextensions-apiserver validation.
"""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.admissionregistration import webhookclient
from podling.api.apiextensions import structural
from podling.api.columns import CREATED, NAME
from podling.api.custom import rules
from podling.api.custom.jsonpath import PathError, compile_path
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Kind, Object
from podling.api.rules import chosen, present

TYPES = ("boolean", "date", "integer", "number", "string")
FORMATS = ("binary", "byte", "date", "date-time", "double", "float", "int32", "int64", "password")
REVIEW_VERSIONS = ("v1", "v1beta1")
_PROTECTED = ("k8s.io", "kubernetes.io")
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
APPROVAL = "api-approved.kubernetes.io"


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    kinds = spec.setdefault("names", {})
    if kind := kinds.get("kind"):
        kinds["singular"] = kinds.get("singular") or kind.lower()
        kinds["listKind"] = kinds.get("listKind") or f"{kind}List"
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    webhookclient.default(objects.get(conversion, "webhook.clientConfig"))


def prepare(new: Object, old: Object | None) -> None:
    """A new definition has accepted no names yet; each version that has ever been the stored one is remembered."""
    if old is None:
        new["status"] = {"acceptedNames": {"plural": "", "kind": ""}, "storedVersions": []}
    kept = objects.get(new, "status.storedVersions", [])
    now = [each["name"] for each in objects.get(new, "spec.versions", ()) if each.get("storage") and each.get("name")]
    added = [name for name in now[:1] if name not in kept]
    if added:
        new["status"] = {**(new.get("status") or {}), "storedVersions": [*kept, *added]}


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from _name(new, spec)
    yield from _group(spec / "group")
    yield from chosen(spec / "scope", ("Cluster", "Namespaced"))
    yield from _versions(spec / "versions")
    for member in ("plural", "singular", "kind", "listKind"):
        yield from present(spec / "names" / member)
    yield from _names(spec / "names")
    yield from _conversion(spec / "conversion")
    if spec.get("preserveUnknownFields"):
        words = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        yield (spec / "preserveUnknownFields").invalid(words)
    yield from _approved(new)
    yield from _stored(new, spec)
    if old is not None:
        yield from _unchanged(spec, old)


def _name(new: Object, spec: Cursor) -> Iterator[FieldError]:
    wanted = f"{(spec / 'names').get('plural', '')}.{spec.get('group', '')}"
    if objects.name_of(new) != wanted:
        yield at(new, "metadata", "name").invalid('must be spec.names.plural+"."+spec.group')


def _group(group: Cursor) -> Iterator[FieldError]:
    text = group.value or ""
    if not text:
        yield group.required()
    elif complaints := names.subdomain(text):
        yield group.invalid(",".join(complaints))
    elif "." not in text:
        yield group.invalid("should be a domain with at least one dot")


def _versions(versions: Cursor) -> Iterator[FieldError]:
    for version in versions:
        if complaints := names.label_1035(version.get("name", "")):
            yield (version / "name").invalid(",".join(complaints), version.get("name", ""))
        schema = version / "schema" / "openAPIV3Schema"
        if schema.value is None:
            yield schema.required("schemas are required")
        else:
            yield from structural.errors(schema)
        yield from _warning(version / "deprecationWarning", deprecated=bool(version.get("deprecated")))
        yield from _subresources(version / "subresources")
        for column in version / "additionalPrinterColumns":
            yield from _column(column)
        for field in version / "selectableFields":
            yield from _path(field / "jsonPath")
    given = [version.get("name") for version in versions]
    if len(set(given)) < len(given):
        yield versions.invalid("must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield versions.invalid("must have exactly one version marked as storage version")


def _warning(warning: Cursor, *, deprecated: bool) -> Iterator[FieldError]:
    text = warning.value
    if text is None:
        return
    if not deprecated:
        yield warning.invalid("can only be set for deprecated versions")
        return
    if len(text) > 256:
        yield warning.invalid("must be <= 256 characters long")
    if not text:
        yield warning.invalid("must not be an empty string")
    bad = next((index for index, char in enumerate(text) if not char.isprintable()), None)
    if bad is not None:
        words = f"must only contain printable UTF-8 characters; non-printable character found at index {bad}"
        yield warning.invalid(words)


def _subresources(subresources: Cursor) -> Iterator[FieldError]:
    scale = subresources / "scale"
    if scale.value is None:
        return
    for member, root in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")):
        path = scale / member
        yield from present(path)
        if path and not path.value.startswith(f"{root}."):
            yield path.invalid(f"should be a json path under {root}")
    selector = scale / "labelSelectorPath"
    if selector and not selector.value.startswith((".spec.", ".status.")):
        yield selector.invalid("should be a json path under either .spec or .status")


def _column(column: Cursor) -> Iterator[FieldError]:
    kind, form = column / "type", column / "format"
    yield from present(column / "name")
    words = f"must be one of {','.join(TYPES)}"
    if not kind.value:
        yield kind.required(words)
    elif kind.value not in TYPES:
        yield kind.invalid(words)
    if form and form.value not in FORMATS:
        yield form.invalid(f"must be one of {','.join(FORMATS)}")
    if not column.get("jsonPath"):
        yield Cursor(None, column, "JSONPath").required()
    else:
        yield from _path(Cursor(column.get("jsonPath"), column, "JSONPath"))


def _path(path: Cursor) -> Iterator[FieldError]:
    try:
        compile_path(path.value or "")
    except PathError as error:
        yield path.invalid(f"is an invalid path: {error}")


def _names(kinds: Cursor) -> Iterator[FieldError]:
    for member in ("plural", "singular"):
        if kinds.get(member) and (complaints := names.label_1035(kinds.get(member))):
            yield (kinds / member).invalid(",".join(complaints))
    for member in ("kind", "listKind"):
        if kinds.get(member) and (complaints := names.label_1035(kinds.get(member).lower())):
            words = f"may have mixed case, but should otherwise match: {','.join(complaints)}"
            yield (kinds / member).invalid(words)
    if kinds.get("kind") and kinds.get("kind") == kinds.get("listKind"):
        yield (kinds / "listKind").invalid("kind and listKind may not be the same")
    for member in ("shortNames", "categories"):
        for name in kinds / member:
            if complaints := names.label_1035(name.value):
                yield name.invalid(",".join(complaints))


def _conversion(conversion: Cursor) -> Iterator[FieldError]:
    yield from chosen(conversion / "strategy", ("None", "Webhook"))
    webhook = conversion / "webhook"
    # upstream's paths are those of its own form, where the members of `webhook` stand in the conversion
    if conversion.get("strategy") != "Webhook":
        if webhook.value is not None:
            yield Cursor(None, conversion, "webhookClientConfig").forbidden(
                "should not be set when strategy is not set to Webhook"
            )
        return
    client = Cursor(webhook.get("clientConfig"), conversion, "webhookClientConfig")
    if client.value is None:
        yield client.required("required when strategy is set to Webhook")
    else:
        yield from webhookclient.validate(client)
    reviews = Cursor(webhook.get("conversionReviewVersions"), conversion, "conversionReviewVersions")
    if not reviews:
        yield reviews.required()
    elif not set(reviews.value) & set(REVIEW_VERSIONS):
        yield reviews.invalid(f"must include at least one of {', '.join(REVIEW_VERSIONS)}")


def _approved(new: Object) -> Iterator[FieldError]:
    """Kubernetes' own groups need its word."""
    group = str(objects.get(new, "spec.group", ""))
    protected = group in _PROTECTED or group.endswith(tuple(f".{domain}" for domain in _PROTECTED))
    annotation = Cursor(None, at(new, "metadata", "annotations"), f"[{APPROVAL}]")
    if not protected or objects.annotations_of(new).get(APPROVAL, "").startswith(("https://", "unapproved")):
        return
    yield annotation.required(
        'protected groups must have approval annotation "api-approved.kubernetes.io", '
        "see https://github.com/kubernetes/enhancements/pull/1111"
    )


def _stored(new: Object, spec: Cursor) -> Iterator[FieldError]:
    stored = at(new, "status", "storedVersions")
    known = {version.get("name") for version in spec / "versions"}
    for version in stored:
        if version.value not in known:
            name = version.value
            yield version.invalid(
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a "
                f"storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            )


def _unchanged(spec: Cursor, old: Object) -> Iterator[FieldError]:
    paths = ["group", "names.plural"]
    if objects.has_condition(old, "Established"):
        paths += ["scope", "names.kind"]
    for path in paths:
        cursor = spec
        for name in path.split("."):
            cursor = cursor / name
        if cursor.value != objects.get(old, f"spec.{path}"):
            yield cursor.invalid("field is immutable")


def warn(new: Object, old: Object | None) -> Iterator[str]:
    """Rules that this server can't hold."""
    if old is not None and old["spec"] == new["spec"]:
        return
    for version in at(new, "spec", "versions"):
        schema = version / "schema" / "openAPIV3Schema"
        yield from rules.unchecked(schema.value, schema.path)


CUSTOM_RESOURCE_DEFINITION = Kind(
    api_version="apiextensions.k8s.io/v1",
    kind="CustomResourceDefinition",
    plural="customresourcedefinitions",
    short=("crd", "crds"),
    categories=("api-extensions",),
    namespaced=False,
    subresources=(STATUS,),
    generation=("spec",),
    finalizer=CLEANUP,
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warn,
    columns=(NAME, CREATED),
)
