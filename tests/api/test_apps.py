import pytest

from podling.api.apps.deployment import DEPLOYMENT
from podling.api.apps.replicaset import REPLICA_SET
from podling.api.objects import put
from podling.api.table import table
from podling.testing.samples import changed, created, deployment, pod, refusals, stored


def replica_set(**spec):
    return {**deployment(**spec), "kind": "ReplicaSet"}


def test_a_deployments_defaults():
    spec = created(DEPLOYMENT, deployment())["spec"]
    assert spec["replicas"] == 1
    assert spec["revisionHistoryLimit"] == 10
    assert spec["progressDeadlineSeconds"] == 600
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    assert "enableServiceLinks" not in spec["template"]["spec"]


def test_a_replica_sets_defaults():
    new = created(REPLICA_SET, replica_set())
    assert new["spec"]["replicas"] == 1
    assert new["status"] == {"replicas": 0}
    assert refusals(REPLICA_SET, replica_set()) == []


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (deployment(replicas=-1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (deployment(selector=None), "spec.selector: Required value"),
        (deployment(selector={}), "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
        (
            deployment(selector={"matchLabels": {"app": "other"}}),
            'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
        ),
        (
            deployment(selector={"matchExpressions": [{"key": "app", "operator": "Is"}]}),
            'spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator',
        ),
        (
            deployment(template={"metadata": {"labels": {"app": "web"}}, "spec": {**pod()["spec"], "restartPolicy": "Never"}}),
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        (
            deployment(template={"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a"}]}}),
            "spec.template.spec.containers[0].image: Required value",
        ),
        (
            deployment(strategy={"type": "Recreate", "rollingUpdate": {}}),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            deployment(strategy={"type": "Big"}),
            'spec.strategy.type: Unsupported value: "Big": supported values: "Recreate", "RollingUpdate"',
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxUnavailable": "101%"}}),
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxSurge": "many"}}),
            'spec.strategy.rollingUpdate.maxSurge: Invalid value: "many": a valid percent string must be a numeric string '
            "followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ),
        (
            deployment(minReadySeconds=600),
            "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
        ),
    ],
)
def test_a_bad_deployment_is_refused_in_upstreams_words(obj, message):
    assert message in refusals(DEPLOYMENT, obj)


def test_an_unset_strategy_type_keeps_what_the_user_said():
    spec = created(DEPLOYMENT, deployment(strategy={"type": "Recreate"}))["spec"]
    assert spec["strategy"] == {"type": "Recreate"}


def test_the_selector_never_changes():
    old = stored(DEPLOYMENT, deployment())
    other = {"matchLabels": {"app": "web", "x": "y"}}

    def edit(obj):
        obj["spec"]["selector"] = other
        obj["spec"]["template"]["metadata"]["labels"] = {"app": "web", "x": "y"}

    assert changed(DEPLOYMENT, old, edit)[1] == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"web","x":"y"}}: field is immutable'
    ]


def test_the_generation_rises_with_the_wish():
    old = stored(DEPLOYMENT, deployment())
    assert changed(DEPLOYMENT, old, lambda obj: obj["spec"].update(replicas=2))[0]["metadata"]["generation"] == 2
    annotated = changed(DEPLOYMENT, old, lambda obj: obj["metadata"].update(annotations={"a": "b"}))[0]
    assert annotated["metadata"]["generation"] == 2
    labelled = changed(DEPLOYMENT, old, lambda obj: obj["metadata"].update(labels={"a": "b"}))[0]
    assert labelled["metadata"]["generation"] == 1
    assert changed(DEPLOYMENT, old, lambda obj: obj["spec"].pop("replicas"))[0]["metadata"]["generation"] == 1


def test_a_replica_sets_status_adds_up():
    old = stored(REPLICA_SET, replica_set())
    new = put(old, "status", {"replicas": 1, "readyReplicas": 2})
    assert [str(error) for error in REPLICA_SET.status_errors(new, old)] == [
        "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"
    ]


def test_columns():
    obj = stored(DEPLOYMENT, deployment(replicas=3))
    obj["status"] = {"readyReplicas": 2, "updatedReplicas": 3}
    (row,) = table(DEPLOYMENT, [obj], 1_767_225_600.0 + 90)["rows"]
    assert row["cells"] == ["web", "2/3", 3, 0, "90s", "web", "nginx:1.27", "app=web"]
