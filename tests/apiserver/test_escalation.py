"""Who may grant what: a table of rules held and rules given."""

import pytest

from podling.apiserver.admission_escalation import covers, simple

READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


@pytest.mark.parametrize(
    ("held", "given", "covered"),
    [
        (READ_PODS, READ_PODS, True),
        (READ_PODS, {**READ_PODS, "verbs": ["delete"]}, False),
        (READ_PODS, {**READ_PODS, "verbs": ["*"]}, False),
        (READ_PODS, {**READ_PODS, "apiGroups": ["apps"]}, False),
        (READ_PODS, {**READ_PODS, "resources": ["pods/log"]}, False),
        (READ_PODS, {**READ_PODS, "resourceNames": ["one"]}, True),
        ({**READ_PODS, "resourceNames": ["one"]}, READ_PODS, False),
        ({**READ_PODS, "resourceNames": ["one"]}, {**READ_PODS, "resourceNames": ["two"]}, False),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {**READ_PODS, "resources": ["pods/exec"]}, True),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}, False),
        ({"nonResourceURLs": ["/api/*"], "verbs": ["get"]}, {"nonResourceURLs": ["/api/v1", "/api/*"], "verbs": ["get"]}, True),
        ({"nonResourceURLs": ["/api/*"], "verbs": ["get"]}, {"nonResourceURLs": ["*"], "verbs": ["get"]}, False),
    ],
)
def test_what_covers_what(held, given, covered):
    assert all(covers(held, one) for one in simple(given)) is covered
