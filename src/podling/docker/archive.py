"""Files in and out of containers, as `docker cp` moves them. Source: Docker Engine API, "archive"."""

import base64
import stat as modes

import orjson

from podling.aio.http import HeaderList, Response
from podling.base.errors import InvalidInput
from podling.build import archives
from podling.docker import timestamps
from podling.docker.answers import empty
from podling.docker.daemon import Daemon
from podling.docker.routing import Call, Routes
from podling.engine.container import Container
from podling.engine.types import PathStat

routes = Routes()
# Go's os.FileMode: permissions as in st_mode, kinds as single high bits.
_KIND_BITS = {
    modes.S_IFDIR: 1 << 31,
    modes.S_IFLNK: 1 << 27,
    modes.S_IFBLK: 1 << 26,
    modes.S_IFIFO: 1 << 25,
    modes.S_IFSOCK: 1 << 24,
    modes.S_IFCHR: 1 << 26 | 1 << 21,
}
_SET_BITS = {modes.S_ISUID: 1 << 23, modes.S_ISGID: 1 << 22, modes.S_ISVTX: 1 << 20}


@routes.head("/containers/{name}/archive")
async def stat(call: Call, daemon: Daemon) -> Response:
    return Response(200, b"", _headers(await _container(call, daemon).archive_stat(_path(call))))


@routes.get("/containers/{name}/archive")
async def get(call: Call, daemon: Daemon) -> Response:
    container = _container(call, daemon)
    found, archive = await container.archive_get(_path(call))
    container.tell("archive-path")
    return Response(200, archive, [("Content-Type", "application/x-tar"), *_headers(found)])


@routes.put("/containers/{name}/archive")
async def put(call: Call, daemon: Daemon) -> Response:
    keep = call.flag("noOverwriteDirNonDir")
    container = _container(call, daemon)
    stream = archives.plain(call.request.stream())
    await container.archive_put(_path(call), stream, overwrite=not keep, own=call.flag("copyUIDGID"))
    container.tell("extract-to-dir")
    return empty(200)


def _container(call: Call, daemon: Daemon) -> Container:
    return daemon.engine.containers.find(call.path["name"])


def _path(call: Call) -> str:
    path = call.query.get("path")
    if not path:
        raise InvalidInput("missing parameter: path cannot be empty")
    return path


def _headers(found: PathStat) -> HeaderList:
    shown = {
        "name": found.name,
        "size": found.size,
        "mode": go_mode(found.mode),
        "mtime": timestamps.from_seconds(found.mtime),
        "linkTarget": found.link_target,
    }
    return [("X-Docker-Container-Path-Stat", base64.b64encode(orjson.dumps(shown)).decode())]


def go_mode(mode: int) -> int:
    """st_mode as Go's os.FileMode."""
    extra = sum(bit for flag, bit in _SET_BITS.items() if mode & flag)
    return (mode & 0o777) | extra | _KIND_BITS.get(modes.S_IFMT(mode), 0)
