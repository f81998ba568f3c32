"""Who asks: certificates and tokens."""

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from podling.aio.http import Headers, Peer, Query, Request
from podling.api.status import ApiError
from podling.apiserver.authn import ClientCertificates, ServiceAccountTokens, TokenKeys, identify
from podling.apiserver.identity import ANONYMOUS
from podling.apiserver.pki import Authority, expires_at, key_pem, new_key
from podling.testing.clock import ManualClock

NOW = 1_700_000_000.0
ISSUER = "https://kubernetes.default.svc"
ACCOUNT = {"metadata": {"namespace": "team", "name": "robot", "uid": "u1"}}
POD = {"metadata": {"namespace": "team", "name": "p", "uid": "u2"}}


def request(*, certificate=None, token=None):
    headers = Headers([("Authorization", f"Bearer {token}")] if token else [])
    return Request("GET", "/", Query(), headers, None, Peer(certificate=certificate))


class Accounts:
    def __init__(self):
        self.clock = ManualClock(NOW)
        self.keys = TokenKeys(key_pem(new_key()), ISSUER, self.clock)
        self.objects = {("serviceaccounts", "team", "robot"): ACCOUNT, ("pods", "team", "p"): POD}
        self.tokens = ServiceAccountTokens(self.keys, lambda *key: self.objects.get(key))

    async def who(self, token):
        return await identify([self.tokens], request(token=token))


@pytest.fixture
def accounts():
    return Accounts()


def der(pair):
    return x509.load_pem_x509_certificate(pair.certificate).public_bytes(serialization.Encoding.DER)


async def test_a_certificate_names_the_user_and_its_groups():
    pair = Authority.create("ca", NOW).issue("ann", NOW, organizations=["dev", "ops"])
    user = await ClientCertificates().authenticate(request(certificate=der(pair)))
    assert (user.name, user.groups) == ("ann", ("dev", "ops", "system:authenticated"))


async def test_without_credentials_one_is_anonymous(accounts):
    assert await identify([ClientCertificates(), accounts.tokens], request()) is ANONYMOUS


async def test_a_token_proves_the_service_account(accounts):
    user = await accounts.who(accounts.keys.sign(ACCOUNT, [ISSUER], 3600, {"pod": POD}))
    assert user.name == "system:serviceaccount:team:robot"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated")
    assert user.extra["authentication.kubernetes.io/pod-name"] == ["p"]


@pytest.mark.parametrize("how", ["expired", "account deleted", "pod replaced", "other audience", "other key", "none", "garbage"])
async def test_a_token_that_proves_nothing_is_refused(accounts, how):
    token = accounts.keys.sign(ACCOUNT, [ISSUER if how != "other audience" else "vault"], 3600, {"pod": POD})
    match how:
        case "expired":
            await accounts.clock.advance(3601)
        case "account deleted":
            del accounts.objects["serviceaccounts", "team", "robot"]
        case "pod replaced":
            accounts.objects["pods", "team", "p"] = {"metadata": {**POD["metadata"], "uid": "another"}}
        case "other key":
            token = TokenKeys(key_pem(new_key()), ISSUER, accounts.clock).sign(ACCOUNT, [ISSUER], 3600, {})
        case "none":
            claims = jwt.decode(token, options={"verify_signature": False})
            token = jwt.encode(claims, None, "none")
        case "garbage":
            token = "garbage"
    with pytest.raises(ApiError) as error:
        await accounts.who(token)
    assert error.value.code == 401


def test_keys_are_for_their_owner_only(tmp_path):
    authority = Authority.open(tmp_path, "ca", "kubernetes", NOW)
    authority.leaf(tmp_path, "server", "kube-apiserver", NOW, names=["localhost", "127.0.0.1"])
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": 0o600}


def test_a_certificate_is_renewed_when_two_thirds_of_its_life_are_over(tmp_path):
    authority = Authority.open(tmp_path, "ca", "kubernetes", NOW)
    first = authority.leaf(tmp_path, "server", "s", NOW, names=["a"])
    life = expires_at(first.certificate) - NOW
    assert authority.leaf(tmp_path, "server", "s", NOW + life * 0.6, names=["a"]) == first
    assert authority.leaf(tmp_path, "server", "s", NOW + life * 0.7, names=["a"]) != first
    assert authority.leaf(tmp_path, "server", "s", NOW, names=["a", "10.0.0.1"]) != first


def test_an_authority_is_found_again_and_another_ones_leaf_is_replaced(tmp_path):
    first = Authority.open(tmp_path, "ca", "kubernetes", NOW)
    assert Authority.open(tmp_path, "ca", "kubernetes", NOW).pair == first.pair
    leaf = first.leaf(tmp_path, "server", "s", NOW)
    assert Authority.create("kubernetes", NOW).leaf(tmp_path, "server", "s", NOW) != leaf
