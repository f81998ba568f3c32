"""Certificate signing requests: nodes' own are approved, approved ones are signed, old ones go.

Source: Kubernetes documentation "Certificates and Certificate Signing Requests"; pkg/controller/certificates.
"""

import base64
from collections.abc import Callable, Sequence

from podling.api import timestamps
from podling.api.objects import Object, condition, get, with_condition
from podling.client.resource import Resource
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import NOTHING, Delete, Patch, Plan
from podling.controllers.view import View

REQUESTS = Resource("certificates.k8s.io", "v1", "certificatesigningrequests", namespaced=False, kind="CertificateSigningRequest")
PREFIX = "kubernetes.io/"
KUBELET_CLIENT = f"{PREFIX}kube-apiserver-client-kubelet"
NODES = "system:nodes"
USAGES = {"key encipherment", "digital signature", "client auth"}
HOUR = 3600.0
# how long what is in each state stays
KEPT = {"Pending": 24 * HOUR, "Approved": HOUR, "Denied": HOUR, "Failed": HOUR}

Sign = Callable[[bytes, str, Sequence[str], float | None], bytes]
"""(request in PEM, signer without its domain, usages, wished seconds) -> certificate in PEM; raises ValueError."""
Subject = Callable[[bytes], tuple[str, Sequence[str]]]
"""request in PEM -> common name and organizations; raises ValueError."""
May = Callable[[Object, str], bool]
"""(spec of a request, `nodeclient` or `selfnodeclient`) -> whether who asked may create that; a SubjectAccessReview."""


def certificates(sign: Sign, subject: Subject, may: May) -> Controller:
    """The controller that signs with `sign`, and approves what `may` says its asker may have."""

    def reconcile(request: Object, view: View, now: float) -> Plan:
        if (ends := created(request) + KEPT[state(request)] - now) <= 0:
            return Plan([Delete(REQUESTS, request, unchanged=True)])
        if state(request) == "Pending":
            return approve(request, subject, may, now) or Plan(requeue_after=ends)
        if state(request) == "Approved" and not get(request, "status.certificate"):
            return issue(request, sign, now)
        return Plan(requeue_after=ends)

    return Controller("certificates", primary=(Watch(REQUESTS),), reconcile=reconcile)


def state(request: Object) -> str:
    for kind in ("Failed", "Denied", "Approved"):
        if condition(request, kind):
            return kind
    return "Pending"


def created(request: Object) -> float:
    return timestamps.parse(request["metadata"]["creationTimestamp"])


def approve(request: Object, subject: Subject, may: May, now: float) -> Plan | None:
    """A node that joins gets its first certificate, and each node its next; None for everybody else's to decide."""
    spec = request["spec"]
    if spec.get("signerName") != KUBELET_CLIENT:
        return None
    try:
        name, organizations = subject(base64.b64decode(spec["request"]))
    except ValueError:
        return None
    if list(organizations) != [NODES] or not name.startswith("system:node:") or not set(spec.get("usages") or ()) <= USAGES:
        return None
    ways = (("self kubelet client", "selfnodeclient", spec.get("username") == name), ("kubelet client", "nodeclient", True))
    kind = next((kind for kind, way, fits in ways if fits and may(spec, way)), "")
    if not kind:
        return None
    approved = {
        "type": "Approved",
        "status": "True",
        "reason": "AutoApproved",
        "message": f"Auto approving {kind} certificate after SubjectAccessReview.",
    }
    conditions = with_condition(get(request, "status.conditions", []), approved, timestamps.rfc3339(now))
    return Plan([Patch(REQUESTS, request, {"status": {"conditions": conditions}}, subresource="approval", unchanged=True)])


def issue(request: Object, sign: Sign, now: float) -> Plan:
    """Signers of other domains are somebody else's."""
    spec = request["spec"]
    signer = spec.get("signerName", "")
    if not signer.startswith(PREFIX):
        return NOTHING
    status = request.get("status") or {}
    try:
        certificate = sign(
            base64.b64decode(spec["request"]), signer.removeprefix(PREFIX), spec["usages"], spec.get("expirationSeconds")
        )
    except ValueError as error:
        failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": str(error)}
        conditions = with_condition(status.get("conditions"), failed, timestamps.rfc3339(now))
        return Plan(status={**status, "conditions": conditions})
    return Plan(status={**status, "certificate": base64.b64encode(certificate).decode()})
