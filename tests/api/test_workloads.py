"""StatefulSet, DaemonSet, ControllerRevision, ReplicationController: defaults, rules, what is shown."""

import pytest

from podling.api.apps.controllerrevision import CONTROLLER_REVISION
from podling.api.apps.daemonset import DAEMON_SET, GENERATION
from podling.api.apps.statefulset import STATEFUL_SET
from podling.api.core.replicationcontroller import REPLICATION_CONTROLLER
from podling.api.objects import put
from podling.api.table import table
from podling.testing.kinds import sample
from podling.testing.samples import changed, created, refusals, stored

NOW = 1_767_225_600.0 + 30


def with_spec(kind, **spec):
    obj = sample(kind)
    return {**obj, "spec": {**obj["spec"], **spec}}


def cells(kind, obj):
    return table(kind, [obj], NOW)["rows"][0]["cells"]


def test_a_stateful_sets_defaults():
    spec = created(STATEFUL_SET, sample(STATEFUL_SET))["spec"]
    assert spec["replicas"] == 1
    assert spec["podManagementPolicy"] == "OrderedReady"
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}}
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["revisionHistoryLimit"] == 10


CLAIM = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}


def test_a_claim_template_is_a_volume_of_the_pods():
    mounted = {"name": "web", "image": "nginx", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [mounted]}}
    assert refusals(STATEFUL_SET, with_spec(STATEFUL_SET, template=template, volumeClaimTemplates=[CLAIM])) == []
    assert refusals(STATEFUL_SET, with_spec(STATEFUL_SET, template=template)) != []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"podManagementPolicy": "Any"},
            "spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'",
        ),
        (
            {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {}}},
            "spec.updateStrategy.rollingUpdate: Invalid value: {}: only allowed for updateStrategy 'RollingUpdate'",
        ),
        (
            {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}},
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0",
        ),
        (
            {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Keep"}},
            'spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Keep": '
            'supported values: "Retain", "Delete"',
        ),
        ({"selector": {}}, "spec.selector: Invalid value: {}: empty selector is invalid for statefulset"),
        ({"ordinals": {"start": -1}}, "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"),
        (
            {"volumeClaimTemplates": [{"spec": {"accessModes": ["ReadWriteOnce"]}}]},
            "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
        ),
    ],
)
def test_a_bad_stateful_set(spec, message):
    assert message in refusals(STATEFUL_SET, with_spec(STATEFUL_SET, **spec))


def test_of_a_stateful_set_little_changes():
    old = stored(STATEFUL_SET, sample(STATEFUL_SET))
    assert changed(STATEFUL_SET, old, lambda obj: obj["spec"].update(replicas=5, minReadySeconds=1))[1] == []
    assert changed(STATEFUL_SET, old, lambda obj: obj["spec"].update(serviceName="other"))[1] == [
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    ]


def test_a_stateful_sets_status():
    old = stored(STATEFUL_SET, sample(STATEFUL_SET))
    new = put(old, "status", {"replicas": 2, "readyReplicas": 1, "availableReplicas": 2})
    assert [str(error) for error in STATEFUL_SET.status_errors(new, old)] == [
        "status.availableReplicas: Invalid value: 2: cannot be greater than status.readyReplicas"
    ]
    assert cells(STATEFUL_SET, new) == ["sample", "1/1", "30s", "web", "nginx:1.27"]


def test_a_daemon_sets_defaults():
    new = created(DAEMON_SET, sample(DAEMON_SET))
    assert new["spec"]["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    assert new["status"]["desiredNumberScheduled"] == 0
    assert new["metadata"]["annotations"] == {GENERATION: "1"}


def test_a_daemon_set_counts_the_changes_of_its_template():
    old = stored(DAEMON_SET, sample(DAEMON_SET))
    slower = changed(DAEMON_SET, old, lambda obj: obj["spec"].update(minReadySeconds=3))[0]
    assert (slower["metadata"]["annotations"][GENERATION], slower["metadata"]["generation"]) == ("1", 2)

    def edit(obj):
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2"
        obj["metadata"]["annotations"][GENERATION] = "77"

    assert changed(DAEMON_SET, old, edit)[0]["metadata"]["annotations"][GENERATION] == "2"


@pytest.mark.parametrize(
    ("rolling", "message"),
    [
        (
            {"maxUnavailable": 1, "maxSurge": 1},
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
        ),
        (
            {"maxUnavailable": 0, "maxSurge": 0},
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
        ),
        (
            {"maxUnavailable": "101%"},
            'spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
        ),
    ],
)
def test_a_bad_rolling_update(rolling, message):
    assert message in refusals(DAEMON_SET, with_spec(DAEMON_SET, updateStrategy={"rollingUpdate": rolling}))


def test_a_daemon_sets_row():
    obj = stored(DAEMON_SET, sample(DAEMON_SET))
    obj["status"] = {"desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberReady": 1}
    assert cells(DAEMON_SET, obj) == ["sample", 3, 2, 1, 0, 0, "<none>", "30s", "web", "nginx:1.27", "app=web"]


def test_a_revision_holds_an_object_and_never_changes():
    assert refusals(CONTROLLER_REVISION, {**sample(CONTROLLER_REVISION), "data": None}) == [
        "data: Required value: data is mandatory"
    ]
    assert refusals(CONTROLLER_REVISION, {**sample(CONTROLLER_REVISION), "data": [1]}) == [
        "data: Required value: data must be a valid JSON object"
    ]
    old = stored(CONTROLLER_REVISION, sample(CONTROLLER_REVISION))
    old["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "u", "controller": True}
    ]
    assert changed(CONTROLLER_REVISION, old, lambda obj: obj.update(data={}))[1] == [
        "data: Invalid value: {}: field is immutable"
    ]
    assert changed(CONTROLLER_REVISION, old, lambda obj: obj.update(revision=2))[1] == []
    assert cells(CONTROLLER_REVISION, old) == ["sample", "statefulset.apps/web", 1, "30s"]


def test_a_replication_controller_takes_its_templates_labels():
    new = created(REPLICATION_CONTROLLER, sample(REPLICATION_CONTROLLER))
    assert new["spec"]["selector"] == {"app": "web"}
    assert new["metadata"]["labels"] == {"app": "web"}
    assert new["status"] == {"replicas": 0}
    assert cells(REPLICATION_CONTROLLER, stored(REPLICATION_CONTROLLER, new))[-1] == "app=web"
    assert refusals(REPLICATION_CONTROLLER, with_spec(REPLICATION_CONTROLLER, selector={"app": "x"})) == [
        'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'
    ]
    assert refusals(REPLICATION_CONTROLLER, {**sample(REPLICATION_CONTROLLER), "spec": {}}) == [
        "spec.selector: Required value",
        "spec.template: Required value",
    ]
