"""/openapi/v3: an index, and one document a group version; /openapi/v2: one for all. Made when first asked for, kept by hash."""

import asyncio
import hashlib
from collections.abc import Callable

import orjson

from podling.aio.http import HeaderList, Request, Response
from podling.api import openapi, openapi_v2
from podling.api.kind import Kind
from podling.api.registry import Registry
from podling.api.status import no_such_path, not_acceptable
from podling.apiserver import openapi_protobuf
from podling.apiserver.compress import gzipped

ROOT, V2 = "/openapi/v3", "/openapi/v2"
JSON = "application/json"
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_ASKED = (PROTOBUF, PROTOBUF.replace("v2.v1", "v2@v1"))  # kubectl asks by the older name, which is no media type to answer with

Made = tuple[bytes, str]  # encoded, its hash


class OpenApi:
    """The documents of the kinds that are served."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._documents: dict[str, tuple[tuple[Kind, ...], Made]] = {}  # by path below ROOT; V2's by form; with what they are of

    async def handle(self, request: Request) -> Response:
        """Raises 404, 406."""
        path = request.path.rstrip("/")
        if path == ROOT:
            index = {"paths": {prefix: {"serverRelativeURL": self._url(prefix)} for prefix in self._served()}}
            return Response(200, orjson.dumps(index), [("Content-Type", JSON), ("Cache-Control", "no-cache, private")])
        if path == V2:
            return await self._v2(request)
        prefix = path.removeprefix(f"{ROOT}/")
        if prefix not in self._served():
            raise no_such_path()
        data, digest = self._document(prefix)
        immutable = [("Cache-Control", "public, immutable")] if request.query.get("hash") == digest else []
        return await _answer(request, data, digest, JSON, immutable)

    async def _v2(self, request: Request) -> Response:
        media = _v2_media(request.headers.get("accept"))
        form, encode = ("json", orjson.dumps) if media == JSON else ("protobuf", openapi_protobuf.document)
        kinds = self._all()
        data, digest = await asyncio.to_thread(
            self._made, form, kinds, lambda: encode(openapi_v2.convert(openapi.document(kinds)))
        )
        return await _answer(request, data, digest, media)

    def _all(self) -> list[Kind]:
        groups = self._registry.group_versions().items()
        return [kind for group, versions in groups for version in versions for kind in self._registry.of_group(group, version)]

    def _served(self) -> dict[str, tuple[str, str]]:
        """(group, version) by path below the root: `api/v1`, `apis/apps/v1`."""
        return {
            f"apis/{group}/{version}" if group else f"api/{version}": (group, version)
            for group, versions in self._registry.group_versions().items()
            for version in versions
        }

    def _url(self, prefix: str) -> str:
        """Where the document is; its hash lets clients keep it for ever."""
        return f"{ROOT}/{prefix}?hash={self._document(prefix)[1]}"

    def _document(self, prefix: str) -> Made:
        kinds = self._registry.of_group(*self._served()[prefix])
        return self._made(prefix, kinds, lambda: orjson.dumps(openapi.document(kinds)))

    def _made(self, name: str, kinds: list[Kind], make: Callable[[], bytes]) -> Made:
        """The document, made anew when other kinds are served."""
        known = self._documents.get(name)
        if known is None or known[0] != tuple(kinds):
            data = make()
            known = self._documents[name] = (tuple(kinds), (data, hashlib.sha256(data).hexdigest().upper()))
        return known[1]


def _v2_media(accept: str) -> str:
    """The first entry of Accept that v2 is served as. Raises 406."""
    for entry in (accept or JSON).split(","):
        name = entry.partition(";")[0].strip()
        if name in _ASKED:
            return PROTOBUF
        if name in (JSON, "application/*", "*/*"):
            return JSON
    raise not_acceptable([JSON, PROTOBUF])


async def _answer(request: Request, data: bytes, digest: str, media: str, more: HeaderList | None = None) -> Response:
    """The document with its hash as ETag; 304 for a client that has it."""
    headers: HeaderList = [("Content-Type", media), ("ETag", f'"{digest}"'), ("Vary", "Accept, Accept-Encoding"), *(more or [])]
    if request.headers.get("if-none-match") == f'"{digest}"':
        return Response(304, b"", headers)
    return await gzipped(Response(200, data, headers), request)
