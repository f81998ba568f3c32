"""Where something is mounted: Binds, Mounts, Tmpfs and Volumes of a container that is asked for. Pure.

Source: Docker Engine API, HostConfig and Mount; error texts are the daemon's.
"""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from podling.base.errors import InvalidInput
from podling.engine.types import Mount

Json = Mapping[str, Any]

_PROPAGATION = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_TMPFS_WORDS = (
    "async atime bind defaults dev diratime dirsync exec gid mand mode mpol noatime nodev nodiratime noexec nomand norelatime "
    "nostrictatime nosuid nr_blocks nr_inodes private rbind relatime remount ro rprivate rshared rslave runbindable rw shared "
    "size slave strictatime suid sync uid unbindable"
)
_TMPFS = frozenset(_TMPFS_WORDS.split())


def mounts(body: Json, host: Json) -> Iterator[Mount]:
    """Binds, Mounts, Tmpfs and Volumes; one target can be named once."""
    seen: set[str] = set()
    given = [
        *(_bind(text, host.get("VolumeDriver") or "") for text in host.get("Binds") or ()),
        *(_mount(entry) for entry in host.get("Mounts") or ()),
        *(_tmpfs(target, flags) for target, flags in (host.get("Tmpfs") or {}).items()),
    ]
    for mount in given:
        if mount.target in seen:
            raise InvalidInput(f"Duplicate mount point: {mount.target}")
        seen.add(mount.target)
        yield mount
    for target in body.get("Volumes") or ():
        if _target(target) not in seen:
            yield Mount("volume", "", _target(target))


def _bind(text: str, driver: str) -> Mount:
    """`/host:/container[:options]`, `volume:/container[:options]`, or `/container` for an anonymous volume."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidInput(f"invalid volume specification: '{text}'")
    source, target, words = [*parts, ""][:3] if len(parts) > 1 else ("", parts[0], "")
    read_only, propagation, no_copy = False, "rprivate", False
    for word in filter(None, words.split(",")):
        if word in ("ro", "rw"):
            read_only = word == "ro"
        elif word in _PROPAGATION:
            propagation = word
        elif word == "nocopy":
            no_copy = True
        elif word not in ("z", "Z", "consistent", "cached", "delegated"):
            raise InvalidInput(f"invalid volume specification: '{text}': invalid mode: {words}")
    if source.startswith(("/", ".", "~")):
        if not source.startswith("/"):
            raise InvalidInput(
                f'create {source}: "{source}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
            )
        return Mount("bind", posixpath.normpath(source), _target(target), read_only, propagation, {"create_source": True})
    options = {"no_copy": no_copy, "driver": driver}
    return Mount("volume", source, _target(target), read_only, options={name: value for name, value in options.items() if value})


def _target(path: str) -> str:
    normal = posixpath.normpath(path)
    if not path.startswith("/"):
        raise InvalidInput(f"invalid mount path: '{path}' mount path must be absolute")
    if normal == "/":
        raise InvalidInput(f"invalid volume specification: '{path}': destination can't be '/'")
    return normal


def _mount(entry: Json) -> Mount:
    kind = entry.get("Type")
    if not entry.get("Target"):
        raise InvalidInput(f'invalid mount config for type "{kind}": field Target must not be empty')
    target, read_only = _target(entry["Target"]), bool(entry.get("ReadOnly"))
    source = entry.get("Source") or ""
    _check_fields(entry)
    match kind:
        case "bind":
            options = entry.get("BindOptions") or {}
            if not source:
                raise InvalidInput('invalid mount config for type "bind": field Source must not be empty')
            if not source.startswith("/"):
                raise InvalidInput(
                    f"invalid mount config for type \"bind\": invalid mount path: '{source}' mount path must be absolute"
                )
            if (propagation := options.get("Propagation") or "rprivate") not in _PROPAGATION:
                raise InvalidInput(f'invalid mount config for type "bind": invalid propagation mode: {propagation}')
            chosen = {"create_source": options.get("CreateMountpoint"), "non_recursive": options.get("NonRecursive")}
            given = {name: True for name, value in chosen.items() if value}
            return Mount("bind", posixpath.normpath(source), target, read_only, propagation, given)
        case "volume":
            if not source and (entry.get("VolumeOptions") or {}).get("Subpath"):
                raise InvalidInput('invalid mount config for type "volume": must not set Subpath when using anonymous volumes')
            return Mount("volume", source, target, read_only, options=_volume_options(entry.get("VolumeOptions") or {}))
        case "tmpfs":
            if source:
                raise InvalidInput('invalid mount config for type "tmpfs": field Source must not be specified')
            return Mount("tmpfs", "", target, read_only, options=_tmpfs_options(entry.get("TmpfsOptions") or {}))
    raise InvalidInput(f'invalid mount config for type "{kind}": mount type unknown')


def _check_fields(entry: Json) -> None:
    """Options of another type than the mount's own have no meaning."""
    kind = entry.get("Type")
    for name, own in (("BindOptions", "bind"), ("VolumeOptions", "volume"), ("TmpfsOptions", "tmpfs"), ("ImageOptions", "image")):
        if kind != own and entry.get(name):
            raise InvalidInput(f'invalid mount config for type "{kind}": field {name} must not be specified')


def _volume_options(given: Json) -> dict[str, Any]:
    driver = given.get("DriverConfig") or {}
    options = {
        "no_copy": given.get("NoCopy"),
        "labels": given.get("Labels"),
        "driver": driver.get("Name"),
        "driver_options": driver.get("Options"),
        "subpath": given.get("Subpath"),
    }
    return {name: value for name, value in options.items() if value}


def _tmpfs_options(given: Json) -> dict[str, Any]:
    """`Options` are words of mount(8) as [name] or [name, value], since API 1.46."""
    words = ["=".join(words) for words in given.get("Options") or ()]
    options = {"size": given.get("SizeBytes"), "mode": given.get("Mode"), "flags": words}
    return {name: value for name, value in options.items() if value}


def _tmpfs(target: str, flags: str) -> Mount:
    words = [word for word in flags.split(",") if word]
    if unknown := [word for word in words if word.partition("=")[0] not in _TMPFS]:
        raise InvalidInput(f"invalid tmpfs option {orjson.dumps(unknown[:1]).decode()}")
    return Mount("tmpfs", "", _target(target), "ro" in words, options={"flags": words} if words else {})
