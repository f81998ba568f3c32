"""configMap, secret, downwardAPI and projected: volumes whose files are made of objects. Source: core/v1 ProjectedVolumeSource.

Each source is a function to files; configMap, secret and downwardAPI volumes are a projection of one source.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from podling.base.errors import InvalidInput
from podling.node.fields import field_value, resource_value
from podling.node.pod.spec import Object, container_of, containers, init_containers
from podling.node.volumes.base import Context, Placed
from podling.node.volumes.empty_dir import mount_memory
from podling.node.volumes.payload import File, check_path, write

_DEFAULT_MODE = 0o644
_TOKEN_SECONDS = 3600
_KINDS = {"configMap": "ConfigMap", "secret": "Secret"}


def entries(kind: str, source: Object, name: str, context: Context, default_mode: int) -> dict[str, File]:
    """The files of one ConfigMap or Secret. Raises InvalidInput where it, or a key that is asked for, is missing."""
    obj = context.lookup(kind, name)
    optional = bool(source.get("optional"))
    if obj is None:
        if optional:
            return {}
        raise InvalidInput(f'{kind.lower()} "{name}" not found')
    data = contents(obj)
    items = source.get("items")
    if items is None:
        return {key: File(value, default_mode) for key, value in data.items()}
    result: dict[str, File] = {}
    for item in items:
        if item["key"] in data:
            result[check_path(item["path"])] = File(data[item["key"]], _mode(item, default_mode))
        elif not optional:
            raise InvalidInput(f"references non-existent {kind.lower()} key: {item['key']}")
    return result


def contents(obj: Object) -> dict[str, bytes]:
    """The entries of a ConfigMap or Secret as bytes."""
    data: Mapping[str, str] = obj.get("data") or {}
    if obj.get("kind") == "Secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary: Mapping[str, str] = obj.get("binaryData") or {}
    return {k: v.encode() for k, v in data.items()} | {k: base64.b64decode(v) for k, v in binary.items()}


def downward(source: Object, context: Context, default_mode: int) -> dict[str, File]:
    """The files of a downward API source."""
    result: dict[str, File] = {}
    for item in source.get("items") or []:
        if reference := item.get("fieldRef"):
            text = field_value(context.pod, reference["fieldPath"], context.node)
        else:
            reference = item["resourceFieldRef"]
            container = container_of(context.pod, reference["containerName"])
            text = resource_value(context.pod, container, reference, context.node)
        result[check_path(item["path"])] = File(text.encode(), _mode(item, default_mode))
    return result


def _mode(item: Object, default: int) -> int:
    mode: int | None = item.get("mode")
    return default if mode is None else mode


@dataclass(slots=True)
class _Made:
    files: dict[str, File]
    refresh: list[float]


class Projected:
    """The projected volume, and by `of` the simple kinds: their spec as the list of sources of a projection."""

    def __init__(self, of: str = "", *, memory: bool = True) -> None:
        self._of = of
        self._memory = memory

    def _sources(self, spec: Object) -> list[Object]:
        if not self._of:
            found: list[Object] = spec.get("sources") or []
            return found
        source = {**spec, "name": spec["secretName"]} if self._of == "secret" else spec
        return [{self._of: source}]

    def references(self, spec: Object) -> set[tuple[str, str]]:
        return {(kind, source[key]["name"]) for source in self._sources(spec) for key, kind in _KINDS.items() if source.get(key)}

    async def set_up(self, spec: Object, path: Path, context: Context) -> Placed:
        mode = spec.get("defaultMode")
        made = _Made({}, [])
        for source in self._sources(spec):
            await self._add(made, source, context, _DEFAULT_MODE if mode is None else mode)
        await asyncio.to_thread(self._write, path, made.files, context.group)
        return Placed(path, min(made.refresh, default=None))

    def _write(self, path: Path, files: Mapping[str, File], group: int | None) -> None:
        path.mkdir(parents=True, exist_ok=True)
        if self._memory:
            mount_memory(path, mode=0o755)
        write(path, files, group)

    async def _add(self, made: _Made, source: Object, context: Context, mode: int) -> None:
        for key, kind in _KINDS.items():
            if part := source.get(key):
                made.files |= entries(kind, part, part["name"], context, mode)
                return
        if part := source.get("downwardAPI"):
            made.files |= downward(part, context, mode)
        elif part := source.get("serviceAccountToken"):
            audience = (part["audience"],) if part.get("audience") else ()
            token, refresh = await context.tokens(context.pod, audience, part.get("expirationSeconds") or _TOKEN_SECONDS)
            made.files[check_path(part["path"])] = File(token.encode(), _token_mode(mode, context), _single_user(context.pod))
            made.refresh.append(refresh)
        else:
            raise InvalidInput(f"unsupported projection: {', '.join(source)}")


def _token_mode(mode: int, context: Context) -> int:
    """A token is for one user only, where the pod says which."""
    if context.group is not None or _single_user(context.pod) is not None:
        return 0o600
    return mode


def _single_user(pod: Object) -> int | None:
    """The user that all containers run as, if the pod names one."""
    users = {(c.get("securityContext") or {}).get("runAsUser") for c in (*containers(pod), *init_containers(pod))}
    user: int | None = (pod["spec"].get("securityContext") or {}).get("runAsUser")
    return user if users == {None} else users.pop() if len(users) == 1 else None
