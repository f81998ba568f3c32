"""certificatesigningrequests/NAME/approval: the approver's word, and nothing else of the request.

Source: pkg/registry/certificates/certificates, "approvalStrategy".
"""

from podling.aio.http import Response
from podling.api.certificates.certificatesigningrequest import CERTIFICATE_SIGNING_REQUEST, stamp, validate_approval
from podling.api.kind import Kind
from podling.api.metadata import validate_update
from podling.api.objects import Object, get, put, thaw
from podling.api.timestamps import rfc3339
from podling.apiserver.body import read_object
from podling.apiserver.call import Call
from podling.apiserver.identity import Attributes, Authorizer, User
from podling.apiserver.patch import checked, read_patch
from podling.apiserver.write import Edit, Strategy, change, name_in_path


def _prepare(kind: Kind, new: Object, old: Object) -> None:
    """Keep all but the conditions."""
    conditions = get(new, "status.conditions", [])
    kind.prepare_status(new, old)
    new["status"] = put(old.get("status") or {}, "conditions", conditions)


APPROVAL = Strategy(_prepare, lambda _, new, old: [*validate_update(new, old), *validate_approval(new, old)])


async def update(call: Call) -> Response:
    wish = await read_object(call, call.kind.api_version, call.kind.kind)
    name_in_path(wish, call)
    return await _decide(call, lambda _: thaw(wish))


async def patch(call: Call) -> Response:
    return await _decide(call, checked(call, call.kind, await read_patch(call, call.kind)))


async def _decide(call: Call, edit: Edit) -> Response:
    now = rfc3339(call.backend.clock.now())

    def stamped(old: Object) -> Object:
        new = edit(old)
        stamp(new, old, now)
        return new

    return call.answer_item(await change(call, stamped, APPROVAL))


def may_request(authorizer: Authorizer, spec: Object, way: str) -> bool:
    """Whether who made a request may have a node's certificate in this way (`nodeclient`, `selfnodeclient`) without asking."""
    user = User(spec.get("username", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), spec.get("extra") or {})
    kind = CERTIFICATE_SIGNING_REQUEST
    return authorizer.authorize(Attributes(user, "create", "", kind.group, kind.version, kind.plural, way)).allowed
