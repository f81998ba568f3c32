"""certificates.k8s.io/v1 CertificateSigningRequest. Source: Kubernetes API reference; pkg/apis/certificates/validation."""

import base64
from collections.abc import Iterator

from podling.api import objects
from podling.api.certificates import pem
from podling.api.certificates.signer import validate_name
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at, quote
from podling.api.kind import STATUS, Column, Kind, Object, Subresource, paths
from podling.api.names import Check
from podling.api.timestamps import human

USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_DECISIONS, _FINAL = ("Approved", "Denied"), ("Approved", "Denied", "Failed")
_any_name: Check = lambda _: []  # noqa: E731


def prepare(new: Object, old: Object | None) -> None:
    """Nothing of a request changes but by its subresources."""
    if old is not None:
        new["spec"] = old.get("spec")


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    try:
        pem.check_request(spec.get("request", ""))
    except pem.PemError as error:
        yield (spec / "request").invalid(str(error))
    yield from _usages(spec / "usages")
    yield from validate_name(spec / "signerName")
    if spec.get("expirationSeconds", 600) < 600:
        yield (spec / "expirationSeconds").invalid("may not specify a duration less than 600 seconds (10 minutes)")


def _usages(usages: Cursor) -> Iterator[FieldError]:
    if not usages:
        yield usages.required()
    seen = set()
    for usage in usages:
        if usage.value not in USAGES:
            yield usage.unsupported(USAGES)
        if usage.value in seen:
            yield usage.duplicate()
        seen.add(usage.value)


def _conditions(conditions: Cursor) -> Iterator[FieldError]:
    seen = set()
    for condition in conditions:
        kind, status = condition / "type", condition / "status"
        if not kind.value:
            yield kind.required()
        allowed = ("True",) if kind.value in _FINAL else ("False", "True", "Unknown")
        if not status.value:
            yield status.required()
        elif status.value not in allowed:
            yield status.unsupported(allowed)
        if kind.value in seen:
            yield kind.duplicate()
        seen.add(kind.value)
        if kind.value in _DECISIONS and seen >= set(_DECISIONS):
            yield conditions.invalid("Approved and Denied conditions are mutually exclusive", kind.value)


def _of_type(obj: Object, kind: str) -> list[Object]:
    return [each for each in objects.get(obj, "status.conditions", ()) if each.get("type") == kind]


def _kept(new: Object, old: Object) -> Iterator[FieldError]:
    """What was decided stays."""
    yield from _conditions(at(new, "status", "conditions"))
    for kind in _FINAL:
        if len(_of_type(new, kind)) < len(_of_type(old, kind)):
            words = f"updates may not remove a condition of type {quote(kind)}"
            yield at(new, "status", "conditions").forbidden(words)


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    """The signer's word: it puts the certificate there, once, and decides nothing."""
    yield from _kept(new, old)
    for kind in _DECISIONS:
        if len(_of_type(new, kind)) > len(_of_type(old, kind)):
            words = f"updates may not add a condition of type {quote(kind)}"
            yield at(new, "status", "conditions").forbidden(words)
    certificate, before = at(new, "status", "certificate"), objects.get(old, "status.certificate")
    if certificate.value == before:
        return
    if before:
        yield certificate.forbidden("updates may not modify existing certificate content")
    try:
        pem.check_certificates(base64.b64decode(certificate.value or "").decode("latin-1"))
    except ValueError as error:
        yield certificate.invalid(str(error), "<certificate data>")


def validate_approval(new: Object, old: Object) -> Iterator[FieldError]:
    """The approver's word: a decision, and no certificate."""
    yield from _kept(new, old)
    if objects.get(new, "status.certificate") != objects.get(old, "status.certificate"):
        yield at(new, "status", "certificate").forbidden("updates may not set certificate content")


def stamp(new: Object, old: Object, now: str) -> None:
    """Say when conditions came or changed, where the client doesn't. In place."""
    before = {each.get("type"): each for each in objects.get(old, "status.conditions", ())}
    for condition in objects.get(new, "status.conditions", ()):
        was = before.get(condition.get("type"), {})
        condition["lastUpdateTime"] = condition.get("lastUpdateTime") or now
        if not condition.get("lastTransitionTime"):
            same = was.get("status") == condition.get("status")
            condition["lastTransitionTime"] = was.get("lastTransitionTime", now) if same else now


def _state(obj: Object, _: float) -> str:
    denied, approved, failed = (bool(_of_type(obj, kind)) for kind in ("Denied", "Approved", "Failed"))
    text = "Denied" if denied else "Approved" if approved else "Pending"
    return text + (",Failed" if failed else "") + (",Issued" if objects.get(obj, "status.certificate") else "")


def _duration(obj: Object, _: float) -> str:
    seconds = objects.get(obj, "spec.expirationSeconds")
    return human(seconds) if seconds is not None else "<none>"


CERTIFICATE_SIGNING_REQUEST = Kind(
    api_version="certificates.k8s.io/v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    short=("csr",),
    namespaced=False,
    subresources=(Subresource("approval", ("get", "patch", "update")), STATUS),
    check_name=_any_name,
    prepare=prepare,
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        AGE,
        Column("SignerName", "spec.signerName"),
        Column("Requestor", lambda obj, _: objects.get(obj, "spec.username", "")),
        Column("RequestedDuration", _duration),
        Column("Condition", _state),
    ),
    fields=paths("spec.signerName"),
)
