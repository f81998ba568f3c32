"""Admission of certificate signing requests: who made one, who may approve and sign it, and for whom nobody may.

Source: Kubernetes documentation "Certificates and Certificate Signing Requests".
"""

import base64
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from podling.api.objects import get
from podling.api.status import forbidden
from podling.apiserver.admission import CREATE, UPDATE, Review, concerns
from podling.apiserver.identity import Attributes, user_info

Object = dict[str, Any]

REQUESTS = ("certificates.k8s.io", "certificatesigningrequests")
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
MASTERS = "system:masters"
_REQUESTER = ("username", "uid", "groups", "extra")


@concerns((CREATE,), [REQUESTS])
async def certificate_requester(review: Review) -> None:
    """A request says who made it, whatever its maker says. Source: pkg/registry/certificates/certificates strategy."""
    if review.obj is None or not review.is_(CREATE, *REQUESTS):
        return
    said = {name: value for name, value in (review.obj.get("spec") or {}).items() if name not in _REQUESTER}
    review.obj["spec"] = said | user_info(review.attributes.user)


@concerns((UPDATE,), [REQUESTS])
async def certificate_approval(review: Review) -> None:
    """Approving needs the right to approve for that signer, issuing the right to sign for it."""
    if review.kind.storage != REQUESTS or review.operation != UPDATE:
        return
    old, new = review.old or {}, review.obj or {}
    subresource = review.attributes.subresource
    issued = any(get(old, path) != get(new, path) for path in ("status.certificate", "status.conditions"))
    verb = "approve" if subresource == "approval" else "sign" if subresource == "status" and issued else ""
    if verb and not _may(review, verb, signer := get(old, "spec.signerName", "")):
        cause = f"user not permitted to {verb} requests with signerName {quoted(signer)}"
        raise forbidden(review.kind.plural, review.attributes.name, cause, review.kind.group)


def quoted(text: str) -> str:
    return f'"{text}"'


def _may(review: Review, verb: str, signer: str) -> bool:
    names = (signer, f"{signer.partition('/')[0]}/*")
    group, user = REQUESTS[0], review.attributes.user
    asked = (Attributes(user, verb, "", group, "v1", "signers", "", "", name) for name in names)
    return any(review.backend.authorizer.authorize(attributes).allowed for attributes in asked)


@concerns((CREATE,), [REQUESTS])
async def certificate_subject_restriction(review: Review) -> None:
    """Nobody gets into the group that may do everything by a certificate that the cluster signs."""
    if review.obj is None or not review.is_(CREATE, *REQUESTS) or get(review.obj, "spec.signerName") != CLIENT_SIGNER:
        return
    request = x509.load_pem_x509_csr(base64.b64decode(review.obj["spec"]["request"]))
    if any(each.value == MASTERS for each in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)):
        cause = f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed"
        raise forbidden(review.kind.plural, review.obj["metadata"].get("name", ""), cause, review.kind.group)
