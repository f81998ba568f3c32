"""Volume drivers by Docker's plugin protocol: JSON by POST, over a unix socket or TCP.

A plugin is found by its name: NAME.sock or NAME/NAME.sock below /run/docker/plugins, NAME.spec (an address) or NAME.json below
/etc/docker/plugins and /usr/lib/docker/plugins. What was asked of its volumes is kept here, their data is the plugin's.
Source: Docker Engine, "Docker Plugin API", "Docker volume plugins".
"""

import hashlib
import http.client
import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from podling.base.errors import Failed, NotFound, PodlingError, Unavailable
from podling.base.files import write_atomic
from podling.volumes.base import Volume

_SOCKETS = (Path("/run/docker/plugins"),)
_SPECS = (Path("/etc/docker/plugins"), Path("/usr/lib/docker/plugins"))
_TYPE = "application/vnd.docker.plugins.v1.2+json"
_TIMEOUT = 30.0
_MOST = 16 << 20  # bytes of an answer


class Plugins:
    """All plugins of the host. `facts` is the directory for what was asked of their volumes."""

    def __init__(self, facts: Path, sockets: Iterable[Path] = _SOCKETS, specs: Iterable[Path] = _SPECS) -> None:
        self._facts = facts
        self._sockets = tuple(sockets)
        self._specs = tuple(specs)

    def find(self, name: str) -> "PluginDriver":
        """The volume driver called `name`. Raises NotFound where there is no such plugin or it is none for volumes."""
        address = self._address(name)
        if address is None:
            raise NotFound(f'plugin "{name}" not found')
        driver = PluginDriver(name, address, self._facts)
        if "VolumeDriver" not in driver.activate():
            raise NotFound(f'plugin "{name}" does not implement "VolumeDriver" interface')
        return driver

    def _address(self, name: str) -> str | None:
        if "/" in name or name.startswith("."):
            return None
        for directory in self._sockets:
            for path in (directory / f"{name}.sock", directory / name / f"{name}.sock"):
                if path.is_socket():
                    return f"unix://{path}"
        for directory in self._specs:
            for path in (directory / f"{name}.spec", directory / name / f"{name}.spec"):
                if path.is_file():
                    return path.read_text().strip()
            if (path := directory / f"{name}.json").is_file():
                return str(orjson.loads(path.read_bytes())["Addr"])
        return None

    def kept(self) -> list[Volume]:
        """All volumes that were made by plugins, whether those are there now or not."""
        return [_volume(orjson.loads(file.read_bytes())) for file in self._facts.glob("*/*.json")]


class PluginDriver:
    """The driver behind one plugin."""

    def __init__(self, name: str, address: str, facts: Path) -> None:
        self.name = name
        self._address = address
        self._facts = facts / name

    def activate(self) -> list[str]:
        """What the plugin does."""
        return list(self._call("Plugin.Activate").get("Implements") or ())

    def create(self, volume: Volume) -> Volume:
        self._ask("create", volume, "VolumeDriver.Create", {"Opts": dict(volume.options)})
        made = replace(volume, path=self._path(volume))
        self._facts.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self._file(volume), orjson.dumps(_facts(made)), 0o600)
        return made

    def _path(self, volume: Volume) -> Path:
        """Where it is mounted; empty before that, for most plugins."""
        return Path(self._ask("get", volume, "VolumeDriver.Path").get("Mountpoint") or "")

    def _file(self, volume: Volume) -> Path:
        return self._facts / f"{volume.name}.json"

    def remove(self, volume: Volume) -> None:
        if self._file(volume).exists():
            self._ask("remove", volume, "VolumeDriver.Remove")
            self._file(volume).unlink(missing_ok=True)

    def mount(self, volume: Volume) -> Path:
        answer = self._ask("mount", volume, "VolumeDriver.Mount", {"ID": _user(volume)})
        if not answer.get("Mountpoint"):
            raise Failed(f"mount {volume.name}: VolumeDriver.Mount: the plugin gave no mount point")
        return Path(answer["Mountpoint"])

    def unmount(self, volume: Volume) -> None:
        if self._file(volume).exists():
            self._ask("unmount", volume, "VolumeDriver.Unmount", {"ID": _user(volume)})

    def list(self) -> list[Volume]:
        return [_volume(orjson.loads(file.read_bytes())) for file in self._facts.glob("*.json")]

    # -- the wire

    def _ask(self, action: str, volume: Volume, method: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._call(method, {"Name": volume.name, **(fields or {})})
        except PodlingError as error:
            raise type(error)(f"{action} {volume.name}: {error.message}") from error
        if answer.get("Err"):
            raise Failed(f"{action} {volume.name}: {method}: {answer['Err']}")
        return answer

    def _call(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Raises Unavailable where the plugin can't be reached, Failed for an answer that is none."""
        connection = _connection(self._address)
        try:
            connection.request("POST", f"/{method}", orjson.dumps(body or {}), {"Accept": _TYPE, "Content-Type": _TYPE})
            response = connection.getresponse()
            data = response.read(_MOST)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f'error while calling plugin "{self.name}": {method}: {error}') from error
        finally:
            connection.close()
        return self._decoded(method, response.status, data)

    def _decoded(self, method: str, status: int, data: bytes) -> dict[str, Any]:
        try:
            answer = orjson.loads(data or b"{}")
        except orjson.JSONDecodeError:
            answer = {"Err": data[:200].decode(errors="replace")}
        if not isinstance(answer, dict) or (status >= 400 and not answer.get("Err")):
            raise Failed(f"{method}: the plugin answered {status}")
        return answer


def _connection(address: str) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    if parts.scheme == "unix":
        return _UnixConnection(parts.path)
    if parts.scheme in ("tcp", "http"):
        return http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 80, timeout=_TIMEOUT)
    raise Failed(f"unsupported plugin address: {address}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("plugin", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


def _user(volume: Volume) -> str:
    """Who mounts: the plugin counts by this. Ours is one, since the last container takes the mount away."""
    return hashlib.sha256(f"{volume.driver}/{volume.name}".encode()).hexdigest()


def _facts(volume: Volume) -> dict[str, Any]:
    return {
        "name": volume.name,
        "path": str(volume.path) if volume.path.parts else "",
        "driver": volume.driver,
        "options": dict(volume.options),
        "labels": dict(volume.labels),
        "created": volume.created,
        "anonymous": volume.anonymous,
    }


def _volume(facts: dict[str, Any]) -> Volume:
    return Volume(**{**facts, "path": Path(facts["path"])})
