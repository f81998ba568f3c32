"""Requests over HTTP/1.1 with TLS: client certificate or bearer token."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from podling.aio.client import ClientResponse, HttpClient
from podling.aio.http import HeaderList
from podling.client.kubeconfig import Access
from podling.client.transport import Reply

TOKEN_SECONDS = 60.0  # how long a token that was read from a file is used; whoever writes it renews much earlier than it ends


class HttpTransport:
    """Speaks to the server of `access` over pooled connections."""

    def __init__(self, access: Access, *, user_agent: str = "podling") -> None:
        self._tls = access.ssl_context()
        self._http = HttpClient(access.server, tls=self._tls, server_name=access.server_name or None)
        self._common = [("user-agent", user_agent)]
        self._token = _Token(access.token, access.token_file)

    def renew(self, access: Access) -> None:
        """Take the certificate of `access`, in connections from now on."""
        if self._tls is not None:
            access.load_certificate(self._tls)

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, headers: HeaderList | None = None, body: bytes = b""
    ) -> Reply:
        target = f"{path}?{urlencode(query, quote_via=quote)}" if query else path
        fields = [*self._common, *await self._token.header(), *(headers or [])]
        response = await self._http.request(method, target, fields, body or None)
        return Reply(response.status, response.headers, response.stream(), _closer(response))

    async def close(self) -> None:
        await self._http.close()


class _Token:
    """The bearer token: a fixed one, or that of a file, which is read again now and then."""

    def __init__(self, fixed: str, file: Path | None) -> None:
        self._value = fixed
        self._file = file
        self._read_at = float("-inf")

    async def header(self) -> HeaderList:
        now = asyncio.get_running_loop().time()
        if self._file is not None and now - self._read_at > TOKEN_SECONDS:
            self._value = (await asyncio.to_thread(self._file.read_text)).strip()
            self._read_at = now
        return [("authorization", f"Bearer {self._value}")] if self._value else []


def _closer(response: ClientResponse) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        response.close()

    return close
