"""What is fetched by its address: a file that ADD names, or a whole context."""

import asyncio
import hashlib
import io
import os
import posixpath
import tarfile
from collections.abc import AsyncIterable, AsyncIterator
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from podling.aio.client import HttpClient
from podling.base.errors import Failed, InvalidInput, Unsupported
from podling.build import archives

SCHEMES = ("http://", "https://")
_DOCKERFILE_LIMIT = 1 << 20
_SECONDS = 60.0  # until the server answers


def is_remote(path: str) -> bool:
    """Whether a source is an address, of any kind."""
    return path.startswith((*SCHEMES, "ftp://", "git@", "git://", "ssh://"))


def file_name(url: str) -> str:
    """The last part of the address's path, empty where it ends in a slash. Raises Unsupported for other than http and https."""
    if not url.startswith(SCHEMES) or urlsplit(url).path.endswith(".git"):
        raise Unsupported(f"fetching {url} is not supported: only files by http and https are")
    name = posixpath.basename(unquote(urlsplit(url).path))
    return "" if name in (".", "..") or "\0" in name else name


async def fetch(url: str, path: Path, checksum: str = "") -> None:
    """The file at `url` as a new file `path`, of mode 0600 and with the time that the server tells.

    `checksum` is `sha256:...`. Raises Failed in Docker's words, InvalidInput where the checksum differs or is none.
    """
    if checksum and not checksum.startswith("sha256:"):
        raise InvalidInput(f"unsupported checksum: {checksum}: use sha256:<hex>")
    async with HttpClient(headers=[("User-Agent", "podling")]) as client:
        async with await client.get(url, timeout=_SECONDS) as response:
            if not response.ok:
                raise Failed(f"failed to GET {url} with status {response.status} {_phrase(response.status)}")
            total = await _save(response.stream(), path)
            if modified := _seconds(response.headers.get("last-modified")):
                os.utime(path, (modified, modified))
    if checksum and checksum != total:
        raise InvalidInput(f"digest mismatch {total}: {checksum}")


async def _save(pieces: AsyncIterable[bytes], path: Path) -> str:
    """Write a new file; its digest."""
    total = hashlib.sha256()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        async for piece in pieces:
            total.update(piece)
            await asyncio.to_thread(file.write, piece)
    return f"sha256:{total.hexdigest()}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _seconds(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0


async def context(url: str, folder: Path, dockerfile: str) -> AsyncIterator[bytes]:
    """The context at `url`, as a tar: an archive, or one file, which then is the Dockerfile. `folder` is for what is fetched."""
    file_name(url)
    await fetch(url, folder / "remote")
    if await asyncio.to_thread(archives.is_archive, folder, "remote"):
        return archives.pieces(folder, "remote")
    return _alone(await asyncio.to_thread(_text, folder / "remote", url), dockerfile)


def _text(path: Path, url: str) -> bytes:
    with path.open("rb") as file:
        text = file.read(_DOCKERFILE_LIMIT + 1)
    if len(text) > _DOCKERFILE_LIMIT or b"\0" in text:
        raise InvalidInput(f"unable to detect the kind of {url}: neither an archive nor a Dockerfile")
    return text


async def _alone(text: bytes, name: str) -> AsyncIterator[bytes]:
    """A tar of one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    yield packed.getvalue()
