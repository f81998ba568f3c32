"""Images: listed, looked at, named, removed. Source: Docker Engine API, "Image"."""

import asyncio
import contextlib
import fnmatch
from collections.abc import Sequence
from typing import Any

from podling.aio.http import Response
from podling.base.errors import Conflict, InvalidInput, NotFound
from podling.docker import credentials, events, filters, timestamps
from podling.docker.answers import empty, json
from podling.docker.daemon import Daemon
from podling.docker.filters import Given
from podling.docker.routing import VERSION, Call, Routes
from podling.engine.engine import Engine
from podling.images.model import Image, Removed, User
from podling.oci import reference
from podling.oci.image import chain_ids

routes = Routes()
Json = dict[str, Any]
_KNOWN = frozenset({"before", "dangling", "label", "label!", "reference", "since", "until"})
_FOUND, _MOST_FOUND = 25, 100  # results of a search
_ONE_SIZE = (1, 44)  # from here on there is no VirtualSize


def summary(image: Image, containers: int, version: tuple[int, int] = VERSION) -> Json:
    """One element of `GET /images/json`."""
    shown: Json = {
        "Id": image.id,
        "ParentId": image.parent,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Created": int(created(image)),
        "Size": image.size,
        "SharedSize": -1,
        "Labels": _execution(image).get("Labels") or None,
        "Containers": containers,
    }
    return {**shown, "VirtualSize": image.size} if version < _ONE_SIZE else shown


def _execution(image: Image) -> Json:
    return dict(image.config.get("config") or {})


def created(image: Image) -> float:
    """Unix seconds; 0 where the image doesn't say, or says it in no known way."""
    try:
        return timestamps.parse(image.config.get("created", "")) or 0.0
    except InvalidInput:
        return 0.0


@routes.get("/images/json")
async def list_(call: Call, daemon: Daemon) -> Response:
    given, engine = call.filters(), daemon.engine
    filters.check(given, _KNOWN)
    found = select(engine, given, everything=call.flag("all"))
    return json([_named(summary(image, -1, call.version), given.get("reference", ())) for image in found])


def _named(item: Json, patterns: Sequence[str]) -> Json:
    """The summary with those of its names alone that were asked for."""
    if patterns:
        for member in ("RepoTags", "RepoDigests"):
            item[member] = [name for name in item[member] if any(matches(pattern, name) for pattern in patterns)]
    return item


def select(engine: Engine, given: Given, *, everything: bool) -> list[Image]:
    """The newest first; without `everything` none that is only a step of another's making."""
    images = sorted(engine.images.all(), key=created, reverse=True)
    parents = {image.parent for image in images}
    dangling = filters.flag(given, "dangling")
    since = max((created(engine.images.get(name)) for name in given.get("since", ())), default=float("-inf"))
    before = min((created(engine.images.get(name)) for name in given.get("before", ())), default=float("inf"))
    until = filters.until(given, engine.clock.now())
    return [
        image
        for image in images
        if (everything or image.tags or image.digests or image.id not in parents)
        and (dangling is None or dangling is not bool(image.tags or image.digests))
        and since < created(image) < min(before, until)
        and filters.labels(given, _execution(image).get("Labels") or {})
        and _has_name(image, given.get("reference", ()))
    ]


def _has_name(image: Image, patterns: Sequence[str]) -> bool:
    return not patterns or any(matches(pattern, name) for pattern in patterns for name in (*image.tags, *image.digests))


def matches(pattern: str, name: str) -> bool:
    """Whether a familiar name fits `repository[:tag]` with wild cards that don't cross a slash."""
    candidates = (name, reference.parse(name).familiar_name)
    return any(pattern.count("/") == each.count("/") and fnmatch.fnmatchcase(each, pattern) for each in candidates)


@routes.get("/images/{name...}/json")
async def inspect(call: Call, daemon: Daemon) -> Response:
    return json(image_json(daemon.engine.images.get(call.path["name"]), call.version))


def image_json(image: Image, version: tuple[int, int] = VERSION) -> Json:
    """ImageInspect, as clients of this version know it."""
    config, tagged = image.config, image.tagged
    shown: Json = {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": image.parent,
        "Comment": ((config.get("history") or [{}])[-1]).get("comment", ""),
        "Created": config.get("created") or timestamps.ZERO,
        "DockerVersion": "",
        "Author": config.get("author", ""),
        "Config": _execution(image),
        "ContainerConfig": _execution(image),  # gone since 1.45, but docker-compose 1.29 reads it in every version
        "Architecture": config["architecture"],
        "Os": config["os"],
        "Size": image.size,
        "GraphDriver": {"Name": "overlay2", "Data": None},
        "RootFS": {"Type": "layers", "Layers": list(config["rootfs"]["diff_ids"])},
        "Metadata": {"LastTagTime": timestamps.from_seconds(tagged)},
    }
    if config.get("variant"):
        shown["Variant"] = config["variant"]
    if version < _ONE_SIZE:
        shown["VirtualSize"] = image.size
    return shown


@routes.get("/images/{name...}/history")
async def history(call: Call, daemon: Daemon) -> Response:
    return json(
        [
            {
                "Id": item.id,
                "Created": int(timestamps.parse(item.created) or 0),
                "CreatedBy": item.created_by,
                "Tags": list(item.tags) or None,
                "Size": item.size,
                "Comment": item.comment,
            }
            for item in daemon.engine.images.history(call.path["name"])
        ]
    )


@routes.post("/images/{name...}/tag")
async def tag(call: Call, daemon: Daemon) -> Response:
    repository, label = call.query.get("repo"), call.query.get("tag")
    engine = daemon.engine
    target = target_name(repository, label)
    await engine.images.tag(call.path["name"], target)
    engine.events.publish("image", "tag", engine.images.get(target).id, {"name": target})
    return empty(201)


def target_name(repository: str, tag: str) -> str:
    """`repository[:tag]`. Raises InvalidInput."""
    name = reference.parse(repository)
    return str(name.with_tag(tag) if tag else name.tagged())


def users(engine: Engine) -> list[User]:
    """Which containers stand on which images."""
    return [User(container.id, container.image_id, container.running) for container in engine.containers.list()]


@routes.delete("/images/{name...}")
async def remove(call: Call, daemon: Daemon) -> Response:
    engine = daemon.engine
    removed = await engine.images.remove(
        call.path["name"], users(engine), force=call.flag("force"), prune=not call.flag("noprune")
    )
    _tell(engine, removed)
    return json([_removed(each) for each in removed])


def _removed(each: Removed) -> Json:
    return {"Untagged": each.untagged} if each.untagged else {"Deleted": each.deleted or each.layer}


def _tell(engine: Engine, removed: list[Removed]) -> None:
    for each in removed:
        if not (name := each.untagged or each.deleted):
            continue  # a layer, of which nobody is told
        engine.events.publish("image", "untag" if each.untagged else "delete", name, {"name": name})


@routes.post("/images/prune")
async def prune(call: Call, daemon: Daemon) -> Response:
    given, engine = call.filters(), daemon.engine
    filters.check(given, {"dangling", "label", "label!", "until"})
    only_dangling = filters.flag(given, "dangling") is not False
    rest = {name: values for name, values in given.items() if name != "dangling"}
    removed: list[Removed] = []
    before = await asyncio.to_thread(layer_sizes, engine, engine.images.all())
    used = {user.image for user in users(engine)}
    for image in select(engine, rest, everything=False):
        if image.id in used or (only_dangling and (image.tags or image.digests)):
            continue
        for name in (*image.tags, *image.digests) or (image.id,):
            with contextlib.suppress(NotFound, Conflict):  # went with another; others stand on it
                removed += await engine.images.remove(name, users(engine))
    _tell(engine, removed)
    left = {chain for image in engine.images.all() for chain in chain_ids(image.config["rootfs"]["diff_ids"])}
    freed = sum(size for chain, size in before.items() if chain not in left)
    events.pruned(engine.events, "image", freed)
    return json({"ImagesDeleted": [_removed(each) for each in removed] or None, "SpaceReclaimed": freed})


def layer_sizes(engine: Engine, found: Sequence[Image]) -> dict[str, int]:
    """Bytes of each layer of some images, by its chain id. Blocks."""
    chains = {chain for image in found for chain in chain_ids(image.config["rootfs"]["diff_ids"])}
    return {chain: _layer_size(engine, chain) for chain in chains}


def _layer_size(engine: Engine, chain: str) -> int:
    try:
        return engine.snapshots.usage(chain).size
    except NotFound:
        return 0  # not unpacked, or gone meanwhile


@routes.get("/images/search")
async def search(call: Call, daemon: Daemon) -> Response:
    given, term, limit = call.filters(), call.query.get("term"), call.number("limit", _FOUND)
    filters.check(given, {"is-automated", "is-official", "stars"})
    if not term:
        raise InvalidInput("invalid reference format: search term cannot be empty")
    if not 1 <= limit <= _MOST_FOUND:
        raise InvalidInput(f"limit {limit} is outside the range of [1, {_MOST_FOUND}]")
    found = await daemon.engine.images.search(term, limit, credentials.of_header(call))
    return json([item for item in map(_found, found) if _is_wanted(item, given)])


def _found(item: Json) -> Json:
    """SearchResult."""
    shown = {"name": "", "description": "", "star_count": 0, "is_official": False, "is_automated": False}
    return {member: item.get(member) or default for member, default in shown.items()}


def _is_wanted(item: Json, given: Given) -> bool:
    flags = ((name, filters.flag(given, name.replace("_", "-"))) for name in ("is_official", "is_automated"))
    stars = max((_stars(text) for text in given.get("stars", ())), default=0)
    return all(flag is None or item[name] is flag for name, flag in flags) and item["star_count"] >= stars


def _stars(text: str) -> int:
    if not text.isdecimal():
        raise InvalidInput(f"invalid filter 'stars=[{text}]'")
    return int(text)


@routes.get("/distribution/{name...}/json")
async def distribution(call: Call, daemon: Daemon) -> Response:
    """What a registry has. Source: Docker Engine API, DistributionInspect."""
    found = await daemon.engine.images.distribution(call.path["name"], credentials.of_header(call))
    return json({"Descriptor": found.descriptor, "Platforms": list(found.platforms)})
