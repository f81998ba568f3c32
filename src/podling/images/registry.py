"""One repository of a registry: manifests and blobs by the OCI distribution protocol.

Source: OCI distribution-spec v1.1. Errors are worded as Docker words them. What comes in is not trusted: sizes and digests are
checked where it is stored.
"""

import asyncio
import contextlib
import ipaddress
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urljoin, urlsplit

import orjson

from podling.aio.client import ClientResponse, ConnectionFailed, HttpClient, RequestBody
from podling.aio.http import HeaderList
from podling.base.errors import Failed, Forbidden, InvalidInput, NotFound, PodlingError, TimedOut, Unauthorized, Unavailable
from podling.images.auth import Authorizer
from podling.images.content import DOCUMENT_LIMIT
from podling.images.model import ANONYMOUS, Credentials, RegistrySettings
from podling.oci import digest as digests
from podling.oci.image import INDEXES, MANIFESTS, Descriptor
from podling.oci.reference import DEFAULT_DOMAIN, Reference

log = logging.getLogger(__name__)

_HUB = "registry-1.docker.io"
_HUB_INDEX = "https://index.docker.io"
_PAGE = 1000  # names, the most that registries give at a time
_ACCEPT = ("Accept", ", ".join((*MANIFESTS, *INDEXES)))
_PIECE = 1 << 20
SILENCE = 60.0
"""Seconds that a blob on its way may make no progress."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a registry may answer; `verify` is false where any certificate will do.

    A `mirror` is asked for what it may have of another registry, without the credentials for that one.
    """

    url: str
    verify: bool = True
    mirror: bool = False


def endpoints(domain: str, settings: RegistrySettings, *, push: bool = False) -> list[Endpoint]:
    """The addresses to try, in order. Mirrors of Docker Hub first, to read; plain HTTP for loopback and what is configured so."""
    if domain == DEFAULT_DOMAIN:
        mirrors = [] if push else [mirror.rstrip("/") for mirror in settings.mirrors]
        return [
            *(Endpoint(url, verify=not is_insecure(urlsplit(url).netloc, settings), mirror=True) for url in mirrors),
            Endpoint(f"https://{_HUB}"),
        ]
    if is_insecure(domain, settings):
        return [Endpoint(f"https://{domain}", verify=False), Endpoint(f"http://{domain}", verify=False)]
    return [Endpoint(f"https://{domain}")]


def is_insecure(domain: str, settings: RegistrySettings) -> bool:
    """Whether a registry may go without a trusted certificate: loopback, or named in the settings by host, host:port, or CIDR."""
    host = urlsplit(f"//{domain}").hostname or ""
    if host == "localhost" or domain in settings.insecure or host in settings.insecure:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    networks = (entry for entry in settings.insecure if "/" in entry)
    return address.is_loopback or any(address in ipaddress.ip_network(entry, strict=False) for entry in networks)


def split_term(term: str) -> tuple[str, str]:
    """The registry that a search term names (by a dot, a port, or localhost), and the word to look for."""
    domain, slash, word = term.partition("/")
    if slash and (domain == "localhost" or "." in domain or ":" in domain):
        return domain, word
    return DEFAULT_DOMAIN, term


async def login(domain: str, credentials: Credentials, settings: RegistrySettings) -> None:
    """Check credentials with a registry. Raises Unauthorized in the registry's words, Unavailable where none answers."""
    async with Repository(Reference(domain, "", ""), credentials, settings) as repository:
        await repository.check()


class Repository:
    """A repository during one transfer. Use as a context manager.

    `push` asks for the right to write. Raises Unauthorized (by the credentials), Forbidden, NotFound,
    Unavailable (no answer), Failed (any other).
    """

    def __init__(self, name: Reference, credentials: Credentials, settings: RegistrySettings, *, push: bool = False) -> None:
        self._name = Reference(name.domain, name.path)
        self._credentials = credentials
        self._settings = settings
        self._scope = f"repository:{name.path}:{'pull,push' if push else 'pull'}" if name.path else ""
        self._push = push
        self._candidates = endpoints(name.domain, settings, push=push)
        self._clients: list[HttpClient] = []
        self._base = ""
        self._authorizer: Authorizer | None = None
        self._mirror = False

    async def __aenter__(self) -> Self:
        try:
            await self._connect()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._close()

    async def _close(self) -> None:
        for client in self._clients:
            await client.close()

    async def _connect(self) -> None:
        """Find the next endpoint that answers /v2/, and what it asks of us."""
        while self._candidates:
            endpoint = self._candidates.pop(0)
            try:
                await self._ping(endpoint)
                return
            except PodlingError as error:
                unreachable = isinstance(error, ConnectionFailed | TimedOut)
                if self._candidates and (unreachable or endpoint.mirror):
                    log.info("%s: %s", endpoint.url, error)
                elif unreachable:
                    raise Unavailable(f'Get "{endpoint.url}/v2/": {_words(error)}') from error
                else:
                    raise

    async def _ping(self, endpoint: Endpoint) -> None:
        tls = await asyncio.to_thread(_tls, endpoint, self._settings) if endpoint.url.startswith("https:") else None
        client = HttpClient(endpoint.url, tls=tls, headers=[("User-Agent", "podling")])
        self._clients.append(client)
        authorizer = Authorizer(client, ANONYMOUS if endpoint.mirror else self._credentials)
        async with await client.request("GET", "/v2/", timeout=15) as response:
            if response.status == 401:
                authorizer.challenged(response.headers, self._scope, f'Get "{endpoint.url}/v2/"')
            elif response.status >= 500:
                raise Failed(f'Get "{endpoint.url}/v2/": unexpected status {response.status}')
        self._base, self._client, self._authorizer, self._mirror = endpoint.url, client, authorizer, endpoint.mirror

    # -- requests

    async def _request(
        self,
        method: str,
        path: str,
        headers: HeaderList | None = None,
        body: Callable[[], RequestBody] = lambda: None,
        *,
        follow: bool = False,
        scope: str = "",
    ) -> ClientResponse:
        """An authorized request; after a 401 once more. `path` is below the repository, or an address that the registry gave."""
        assert self._authorizer is not None
        url = path if "://" in path else f"{self._base}/v2/{self._name.path}/{path}"
        scope = f"{self._scope} {scope}".strip()
        for last in (False, True):
            fields = list(headers or [])
            if (value := await self._authorizer.field(scope)) and self._is_ours(url):
                fields.append(("Authorization", value))
            response = await (self._client.get(url, fields, timeout=60) if follow else self._send(method, url, fields, body()))
            if response.status != 401 or last:
                break
            response.close()
            self._authorizer.challenged(response.headers, scope, f'{method.title()} "{url.partition("?")[0]}"')
        return response

    async def _send(self, method: str, url: str, headers: HeaderList, body: RequestBody) -> ClientResponse:
        return await self._client.request(method, url, headers, body, timeout=SILENCE)

    def _is_ours(self, url: str) -> bool:
        """Credentials go to the registry alone, not to where it sends us."""
        return urlsplit(url)[:2] == urlsplit(self._base)[:2]

    async def check(self) -> None:
        """Whether the registry takes our credentials. Raises Unauthorized."""
        assert self._authorizer is not None
        url = f"{self._base}/v2/"
        try:
            value = await self._authorizer.field("")
        except Unauthorized as error:
            raise Unauthorized(f'Get "{url}": {error.message}') from error
        async with await self._send("GET", url, [("Authorization", value)] if value else [], None) as response:
            if not response.ok:
                status = f"{response.status} {HTTPStatus(response.status).phrase}"
                raise Unauthorized(f"login attempt to {url} failed with status: {status}")

    # -- manifests

    async def manifest(self, reference: str) -> tuple[str, bytes]:
        """(media type, bytes) of the manifest or index under a tag or digest. Raises NotFound in Docker's words.

        What a mirror doesn't give, the next one is asked for, and the registry itself at last.
        """
        while True:
            try:
                return await self._manifest(reference)
            except PodlingError as error:
                if not self._mirror:
                    raise
                log.info("%s: %s", self._base, error)
                await self._connect()

    async def _manifest(self, reference: str) -> tuple[str, bytes]:
        async with await self._request("GET", f"manifests/{reference}", [_ACCEPT], follow=True) as response:
            if not response.ok:
                raise await self._refused(response, self._named(reference))
            data = await response.body(DOCUMENT_LIMIT)
            claimed = response.headers.get("docker-content-digest")
            media_type = response.headers.get("content-type").partition(";")[0].strip()
        for wanted in filter(digests.is_valid, (claimed, reference)):
            if wanted.startswith("sha256:") and digests.of(data) != wanted:
                raise Failed(f"manifest verification failed for digest {wanted}")
        return media_type, data

    async def put_manifest(self, reference: str, media_type: str, data: bytes) -> None:
        """Store a manifest under a tag or digest."""
        headers = [("Content-Type", media_type)]
        async with await self._request("PUT", f"manifests/{reference}", headers, lambda: data) as response:
            if not response.ok:
                raise await self._refused(response, self._named(reference))

    async def tags(self) -> list[str]:
        """All tags of the repository, in the registry's order."""
        found: list[str] = []
        path = "tags/list"
        while path:
            async with await self._request("GET", path, follow=True) as response:
                if not response.ok:
                    raise await self._refused(response, self._name)
                found += await _listed(response, "tags")
                path = _next_page(response, self._base)
        return found

    # -- the registry as a whole

    async def search(self, term: str, limit: int) -> list[dict[str, Any]]:
        """What the registry's index finds, in its words (`name`, `description`, `star_count`, ...).

        A registry without an index: the names in its catalogue that hold the word.
        """
        index = _HUB_INDEX if self._name.domain == DEFAULT_DOMAIN else self._base
        url = f"{index}/v1/search?{urlencode({'q': term, 'n': limit})}"
        async with await self._request("GET", url, follow=True) as response:
            if response.ok:
                return (await _listed(response, "results"))[:limit]
        names = [name async for name in self._catalogue() if term in name]
        return [{"name": f"{self._name.domain}/{name}"} for name in names[:limit]]

    async def _catalogue(self) -> AsyncIterator[str]:
        path = f"{self._base}/v2/_catalog?n={_PAGE}"
        while path:
            async with await self._request("GET", path, follow=True, scope="registry:catalog:*") as response:
                if not response.ok:
                    raise await self._refused(response, self._name)
                for name in await _listed(response, "repositories"):
                    yield name
                path = _next_page(response, self._base)

    def _named(self, reference: str) -> Reference:
        return self._name.with_digest(reference) if digests.is_valid(reference) else self._name.with_tag(reference)

    # -- blobs

    async def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        async with await self._request("HEAD", f"blobs/{digest}") as response:
            if response.status in (401, 403):
                raise await self._refused(response, self._name)
            return response.ok

    @contextlib.asynccontextmanager
    async def blob(self, blob: Descriptor, offset: int = 0) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """(where it begins, pieces) of a blob, from `offset` where the registry can, else from its begin."""
        headers = [("Range", f"bytes={offset}-")] if offset else []
        async with await self._request("GET", f"blobs/{blob['digest']}", headers, follow=True) as response:
            if not response.ok:
                raise await self._refused(response, self._name)
            resumed = response.status == 206 and response.headers.get("content-range").startswith(f"bytes {offset}-")
            if response.status == 206 and not resumed:
                raise Failed(f"blob {blob['digest']}: the registry sent another part than was asked for")
            yield (offset if resumed else 0), gathered(response.stream(SILENCE))

    async def upload(
        self,
        pieces: Callable[[], AsyncIterator[bytes]],
        digest: Callable[[], str],
        *,
        size: int | None = None,
        mount: tuple[str, str] | None = None,
    ) -> bool:
        """Bring a blob: `pieces` gives its bytes, of which there are `size` where that is known, and after them `digest` theirs.

        False where the registry could take the blob `mount` (digest, repository) from that other repository instead.
        """
        location = await self._begin_upload(mount)
        if not location:
            return False
        headers = [("Content-Type", "application/octet-stream")]
        if size is not None:
            headers.append(("Content-Length", str(size)))
        async with await self._request("PATCH", location, headers, pieces) as response:
            if not response.ok:
                raise await self._refused(response, self._name)
            location = self._location(response)
        separator = "&" if "?" in location else "?"
        async with await self._request("PUT", location + separator + urlencode({"digest": digest()})) as response:
            if not response.ok:
                raise await self._refused(response, self._name)
        return True

    async def _begin_upload(self, mount: tuple[str, str] | None) -> str:
        """Where to send the bytes; empty where the registry had them elsewhere."""
        query = "?" + urlencode({"mount": mount[0], "from": mount[1]}) if mount else ""
        scope = f"repository:{mount[1]}:pull" if mount else ""
        async with await self._request("POST", f"blobs/uploads/{query}", scope=scope) as response:
            if response.status == 201 and mount:
                return ""
            if response.status != 202:
                raise await self._refused(response, self._name)
            return self._location(response)

    def _location(self, response: ClientResponse) -> str:
        location = response.headers.get("location")
        if not location:
            raise Failed(f"the registry of {self._name.familiar_name} does not say where to upload to")
        return urljoin(self._base + "/", location)

    # -- errors

    async def _refused(self, response: ClientResponse, what: Reference) -> PodlingError:
        """The error that an answer means, in Docker's words."""
        data = b"" if response.status == 404 and not response.headers.get("content-type") else await response.body(1 << 20)
        code, reason = _error(data)
        if code == "DENIED" or response.status in (401, 403):
            # A 401 despite a token: who we are is known, and it is not enough.
            reason = reason if code == "DENIED" else "denied: requested access to the resource is denied"
            return Forbidden(reason) if self._push else _denied(what, reason)
        if code == "NAME_UNKNOWN":
            return NotFound(f"repository {what.familiar_name} not found: {reason}")
        if response.status == 404 and (what.tag or what.digest):
            return NotFound(f"manifest for {what.familiar} not found: {reason or 'manifest unknown: manifest unknown'}")
        if response.status == 404:
            return NotFound(reason or "blob unknown: blob unknown to registry")
        if response.status == 429:
            return Unavailable(reason or "toomanyrequests: too many requests")
        return Failed(reason or f"unexpected status from the registry of {what.familiar_name}: {response.status}")


def _denied(what: Reference, reason: str) -> NotFound:
    text = f"pull access denied for {what.familiar_name}, repository does not exist or may require 'docker login'"
    return NotFound(f"{text}: {reason}")


def _error(data: bytes) -> tuple[str, str]:
    """(code, "code in words: message") of an error document; empty where there is none."""
    try:
        error = orjson.loads(data)["errors"][0]
        code, message = str(error["code"]).upper(), str(error.get("message") or "")
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
        return "", ""
    words = code.lower().replace("_", " ")
    return code, f"{words}: {message or words}"


async def _listed(response: ClientResponse, member: str) -> list[Any]:
    """A list in the answer, empty where it is missing. Raises Failed for what is no such document."""
    try:
        found = orjson.loads(await response.body(DOCUMENT_LIMIT)).get(member) or []
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise Failed(f"the registry answers with no document of {member}") from error
    if not isinstance(found, list):
        raise Failed(f"the registry answers with {member} that are no list")
    return found


def _next_page(response: ClientResponse, base: str) -> str:
    """The address in a Link field with rel="next" (RFC 8288); empty on the last page."""
    target, _, parameters = response.headers.get("link").partition(">")
    return urljoin(base + "/", target.lstrip("<")) if 'rel="next"' in parameters else ""


def _tls(endpoint: Endpoint, settings: RegistrySettings) -> ssl.SSLContext:
    """Trust as Docker does: the system's authorities, and *.crt of certs.d/<host:port>; *.cert with *.key identify us."""
    context = ssl.create_default_context()
    directory = Path(settings.certificates, urlsplit(endpoint.url).netloc)
    for authority in sorted(directory.glob("*.crt")):
        with _naming(authority):
            context.load_verify_locations(authority)
    for certificate in sorted(directory.glob("*.cert")):
        key = certificate.with_suffix(".key")
        if not key.exists():
            hint = "CA certificates must use the extension .crt"
            raise InvalidInput(f"missing key {key.name} for client certificate {certificate.name}. {hint}")
        with _naming(certificate):
            context.load_cert_chain(certificate, key)
    if not endpoint.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        raise InvalidInput(f"{path} is no usable certificate: {error.strerror or error}") from error


_UNKNOWN_AUTHORITY = (18, 19, 20, 21)  # X509_V_ERR_*: self-signed, in the chain, no issuer, unable to verify


def _words(error: PodlingError) -> str:
    """Why a registry can't be reached, as Docker says it."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        unknown = cause.verify_code in _UNKNOWN_AUTHORITY
        words = "certificate signed by unknown authority" if unknown else cause.verify_message
        return f"tls: failed to verify certificate: x509: {words}"
    if isinstance(cause, ssl.SSLError) and cause.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return "http: server gave HTTP response to HTTPS client"
    return error.message


async def gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of about a megabyte, so that each is worth a thread's while; all that came before a break, too."""
    pending: list[bytes] = []
    size = 0
    broken: ConnectionFailed | None = None
    try:
        async for piece in pieces:
            pending.append(piece)
            size += len(piece)
            if size >= _PIECE:
                yield b"".join(pending)
                pending, size = [], 0
    except ConnectionFailed as error:
        broken = error
    if pending:
        yield b"".join(pending)
    if broken:
        raise broken
