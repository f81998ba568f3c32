"""certificates.k8s.io/v1beta1 ClusterTrustBundle. Source: Kubernetes API reference, "ClusterTrustBundle"."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.certificates import pem
from podling.api.certificates.signer import validate_name
from podling.api.columns import NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object, paths

LARGEST = 1 << 20  # bytes


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    if old is None:
        yield from _name(new, spec.get("signerName", ""))
    if spec.get("signerName"):
        yield from validate_name(spec / "signerName")
    if old is None or spec.get("trustBundle") != objects.get(old, "spec.trustBundle"):
        yield from _bundle(spec / "trustBundle")


def _name(new: Object, signer: str) -> Iterator[FieldError]:
    """A bundle of a signer begins with the signer's name; others have no colon."""
    name = at(new, "metadata", "name")
    text = str(name.value or "")
    if not signer:
        if ":" in text:
            yield name.invalid('ClusterTrustBundle without signer name must not have ":" in its name')
        return
    prefix = signer.replace("/", ":") + ":"
    if not text.startswith(prefix):
        yield name.invalid(f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}")
    else:
        for complaint in names.subdomain(text.removeprefix(prefix)):
            yield name.invalid(complaint)


def _bundle(bundle: Cursor) -> Iterator[FieldError]:
    text = bundle.value or ""
    if len(text) > LARGEST:
        yield bundle.too_long(LARGEST)
        return
    seen: dict[str, int] = {}
    for index, (label, body) in enumerate(pem.blocks(text)):
        if label != "CERTIFICATE":
            yield bundle.invalid(f"entry {index} has bad block type: {label}", "<value omitted>")
        elif pem.has_headers(body):
            yield bundle.invalid(f"entry {index} has PEM block headers", "<value omitted>")
        else:
            yield from _certificate(bundle, index, body)
            seen.setdefault("".join(body.split()), index)
    if not seen:
        yield bundle.invalid("at least one trust anchor must be provided", "<value omitted>")


def _certificate(bundle: Cursor, index: int, body: str) -> Iterator[FieldError]:
    try:
        pem.check_certificate(body)
    except pem.PemError as error:
        yield bundle.invalid(f"entry {index} does not parse as X.509: {error}", "<value omitted>")


CLUSTER_TRUST_BUNDLE = Kind(
    api_version="certificates.k8s.io/v1beta1",
    kind="ClusterTrustBundle",
    plural="clustertrustbundles",
    namespaced=False,
    immutable=("spec.signerName",),
    check_name=names.path_segment,
    unconditional=False,
    validate=validate,
    columns=(NAME, Column("SignerName", lambda obj, _: objects.get(obj, "spec.signerName") or "<none>")),
    fields=paths("spec.signerName"),
)
