import pytest

from podling.api import status
from podling.api.field import at


@pytest.mark.parametrize(
    ("error", "code", "reason", "message"),
    [
        (status.not_found("pods", "x"), 404, "NotFound", 'pods "x" not found'),
        (status.not_found("deployments", "x", "apps"), 404, "NotFound", 'deployments.apps "x" not found'),
        (status.already_exists("pods", "x"), 409, "AlreadyExists", 'pods "x" already exists'),
        (
            status.conflict("deployments", "x", "apps"),
            409,
            "Conflict",
            'Operation cannot be fulfilled on deployments.apps "x": the object has been modified; please apply your changes '
            "to the latest version and try again",
        ),
        (status.forbidden("pods", "", "no"), 403, "Forbidden", "pods is forbidden: no"),
        (status.forbidden("pods", "x", "no"), 403, "Forbidden", 'pods "x" is forbidden: no'),
        (status.forbidden("", "", "no"), 403, "Forbidden", "forbidden: no"),
        (status.bad_request("why"), 400, "BadRequest", "why"),
        (status.unauthorized(), 401, "Unauthorized", "Unauthorized"),
        (status.expired("too old resource version"), 410, "Expired", "too old resource version"),
        (
            status.method_not_allowed(),
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
        (status.too_large("limit is 3"), 413, "RequestEntityTooLarge", "Request entity too large: limit is 3"),
        (status.timeout("slow"), 504, "Timeout", "Timeout: slow"),
        (status.internal("bang"), 500, "InternalError", "Internal error occurred: bang"),
        (status.no_such_path(), 404, "NotFound", "the server could not find the requested resource"),
    ],
)
def test_errors_read_as_upstreams(error, code, reason, message):
    body = error.status()
    assert (body["kind"], body["apiVersion"], body["status"]) == ("Status", "v1", "Failure")
    assert (body["code"], body["reason"], body["message"]) == (code, reason, message)


def test_details_name_the_thing_without_empty_members():
    assert status.not_found("pods", "x").status()["details"] == {"name": "x", "kind": "pods"}
    assert "details" not in status.bad_request("why").status()


def test_an_invalid_object_lists_each_cause():
    spec = at({"spec": {"replicas": -1}}, "spec")
    errors = [(spec / "replicas").invalid("must be greater than or equal to 0"), (spec / "selector").required()]
    body = status.invalid("Deployment", "x", errors, "apps").status()
    assert body["message"] == (
        'Deployment.apps "x" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to 0, '
        "spec.selector: Required value]"
    )
    assert body["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: -1: must be greater than or equal to 0",
            "field": "spec.replicas",
        },
        {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.selector"},
    ]
    assert status.invalid("Pod", "y", errors[1:]).message == 'Pod "y" is invalid: spec.selector: Required value'


def test_success_tells_what_was_deleted():
    assert status.success("pods", "", "x", "u")["details"] == {"name": "x", "kind": "pods", "uid": "u"}
