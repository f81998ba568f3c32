"""Volumes, claims, and the classes of storage."""

import pytest

from podling.api.core.persistentvolume import PERSISTENT_VOLUME
from podling.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from podling.api.objects import put
from podling.api.storage.csidriver import CSI_DRIVER
from podling.api.storage.csinode import CSI_NODE
from podling.api.storage.csistoragecapacity import CSI_STORAGE_CAPACITY
from podling.api.storage.storageclass import DEFAULT_ANNOTATION, STORAGE_CLASS
from podling.api.storage.volumeattachment import VOLUME_ATTACHMENT
from podling.api.storage.volumeattributesclass import VOLUME_ATTRIBUTES_CLASS
from podling.api.table import table
from podling.testing.kinds import sample
from podling.testing.samples import changed, created, refusals, stored

NOW = 1_767_225_600.0 + 30


def having(kind, **members):
    """A sample with some members of its spec, or of itself where it has none, set otherwise."""
    obj = sample(kind)
    if "spec" not in obj:
        return {**obj, **members}
    return {**obj, "spec": {**obj["spec"], **members}}


def cells(kind, obj):
    return table(kind, [obj], NOW)["rows"][0]["cells"]


def test_a_volumes_defaults():
    new = created(PERSISTENT_VOLUME, sample(PERSISTENT_VOLUME))
    assert (new["spec"]["persistentVolumeReclaimPolicy"], new["spec"]["volumeMode"]) == ("Retain", "Filesystem")
    assert new["status"] == {"phase": "Pending"}


@pytest.mark.parametrize(
    ("kind", "members", "message"),
    [
        (PERSISTENT_VOLUME, {"accessModes": []}, "spec.accessModes: Required value"),
        (
            PERSISTENT_VOLUME,
            {"accessModes": ["ReadWriteOncePod", "ReadOnlyMany"]},
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
        ),
        (PERSISTENT_VOLUME, {"capacity": None}, "spec.capacity: Required value"),
        (
            PERSISTENT_VOLUME,
            {"capacity": {"storage": "0"}},
            'spec.capacity[storage]: Invalid value: "0": must be greater than zero',
        ),
        (PERSISTENT_VOLUME, {"hostPath": None}, "spec: Required value: must specify a volume type"),
        (
            PERSISTENT_VOLUME,
            {"nfs": {"server": "a", "path": "/b"}},
            "spec.nfs: Forbidden: may not specify more than 1 volume type",
        ),
        (
            PERSISTENT_VOLUME,
            {"hostPath": None, "local": {"path": "/x"}},
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
        ),
        (
            PERSISTENT_VOLUME,
            {"persistentVolumeReclaimPolicy": "Keep"},
            'spec.persistentVolumeReclaimPolicy: Unsupported value: "Keep": supported values: "Delete", "Recycle", "Retain"',
        ),
        (PERSISTENT_VOLUME_CLAIM, {"accessModes": None}, "spec.accessModes: Required value: at least 1 access mode is required"),
        (PERSISTENT_VOLUME_CLAIM, {"resources": {}}, "spec.resources[storage]: Required value"),
        (
            PERSISTENT_VOLUME_CLAIM,
            {"resources": {"requests": {"storage": "-1"}}},
            'spec.resources[storage]: Invalid value: "-1": must be greater than zero',
        ),
        (
            PERSISTENT_VOLUME_CLAIM,
            {"dataSource": {"kind": "VolumeSnapshot", "name": "s"}},
            "spec.dataSource: Invalid value: \"VolumeSnapshot\": must be 'PersistentVolumeClaim' "
            "when referencing the default apiGroup",
        ),
        (
            PERSISTENT_VOLUME_CLAIM,
            {
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "a"},
                "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "b"},
            },
            'spec: Invalid value: "spec.dataSource": must match dataSourceRef',
        ),
        (STORAGE_CLASS, {"provisioner": ""}, "provisioner: Required value"),
        (
            STORAGE_CLASS,
            {"reclaimPolicy": "Recycle"},
            'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"',
        ),
        (
            STORAGE_CLASS,
            {"volumeBindingMode": "Later"},
            'volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"',
        ),
        (VOLUME_ATTRIBUTES_CLASS, {"parameters": {}}, "parameters: Required value: must contain at least one key/value pair"),
        (
            VOLUME_ATTACHMENT,
            {"source": {}},
            "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        ),
        (
            CSI_DRIVER,
            {"tokenRequests": [{"audience": "a", "expirationSeconds": 60}]},
            "spec.tokenRequests[0].expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes",
        ),
        (
            CSI_DRIVER,
            {"fsGroupPolicy": "Maybe"},
            'spec.fsGroupPolicy: Unsupported value: "Maybe": supported values: "File", "None", "ReadWriteOnceWithFSType"',
        ),
        (CSI_NODE, {"drivers": [{"name": "a", "nodeID": ""}]}, "spec.drivers[0].nodeID: Required value"),
        (
            CSI_NODE,
            {"drivers": [{"name": "a", "nodeID": "n"}, {"name": "a", "nodeID": "n"}]},
            'spec.drivers[1].name: Duplicate value: "a"',
        ),
        (CSI_STORAGE_CAPACITY, {"capacity": "-1"}, 'capacity: Invalid value: "-1": must be greater than or equal to 0'),
    ],
)
def test_refused_in_upstreams_words(kind, members, message):
    assert message in refusals(kind, having(kind, **members))


def test_a_claims_source_is_said_twice():
    source = {"kind": "PersistentVolumeClaim", "name": "a"}
    spec = created(PERSISTENT_VOLUME_CLAIM, having(PERSISTENT_VOLUME_CLAIM, dataSource=source))["spec"]
    assert spec["dataSourceRef"] == source


def test_only_a_bound_claim_grows():
    old = stored(PERSISTENT_VOLUME_CLAIM, having(PERSISTENT_VOLUME_CLAIM, volumeName="v", storageClassName="s"))

    def grow(obj):
        obj["spec"]["resources"] = {"requests": {"storage": "2Gi"}}

    assert changed(PERSISTENT_VOLUME_CLAIM, old, grow)[1] == [
        "spec: Forbidden: spec is immutable after creation except resources.requests and "
        "volumeAttributesClassName for bound claims"
    ]
    bound = put(old, "status", {"phase": "Bound", "capacity": {"storage": "1Gi"}})
    assert changed(PERSISTENT_VOLUME_CLAIM, bound, grow)[1] == []

    def shrink(obj):
        obj["spec"]["resources"] = {"requests": {"storage": "512Mi"}}

    assert changed(PERSISTENT_VOLUME_CLAIM, bound, shrink)[1] == [
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
    ]


def test_a_claim_gets_its_volume_once():
    old = stored(PERSISTENT_VOLUME_CLAIM, sample(PERSISTENT_VOLUME_CLAIM))
    new, wrong = changed(PERSISTENT_VOLUME_CLAIM, old, lambda obj: obj["spec"].update(volumeName="v"))
    assert wrong == []
    assert changed(PERSISTENT_VOLUME_CLAIM, new, lambda obj: obj["spec"].update(volumeName="w"))[1] != []


def test_a_volumes_source_stays():
    old = stored(PERSISTENT_VOLUME, sample(PERSISTENT_VOLUME))
    assert changed(PERSISTENT_VOLUME, old, lambda obj: obj["spec"].update(hostPath={"path": "/other", "type": ""}))[1] == [
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"
    ]
    assert changed(PERSISTENT_VOLUME, old, lambda obj: obj["spec"].update(claimRef={"name": "a"}))[1] == []


@pytest.mark.parametrize("member", ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"])
def test_a_storage_class_stays(member):
    old = stored(STORAGE_CLASS, sample(STORAGE_CLASS))
    value = {"a": "b"} if member == "parameters" else "Other"
    (message,) = changed(STORAGE_CLASS, old, lambda obj: obj.update({member: value}))[1]
    assert message.startswith(f"{member}: Invalid value: ")
    assert message.endswith(": field is immutable")


def test_rows():
    volume = stored(PERSISTENT_VOLUME, having(PERSISTENT_VOLUME, claimRef={"namespace": "default", "name": "c"}))
    assert cells(PERSISTENT_VOLUME, volume) == [
        *("sample", "1Gi", "RWO", "Retain", "Pending", "default/c", "", "<unset>", "", "30s", "Filesystem")
    ]
    claim = stored(PERSISTENT_VOLUME_CLAIM, having(PERSISTENT_VOLUME_CLAIM, volumeName="v", storageClassName="fast"))
    claim["status"] = {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce", "ReadWriteMany"]}
    assert cells(PERSISTENT_VOLUME_CLAIM, claim) == [
        *("sample", "Bound", "v", "1Gi", "RWO,RWX", "fast", "<unset>", "30s", "Filesystem")
    ]
    chosen = stored(STORAGE_CLASS, sample(STORAGE_CLASS))
    chosen["metadata"]["annotations"] = {DEFAULT_ANNOTATION: "true"}
    assert cells(STORAGE_CLASS, chosen) == ["sample (default)", "csi.example.com", "Delete", "Immediate", False, "30s"]
    assert cells(CSI_DRIVER, stored(CSI_DRIVER, sample(CSI_DRIVER))) == [
        *("sample", True, False, False, "<unset>", False, "Persistent", "30s")
    ]
