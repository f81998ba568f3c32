"""A KubeSchedulerConfiguration from its text: known fields with values of their types, nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from podling.api.objects import Object
from podling.base.errors import InvalidInput
from podling.scheduler.configuration.arguments import FIELDS
from podling.scheduler.framework import POINTS

API_VERSION, KIND = "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration"

_PLUGIN = {"name": str, "weight": int}
_SET = {"enabled": [_PLUGIN], "disabled": [_PLUGIN]}
_PROFILE = {
    "schedulerName": str,
    "percentageOfNodesToScore": int,
    "plugins": dict.fromkeys(("multiPoint", *POINTS), _SET),
    "pluginConfig": [{"name": str, "args": dict}],
}
# What stands here with `object` is read and has no effect: it speaks of a process of its own, which this scheduler isn't.
SCHEMA: Mapping[str, Any] = {
    "apiVersion": str,
    "kind": str,
    "parallelism": int,
    "leaderElection": dict,
    "clientConnection": object,
    "enableProfiling": object,
    "enableContentionProfiling": object,
    "delayCacheUntilActive": object,
    "percentageOfNodesToScore": int,
    "podInitialBackoffSeconds": int,
    "podMaxBackoffSeconds": int,
    "profiles": [_PROFILE],
    "extenders": [dict],
}
_TYPE_NAMES = {str: "string", int: "number", bool: "boolean", dict: "object", list: "array"}


def decode(text: bytes | str, source: str) -> Object:
    """The file's object. Raises InvalidInput that names the file and the field."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{source}: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{source}: Object 'Kind' is missing")
    version, kind = found.get("apiVersion"), found.get("kind")
    if (version, kind) != (API_VERSION, KIND):
        raise InvalidInput(f'{source}: no kind "{kind}" is registered for version "{version}"; expected {KIND} of {API_VERSION}')
    complaints = list(_complaints(found, SCHEMA, ""))
    for place, profile in enumerate(found.get("profiles") or () if not complaints else ()):
        for number, one in enumerate(profile.get("pluginConfig") or ()):
            if one.get("name") in FIELDS:
                shape = {**FIELDS[one["name"]], "apiVersion": str, "kind": str}
                complaints += _complaints(one.get("args") or {}, shape, f"profiles[{place}].pluginConfig[{number}].args")
    if complaints:
        raise InvalidInput(f"{source}: strict decoding error: {', '.join(complaints)}")
    return found


def _complaints(value: Any, shape: Any, path: str) -> Iterator[str]:
    if value is None or shape is object:
        return
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            yield f"{path}: expected object"
            return
        for name, item in value.items():
            below = f"{path}.{name}" if path else str(name)
            if name not in shape:
                yield f'unknown field "{below}"'
            else:
                yield from _complaints(item, shape[name], below)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{path}: expected array"
            return
        for number, item in enumerate(value):
            yield from _complaints(item, shape[0], f"{path}[{number}]")
    elif not isinstance(value, shape) or (shape is int and isinstance(value, bool)):
        yield f"{path}: expected {_TYPE_NAMES[shape]}, got {value!r}"
