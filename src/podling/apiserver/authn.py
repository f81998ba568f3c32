"""Authentication: client certificates and service-account tokens, tried in the order that the server lists them."""

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podling.aio.clock import Clock
from podling.aio.http import Request
from podling.api.status import unauthorized
from podling.apiserver.identity import ANONYMOUS, Authenticator, User
from podling.base.ids import uid

AUTHENTICATED = "system:authenticated"
ALGORITHM = "ES256"


def bearer(request: Request) -> str:
    """The bearer token that a request carries (RFC 6750); "" for none."""
    scheme, _, token = request.headers.get("authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class ClientCertificates:
    """The verified certificate of the connection: its common name is the user, its organizations the groups."""

    async def authenticate(self, request: Request) -> User | None:
        certificate = request.peer.certificate
        return None if certificate is None else _subject(certificate)


@lru_cache(maxsize=1024)
def _subject(der: bytes) -> User | None:
    subject = x509.load_der_x509_certificate(der).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names:
        return None
    groups = [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return User(str(names[0].value), (*groups, AUTHENTICATED))


class TokenKeys:
    """Signs and checks service-account tokens. Source: Kubernetes enhancement 1205 (bound service account tokens)."""

    def __init__(self, key: bytes, issuer: str, clock: Clock) -> None:
        private = serialization.load_pem_private_key(key, None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        self._private = private
        self._public = private.public_key()
        self.issuer = issuer
        self._clock = clock
        digest = hashes.Hash(hashes.SHA256())
        digest.update(self._public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
        self._key_id = _base64url(digest.finalize())

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public key (RFC 7517)."""
        numbers = self._public.public_numbers()
        place = {name: _base64url(number.to_bytes(32)) for name, number in (("x", numbers.x), ("y", numbers.y))}
        return {"use": "sig", "kty": "EC", "kid": self._key_id, "crv": "P-256", "alg": ALGORITHM, **place}

    def sign(
        self, account: Mapping[str, Any], audiences: Sequence[str], lifetime: float, bound_to: Mapping[str, Mapping[str, Any]]
    ) -> str:
        """A token of a ServiceAccount for `lifetime` seconds, bound to the objects given: `pod`, `node`, `secret`."""
        now = int(self._clock.now())
        metadata = account["metadata"]
        bound: dict[str, Any] = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        for kind, obj in bound_to.items():
            bound[kind] = {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}
        claims = {
            "iss": self.issuer,
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
            "aud": list(audiences),
            "iat": now,
            "nbf": now,
            "exp": now + int(lifetime),
            "jti": uid(),
            "kubernetes.io": bound,
        }
        return jwt.encode(claims, self._private, ALGORITHM, headers={"kid": self._key_id})

    def claims(self, token: str, audiences: Sequence[str]) -> dict[str, Any]:
        """The claims of a token that we signed, that is for one of `audiences`, and whose time has not run out.

        Raises jwt.InvalidTokenError.
        """
        claims: dict[str, Any] = jwt.decode(
            token,
            self._public,
            [ALGORITHM],
            audience=list(audiences),
            issuer=self.issuer,
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp", "sub", "kubernetes.io"]},
        )
        now = self._clock.now()
        if not claims.get("nbf", 0) <= now + 1 or now >= claims["exp"]:
            raise jwt.ExpiredSignatureError("the token is expired")
        return claims


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


Find = Callable[[str, str, str], Mapping[str, Any] | None]


_EXTRA = "authentication.kubernetes.io"
# what a token can be bound to -> its plural, and whether the user's extra tells of it
_BOUND = {"pod": ("pods", True), "node": ("nodes", True), "secret": ("secrets", False)}


class ServiceAccountTokens:
    """Bearer tokens of service accounts. `find(plural, namespace, name)` looks into the watch cache.

    A token dies with the service account, and with the pod, node or secret that it is bound to. The node of a bound pod is told,
    and lives as long as the pod.
    """

    def __init__(self, keys: TokenKeys, find: Find) -> None:
        self._keys = keys
        self._find = find

    async def authenticate(self, request: Request) -> User | None:
        if not (token := bearer(request)):
            return None
        user = self.user(token, [self._keys.issuer])
        if user is None:
            raise unauthorized()
        return user

    def user(self, token: str, audiences: Sequence[str]) -> User | None:
        """The service account that the token proves; None when it proves nothing."""
        try:
            claims = self._keys.claims(token, audiences)
        except jwt.InvalidTokenError:
            return None
        bound = claims["kubernetes.io"]
        namespace, account = bound["namespace"], bound["serviceaccount"]
        if not self._lives("serviceaccounts", namespace, account):
            return None
        extra = {f"{_EXTRA}/credential-id": [f"JTI={claims['jti']}"]} if "jti" in claims else {}
        for kind, (plural, shown) in _BOUND.items():
            if (to := bound.get(kind)) is None:
                continue
            if (kind != "node" or "pod" not in bound) and not self._lives(plural, "" if kind == "node" else namespace, to):
                return None
            if shown:
                extra |= {f"{_EXTRA}/{kind}-name": [to["name"]], f"{_EXTRA}/{kind}-uid": [to["uid"]]}
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(claims["sub"], groups, account["uid"], extra)

    def _lives(self, plural: str, namespace: str, reference: Mapping[str, str]) -> bool:
        found = self._find(plural, namespace, reference["name"])
        return found is not None and found["metadata"]["uid"] == reference["uid"]


async def identify(authenticators: Sequence[Authenticator], request: Request) -> User:
    """The first subject that an authenticator finds, else anonymous. Raises 401 for credentials that are wrong."""
    for authenticator in authenticators:
        if (user := await authenticator.authenticate(request)) is not None:
            return user
    return ANONYMOUS
