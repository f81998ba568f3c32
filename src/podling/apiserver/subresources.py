"""Subresources that are more than the object itself: scale, and what becomes of pods and namespaces."""

from dataclasses import replace
from typing import Any

import orjson

from podling.aio.http import Response
from podling.api.columns import AGE, NAME
from podling.api.field import at
from podling.api.kind import Column, Kind, Scale
from podling.api.objects import get, name_of, put, with_condition
from podling.api.selectors import of_object
from podling.api.status import conflict, invalid, success
from podling.api.timestamps import rfc3339
from podling.apiserver import tracking
from podling.apiserver.apply import MEDIA_TYPE as APPLY_PATCH
from podling.apiserver.apply import edit_by, read_intent
from podling.apiserver.body import content_type, read_object
from podling.apiserver.call import Call
from podling.apiserver.encoding import decode
from podling.apiserver.negotiation import representation
from podling.apiserver.patch import read_patch
from podling.apiserver.read import find
from podling.apiserver.write import SPEC, Edit, Strategy, change, name_in_path

Object = dict[str, Any]


# scale

_SCALE = Kind(
    api_version="autoscaling/v1",
    kind="Scale",
    plural="scales",
    columns=(NAME, Column("Desired", "spec.replicas", "integer"), Column("Available", "status.replicas", "integer"), AGE),
)
_SCALE_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Object, facts: Scale) -> Object:
    """The autoscaling/v1 Scale that an object shows."""
    metadata = {name: obj["metadata"][name] for name in _SCALE_METADATA if name in obj["metadata"]}
    status: Object = {"replicas": get(obj, facts.status_replicas, 0)}
    if selector := get(obj, facts.selector):
        status["selector"] = selector if isinstance(selector, str) else str(of_object(selector))
    spec = {"replicas": get(obj, facts.replicas, 0)}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def _facts(kind: Kind) -> Scale:
    found = kind.subresource("scale")
    assert isinstance(found, Scale)
    return found


async def get_scale(call: Call) -> Response:
    return _answer(call, scale_of(find(call).object, _facts(call.kind)))


async def update_scale(call: Call) -> Response:
    wish = await read_object(call, _SCALE.api_version, _SCALE.kind)
    return await _rescale(call, lambda _: wish)


async def patch_scale(call: Call) -> Response:
    if content_type(call) == APPLY_PATCH:
        return await _apply_scale(call)
    return await _rescale(call, await read_patch(call, _SCALE))


async def _rescale(call: Call, edit: Edit) -> Response:
    """Edit the Scale, and write what it says into the object."""
    facts = _facts(call.kind)

    def resize(obj: Object) -> Object:
        wish = edit(scale_of(obj, facts))
        replicas = get(wish, "spec.replicas", 0)
        if not isinstance(replicas, int) or replicas < 0:
            error = at(wish, "spec", "replicas").invalid("must be greater than or equal to 0")
            raise invalid("Scale", name_of(obj), [error], "autoscaling")
        seen = {name: get(wish, f"metadata.{name}", "") for name in ("resourceVersion", "uid")}
        return {**put(obj, facts.replicas, replicas), "metadata": {**obj["metadata"], **seen}}

    item = await change(call, resize, SPEC)
    return _answer(call, scale_of(decode(item.data), facts))


async def _apply_scale(call: Call) -> Response:
    """The number of replicas as an intent: of the object's fields it is the one that a Scale has."""
    facts, kind = _facts(call.kind), call.kind
    wish = await read_intent(call, _SCALE)
    named: Object = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": wish["metadata"]}
    replicas = get(wish, "spec.replicas")
    config = named if replicas is None else put(named, facts.replicas, replicas)
    item = await change(call, edit_by(call, config), SPEC, tracking.as_given)
    return _answer(call, scale_of(decode(item.data), facts))


def _answer(call: Call, scale: Object) -> Response:
    form = representation(_SCALE, call.media, call.backend.clock, call.request.query.get("includeObject"))
    return call.answer(form.one(orjson.dumps(scale)))


# pods


async def bind(call: Call) -> Response:
    """POST pods/NAME/binding: the scheduler's word. Source: pkg/registry/core/pod/storage."""
    await _bind(call, await read_object(call, "v1", "Binding"))
    return call.answer_object(success(), 201)


async def _bind(call: Call, binding: Object) -> None:
    target = binding.get("target") or {}
    if target.get("kind", "Node") not in ("", "Node"):
        raise invalid("Binding", call.attributes.name, [at(binding, "target", "kind").unsupported(['Node", "<empty>'])])
    if not target.get("name"):
        raise invalid("Binding", call.attributes.name, [at(binding, "target", "name").required()])
    now = rfc3339(call.backend.clock.now())
    await change(call, lambda pod: _bound(pod, binding, target["name"], now), BINDING)


def _bound(pod: Object, binding: Object, node: str, now: str) -> Object:
    name = name_of(pod)
    if pod["metadata"].get("deletionTimestamp"):
        raise conflict("pods/binding", name, "", f"pod {name} is being deleted, cannot be assigned to a host")
    if current := get(pod, "spec.nodeName"):
        raise conflict("pods/binding", name, "", f'pod {name} is already assigned to node "{current}"')
    wish = put(pod, "spec.nodeName", node)
    condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None}
    wish = put(wish, "status.conditions", with_condition(get(pod, "status.conditions"), condition, now))
    given = binding["metadata"]
    wish["metadata"] = {**pod["metadata"], "resourceVersion": ""}
    for member in ("annotations", "labels"):
        if given.get(member):
            wish["metadata"][member] = {**(pod["metadata"].get(member) or {}), **given[member]}
    if given.get("uid"):
        wish["metadata"]["uid"] = given["uid"]
    return wish


def _keep(_kind: Kind, _new: Object, _old: Object) -> None:
    """The edit itself has decided everything."""


BINDING = Strategy(_keep, lambda _kind, _new, _old: (), tracked=False, shares=True)


async def bind_named(call: Call, binding: Object) -> Object:
    """POST bindings, the older way to say it: the pod's name is in the body."""
    attributes = replace(call.attributes, resource="pods", subresource="binding", name=name_of(binding))
    target = replace(call.target, resource="pods") if call.target else None
    await _bind(replace(call, attributes=attributes, target=target, _kind=None), binding)
    return success()


# namespaces


async def finalize(call: Call) -> Response:
    """PUT namespaces/NAME/finalize: the namespace controller says that nothing is left."""
    wish = await read_object(call, "v1", "Namespace")
    name_in_path(wish, call)
    finalizers = get(wish, "spec.finalizers", []) or []
    revision = wish["metadata"].get("resourceVersion", "")

    def edit(namespace: Object) -> Object:
        edited = put(namespace, "spec", {**(namespace.get("spec") or {}), "finalizers": finalizers})
        if not finalizers:
            del edited["spec"]["finalizers"]
        edited["metadata"] = {**namespace["metadata"], "resourceVersion": revision}
        return edited

    return call.answer_item(await change(call, edit, FINALIZE))


FINALIZE = Strategy(_keep, lambda kind, new, old: kind.validate(new, old), tracked=False)
