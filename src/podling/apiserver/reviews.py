"""Questions about identity and rights: answered and not kept.

Source: authentication.k8s.io/v1 and authorization.k8s.io/v1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from podling.aio.clock import Clock
from podling.api.authentication.reviews import TOKEN_REQUEST
from podling.api.field import quote
from podling.api.objects import get
from podling.api.status import bad_request, conflict, invalid, not_found
from podling.api.timestamps import rfc3339
from podling.apiserver.authn import ServiceAccountTokens, TokenKeys
from podling.apiserver.authn_bootstrap import BootstrapTokens
from podling.apiserver.call import Call
from podling.apiserver.identity import Attributes, Authorizer, User, user_info

Object = dict[str, Any]

BOUND = {"Pod": "pods", "Node": "nodes", "Secret": "secrets"}
"""What a token can be bound to."""


class Reviews:
    """Answers each create-only kind; handlers take the decoded, defaulted and validated object and give the answer."""

    def __init__(
        self,
        authorizer: Authorizer,
        tokens: ServiceAccountTokens,
        keys: TokenKeys,
        clock: Clock,
        bootstrap: BootstrapTokens | None = None,
    ) -> None:
        self._authorizer = authorizer
        self._tokens = tokens
        self._keys = keys
        self._clock = clock
        self._bootstrap = bootstrap
        self.answers = {
            ("", "serviceaccounts", "token"): self.service_account_token,
            ("authentication.k8s.io", "tokenreviews", ""): self.token_review,
            ("authentication.k8s.io", "selfsubjectreviews", ""): self.self_subject_review,
            ("authorization.k8s.io", "subjectaccessreviews", ""): self.subject_access_review,
            ("authorization.k8s.io", "localsubjectaccessreviews", ""): self.local_subject_access_review,
            ("authorization.k8s.io", "selfsubjectaccessreviews", ""): self.self_subject_access_review,
            ("authorization.k8s.io", "selfsubjectrulesreviews", ""): self.self_subject_rules_review,
        }

    async def token_review(self, call: Call, review: Object) -> Object:
        spec = review.get("spec") or {}
        audiences = spec.get("audiences") or [self._keys.issuer]
        token = spec.get("token") or ""
        user = self._tokens.user(token, audiences)
        if user is None and self._bootstrap is not None and self._keys.issuer in audiences:
            user, audiences = self._bootstrap.user(token), [self._keys.issuer]
        if user is None:
            return {**review, "status": {"user": {}, "error": "invalid bearer token"}}
        good = [audience for audience in audiences if self._is_for(token, audience)] or audiences
        return {**review, "status": {"authenticated": True, "user": user_info(user), "audiences": good}}

    def _is_for(self, token: str, audience: str) -> bool:
        return self._tokens.user(token, [audience]) is not None

    async def self_subject_review(self, call: Call, review: Object) -> Object:
        return {**review, "status": {"userInfo": user_info(call.attributes.user)}}

    async def subject_access_review(self, call: Call, review: Object) -> Object:
        spec = review["spec"]
        if not spec.get("user") and not spec.get("groups"):
            raise bad_request('spec.user: Invalid value: "": at least one of user or group must be specified')
        extra = spec.get("extra") or {}
        return self._decided(review, User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra))

    async def local_subject_access_review(self, call: Call, review: Object) -> Object:
        wanted = review["spec"].get("resourceAttributes") or {}
        if wanted.get("namespace") != call.namespace:
            raise bad_request("spec.resourceAttributes.namespace: Invalid value: must match metadata.namespace")
        return await self.subject_access_review(call, review)

    async def self_subject_access_review(self, call: Call, review: Object) -> Object:
        return self._decided(review, call.attributes.user)

    async def self_subject_rules_review(self, call: Call, review: Object) -> Object:
        rules = self._authorizer.rules(call.attributes.user, review["spec"].get("namespace", ""))
        status = {
            "resourceRules": [
                _only(rule, ("verbs", "apiGroups", "resources", "resourceNames")) for rule in rules if "resources" in rule
            ],
            "nonResourceRules": [_only(rule, ("verbs", "nonResourceURLs")) for rule in rules if "nonResourceURLs" in rule],
            "incomplete": False,
        }
        return {**review, "status": status}

    async def service_account_token(self, call: Call, request: Object) -> Object:
        """POST serviceaccounts/NAME/token"""
        account = call.storage.of(("", "serviceaccounts")).get(f"{call.namespace}/{call.attributes.name}")
        if account is None:
            raise not_found("serviceaccounts", call.attributes.name)
        TOKEN_REQUEST.default(request)
        if errors := TOKEN_REQUEST.errors(request):
            raise invalid(TOKEN_REQUEST.kind, call.attributes.name, errors, TOKEN_REQUEST.group)
        spec = request["spec"]
        audiences = spec.get("audiences") or [self._keys.issuer]
        lifetime = spec["expirationSeconds"]
        token = self._keys.sign(account.object, audiences, lifetime, self._bound(call, spec.get("boundObjectRef")))
        ends = rfc3339(int(self._clock.now()) + lifetime)
        return {
            **request,
            "spec": {**spec, "audiences": audiences},
            "status": {"token": token, "expirationTimestamp": ends},
        }

    def _bound(self, call: Call, reference: Mapping[str, str] | None) -> dict[str, Object]:
        """What a token is bound to, a pod's node beside it. Raises 400 for other kinds, 404 when gone, 409 for another uid."""
        if not reference:
            return {}
        kind, name = reference.get("kind", ""), reference.get("name", "")
        if kind not in BOUND:
            version = reference.get("apiVersion", "")
            raise bad_request(f"cannot bind token for serviceaccount to object of type {version}, Kind={kind}")
        plural = BOUND[kind]
        found = call.storage.of(("", plural)).get(name if kind == "Node" else f"{call.namespace}/{name}")
        if found is None:
            raise not_found(plural, name)
        obj = found.object
        given, known = reference.get("uid"), obj["metadata"]["uid"]
        if given and given != known:
            words = (
                f"the UID in the bound object reference ({given}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
            raise conflict(plural, name, "", words)
        bound = {kind.lower(): obj}
        if kind == "Pod":
            self._check_account(call, obj)
            if (node := call.storage.of(("", "nodes")).get(get(obj, "spec.nodeName", ""))) is not None:
                bound["node"] = node.object
        return bound

    def _check_account(self, call: Call, pod: Object) -> None:
        account = get(pod, "spec.serviceAccountName", "default")
        if account != call.attributes.name:
            name = quote(call.attributes.name)
            raise bad_request(f"cannot bind token for serviceaccount {name} to pod running with different serviceaccount name.")

    def _decided(self, review: Object, user: User) -> Object:
        decision = self._authorizer.authorize(attributes_of(review["spec"], user))
        status = {"allowed": decision.allowed}
        return {**review, "status": {**status, "reason": decision.reason} if decision.reason else status}


def attributes_of(spec: Object, user: User) -> Attributes:
    """What a review asks about."""
    if (asked := spec.get("resourceAttributes")) is not None:
        names = ("group", "version", "resource", "subresource", "namespace", "name")
        return Attributes(user, asked.get("verb", ""), "", **{name: asked.get(name, "") for name in names})
    path = spec.get("nonResourceAttributes") or {}
    return Attributes(user, path.get("verb", ""), path.get("path", ""))


def _only(rule: Mapping[str, Any], names: Sequence[str]) -> Object:
    return {name: rule[name] for name in names if name in rule}
