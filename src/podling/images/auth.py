"""Answering a registry's challenge: Basic (RFC 7617), or a Bearer token from the server that the challenge names.

Source: distribution-spec, "Authentication"; Docker Registry token authentication. Credentials never reach a log or an error.
"""

import asyncio
import base64
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import orjson

from podling.aio.client import HttpClient
from podling.aio.http import Headers
from podling.base.errors import Failed, Unauthorized
from podling.images.model import Credentials

_PARAMETER = re.compile(r'([A-Za-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_CLIENT = "podling"
_ANSWER_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate field; `scheme` in lower case."""

    scheme: str
    parameters: dict[str, str]


def challenges(headers: Headers) -> list[Challenge]:
    """The challenges of a 401 answer, those that we can meet."""
    found = []
    for value in headers.all("www-authenticate"):
        scheme, _, rest = value.partition(" ")
        parameters = {match[1].lower(): match[2] or match[3] or "" for match in _PARAMETER.finditer(rest)}
        if scheme.lower() in ("basic", "bearer"):
            found.append(Challenge(scheme.lower(), parameters))
    return found


class Authorizer:
    """Gives the Authorization field for requests to one registry, and remembers tokens by scope."""

    def __init__(self, client: HttpClient, credentials: Credentials) -> None:
        self._client = client
        self._credentials = credentials
        self._challenge: Challenge | None = None
        self._tokens: dict[str, str] = {}
        self._lock = asyncio.Lock()

    async def field(self, scope: str) -> str:
        """The value of the Authorization field; empty as long as the registry has asked for nothing."""
        if self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        if self._challenge is None:
            return ""
        if self._challenge.scheme == "basic":
            return _basic(self._credentials)
        async with self._lock:
            if scope not in self._tokens:
                self._tokens[scope] = await self._fetch(self._challenge, scope)
        return f"Bearer {self._tokens[scope]}"

    def challenged(self, headers: Headers, scope: str, where: str) -> None:
        """Take in a 401 answer. Raises Unauthorized where the next attempt would be the same again."""
        known = self._challenge
        offered = challenges(headers)
        self._challenge = next((one for one in offered if one.scheme == "bearer"), offered[0] if offered else None)
        if self._challenge is None:
            raise Unauthorized("unauthorized: authentication required")
        if self._challenge.scheme == "basic" and not self._credentials.username:
            raise Unauthorized(f"{where}: no basic auth credentials")
        if known is not None and (self._challenge.scheme == "basic" or scope not in self._tokens):
            raise Unauthorized("unauthorized: authentication required")
        self._tokens.pop(scope, None)

    async def _fetch(self, challenge: Challenge, scope: str) -> str:
        realm = challenge.parameters.get("realm", "")
        service = challenge.parameters.get("service", "")
        if not realm.startswith(("https://", "http://")):
            raise Failed("the registry names no server for its tokens")
        if self._credentials.identity_token:
            return await self._exchange(realm, service, scope)
        query = [("service", service), ("scope", scope)]
        headers = []
        if self._credentials.username:
            query.insert(0, ("account", self._credentials.username))
            headers.append(("Authorization", _basic(self._credentials)))
        separator = "&" if "?" in realm else "?"
        url = realm + separator + urlencode([pair for pair in query if pair[1]], quote_via=quote)
        return await self._token("GET", url, headers, None)

    async def _exchange(self, realm: str, service: str, scope: str) -> str:
        """An identity token for an access token (OAuth 2, RFC 6749 section 6)."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self._credentials.identity_token,
            "client_id": _CLIENT,
            "service": service,
            "scope": scope,
        }
        headers = [("Content-Type", "application/x-www-form-urlencoded")]
        return await self._token("POST", realm, headers, urlencode(form).encode())

    async def _token(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None) -> str:
        response = await self._client.request(method, url, headers, body)
        data = await response.body(_ANSWER_LIMIT)
        if response.status in (401, 403):
            raise Unauthorized(_reason(data) or "unauthorized: authentication required")
        try:
            answer = orjson.loads(data)
            token = answer.get("token") or answer["access_token"]
        except (orjson.JSONDecodeError, KeyError, AttributeError):
            token = None
        if not isinstance(token, str):
            raise Failed(f"the registry's token server answered {response.status} without a token")
        return token


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _reason(data: bytes) -> str:
    """What a token server says about a refusal, which is "details" with Docker Hub and "errors" elsewhere."""
    try:
        answer = orjson.loads(data)
        if details := answer.get("details"):
            return f"unauthorized: {details}"
        error = answer["errors"][0]
        return f"{error['code'].lower().replace('_', ' ')}: {error['message']}"
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
        return ""
