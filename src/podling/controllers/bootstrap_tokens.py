"""Bootstrap tokens whose time is over are deleted. Source: Kubernetes documentation "Bootstrap Tokens"."""

import base64
import binascii

from podling.api import timestamps
from podling.api.objects import Object, get
from podling.client.resource import SECRETS
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import NOTHING, Delete, Plan

TYPE = "bootstrap.kubernetes.io/token"


def reconcile(secret: Object, view: object, now: float) -> Plan:
    if secret.get("type") != TYPE or not (ends := ends_at(secret)):
        return NOTHING
    if ends <= now:
        return Plan([Delete(SECRETS, secret, unchanged=True)])
    return Plan(requeue_after=ends - now)


def ends_at(secret: Object) -> float:
    """Unix seconds; 0 for a token without an end, or whose end can't be read."""
    try:
        return timestamps.parse(base64.b64decode(get(secret, "data.expiration", "")).decode())
    except (binascii.Error, ValueError):
        return 0.0


BOOTSTRAP_TOKENS = Controller("bootstrap-tokens", primary=(Watch(SECRETS, fields=f"type={TYPE}"),), reconcile=reconcile)
