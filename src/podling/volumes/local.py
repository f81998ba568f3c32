"""Volumes as directories below one root: `NAME/_data` holds the data, `NAME/volume.json` the facts.

With the options type, device and o the data is what mount(8) would mount, while somebody uses it.
"""

import os
import re
import shutil
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from podling.base.errors import Failed, InvalidInput
from podling.base.files import write_atomic
from podling.linux import mount
from podling.volumes.base import Volume

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_OPTIONS = {"type", "device", "o", "size"}
_FACTS = "volume.json"
_FLAGS = {
    "ro": mount.MS_RDONLY,
    "nosuid": mount.MS_NOSUID,
    "nodev": mount.MS_NODEV,
    "noexec": mount.MS_NOEXEC,
    "bind": mount.MS_BIND,
    "rbind": mount.MS_BIND | mount.MS_REC,
    "remount": mount.MS_REMOUNT,
    "sync": mount.MS_SYNCHRONOUS,
    "dirsync": mount.MS_DIRSYNC,
    "noatime": mount.MS_NOATIME,
    "nodiratime": mount.MS_NODIRATIME,
    "relatime": mount.MS_RELATIME,
    "strictatime": mount.MS_STRICTATIME,
}
_PASSWORD = re.compile(r"password=[^,]*")
_REMOTE = ("nfs", "nfs4", "cifs")
_IGNORED = {"rw", "suid", "dev", "exec", "defaults", "async", "atime", "diratime"}


class LocalDriver:
    """The driver over `root`."""

    name = "local"

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o701)

    def create(self, volume: Volume) -> Volume:
        if not _NAME.fullmatch(volume.name):
            raise InvalidInput(
                f'create {volume.name}: "{volume.name}" includes invalid characters for a local volume name, '
                'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
            )
        _check(volume.options)
        path = self._root / volume.name / "_data"
        path.mkdir(parents=True, exist_ok=True)
        made = replace(volume, path=path)
        write_atomic(path.parent / _FACTS, orjson.dumps(_facts(made)))
        return made

    def remove(self, volume: Volume) -> None:
        place = self._root / volume.name
        self.unmount(volume)
        # Without its facts a half-removed volume is none; what is left goes with the next of this name.
        (place / _FACTS).unlink(missing_ok=True)
        if place.exists():
            shutil.rmtree(place)

    def mount(self, volume: Volume) -> Path:
        path = self._root / volume.name / "_data"
        path.mkdir(parents=True, exist_ok=True)
        if _is_mounted_kind(volume.options) and not mount.is_mountpoint(path):
            self._mount(volume, path)
        return path

    def _mount(self, volume: Volume, path: Path) -> None:
        flags, data = split_options(volume.options.get("o", ""))
        kind, device = volume.options.get("type", ""), volume.options.get("device", "")
        if kind in _REMOTE:
            data = resolve_address(data)
        try:
            mount.mount(device or kind, path, "" if flags & mount.MS_BIND else kind, flags, data)
            if flags & mount.MS_BIND and flags & mount.MS_RDONLY:
                mount.set_readonly(path)
        except OSError as error:
            shown = f", flags: {flags:#x}" * bool(flags) + f", data: {_PASSWORD.sub('password=****', data)}" * bool(data)
            reason = (error.strerror or str(error)).lower()
            raise Failed(
                f"error while mounting volume '{path}': failed to mount local volume: mount {device}:{path}{shown}: {reason}"
            ) from error

    def unmount(self, volume: Volume) -> None:
        path = self._root / volume.name / "_data"
        if _is_mounted_kind(volume.options):
            mount.unmount_if_mounted(path)

    def list(self) -> list[Volume]:
        return [_volume(orjson.loads(facts.read_bytes()), facts.parent / "_data") for facts in self._root.glob(f"*/{_FACTS}")]


def _check(options: Mapping[str, str]) -> None:
    for name in options:
        if name not in _OPTIONS:
            raise InvalidInput(f'invalid option: "{name}"')
    if "device" in options and "type" not in options and not {"bind", "rbind"} & set(options.get("o", "").split(",")):
        raise InvalidInput('missing required option: "type"')
    if options.get("o") and not options.get("device") and options.get("type") != "tmpfs":
        raise InvalidInput('missing required option: "device"')


def _is_mounted_kind(options: Mapping[str, str]) -> bool:
    return bool(options.get("type") or options.get("device"))


def resolve_address(data: str) -> str:
    """mount(2) takes addr= as a number only; mount(8) would look it up. Raises Failed for an unknown name."""
    words = []
    for word in data.split(","):
        name, equals, host = word.partition("=")
        if name == "addr" and equals:
            try:
                word = f"addr={socket.getaddrinfo(host, None)[0][4][0]}"
            except socket.gaierror as error:
                raise Failed(f"error resolving passed in network volume address: {host}: {error.strerror}") from None
        words.append(word)
    return ",".join(words)


def split_options(words: str) -> tuple[int, str]:
    """mount(8)'s comma-separated words as flags and data for the file system."""
    flags, data = 0, []
    for word in (part for part in words.split(",") if part):
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word not in _IGNORED:
            data.append(word)
    return flags, ",".join(data)


def _facts(volume: Volume) -> dict[str, Any]:
    return {
        "name": volume.name,
        "options": dict(volume.options),
        "labels": dict(volume.labels),
        "created": volume.created,
        "anonymous": volume.anonymous,
    }


def _volume(facts: dict[str, Any], path: Path) -> Volume:
    return Volume(path=path, driver="local", **facts)


def usage(path: Path) -> int:
    """Bytes that the files below `path` take on disk."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            total += os.lstat(os.path.join(directory, name)).st_blocks * 512
    return total
