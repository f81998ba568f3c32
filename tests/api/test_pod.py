import pytest

from podling.api.core import pod as pods
from podling.api.core.pod import POD
from podling.api.core.resources import qos_class
from podling.api.objects import put, thaw
from podling.testing.samples import changed, container, created, pod, refusals, stored


def test_defaults_are_upstreams():
    spec = created(POD, pod(**container(ports=[{"containerPort": 80}], livenessProbe={"httpGet": {"port": 80}})))["spec"]
    (only,) = spec["containers"]
    assert {name: value for name, value in spec.items() if name != "containers"} == {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }
    assert only == {
        "name": "web",
        "image": "nginx:1.27",
        "imagePullPolicy": "IfNotPresent",
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "livenessProbe": {
            "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:00", "IfNotPresent"),
    ],
)
def test_only_the_latest_image_is_always_pulled(image, policy):
    spec = created(POD, pod(containers=[{"name": "a", "image": image}]))["spec"]
    assert spec["containers"][0]["imagePullPolicy"] == policy


def test_volumes_get_their_modes():
    volumes = [
        {"name": "a"},
        {"name": "b", "secret": {"secretName": "s"}},
        {"name": "c", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        {"name": "d", "hostPath": {"path": "/x"}},
    ]
    a, b, c, d = created(POD, pod(volumes=volumes))["spec"]["volumes"]
    assert a["emptyDir"] == {}
    assert b["secret"]["defaultMode"] == 420
    assert c["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 3600
    assert d["hostPath"]["type"] == ""


def test_the_service_account_goes_by_two_names():
    assert created(POD, pod(serviceAccountName="a"))["spec"]["serviceAccount"] == "a"
    assert created(POD, pod(serviceAccount="a"))["spec"]["serviceAccountName"] == "a"


def test_the_hosts_network_takes_the_hosts_ports():
    spec = created(POD, pod(hostNetwork=True, **container(ports=[{"containerPort": 80}])))["spec"]
    assert spec["containers"][0]["ports"][0]["hostPort"] == 80


def test_a_new_pod_is_pending_and_generation_one():
    new = created(POD, {**pod(), "status": {"phase": "Running"}})
    assert new["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert new["metadata"]["generation"] == 1


def limits(**amounts):
    return {"limits": amounts}


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "0"}}], "BestEffort"),
        ([{"requests": {"ephemeral-storage": "1Gi"}}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([limits(cpu="1", memory="1Gi")], "Guaranteed"),
        ([limits(cpu="1", memory="1Gi"), {}], "Burstable"),
        ([{**limits(cpu="1", memory="1Gi"), "requests": {"cpu": "1000m"}}], "Guaranteed"),
        ([{**limits(cpu="1", memory="1Gi"), "requests": {"cpu": "500m"}}], "Burstable"),
        ([limits(cpu="1")], "Burstable"),
    ],
)
def test_the_quality_of_service_follows_from_the_resources(needs, expected):
    containers = [{"name": f"c{index}", "image": "a:1", "resources": need} for index, need in enumerate(needs)]
    assert created(POD, pod(containers=containers))["status"]["qosClass"] == expected
    assert qos_class({"containers": containers}) == expected


def test_a_limit_is_a_request_too():
    resources = created(POD, pod(**container(resources=limits(cpu="1"))))["spec"]["containers"][0]["resources"]
    assert resources["requests"] == {"cpu": "1"}


C = "spec.containers[0]"

REFUSED = [
    (pod(containers=[]), "spec.containers: Required value"),
    (pod(containers=[{"image": "a"}]), f"{C}.name: Required value"),
    (pod(containers=[{"name": "a"}]), f"{C}.image: Required value"),
    (
        pod(containers=[{"name": "a", "image": "a"}, {"name": "a", "image": "b"}]),
        'spec.containers[1].name: Duplicate value: "a"',
    ),
    (
        pod(**container(), initContainers=[{"name": "web", "image": "b"}]),
        'spec.initContainers[0].name: Duplicate value: "web"',
    ),
    (pod(**container(image="a ")), f'{C}.image: Invalid value: "a ": must not have leading or trailing whitespace'),
    (
        pod(**container(imagePullPolicy="Never!")),
        f'{C}.imagePullPolicy: Unsupported value: "Never!": supported values: "Always", "IfNotPresent", "Never"',
    ),
    (pod(**container(ports=[{"name": "a"}])), f"{C}.ports[0].containerPort: Required value"),
    (
        pod(**container(ports=[{"containerPort": 70000}])),
        f"{C}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
    ),
    (
        pod(**container(ports=[{"containerPort": 1, "protocol": "tcp"}])),
        f'{C}.ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
    ),
    (
        pod(**container(ports=[{"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}])),
        f'{C}.ports[1].hostPort: Duplicate value: "TCP//5"',
    ),
    (
        pod(hostNetwork=True, **container(ports=[{"containerPort": 1, "hostPort": 5}])),
        f"{C}.ports[0].hostPort: Invalid value: 5: must match `containerPort` when `hostNetwork` is true",
    ),
    (pod(**container(env=[{"value": "x"}])), f"{C}.env[0].name: Required value"),
    (
        pod(**container(env=[{"name": "A", "valueFrom": {}}])),
        f'{C}.env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, '
        "`secretKeyRef` or `fileKeyRef`",
    ),
    (
        pod(**container(env=[{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])),
        f'{C}.env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    ),
    (
        pod(**container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.foo"}}}])),
        f'{C}.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.foo": supported values: "metadata.name", '
        '"metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", '
        '"status.hostIPs", "status.podIP", "status.podIPs"',
    ),
    (
        pod(**container(envFrom=[{}])),
        f'{C}.envFrom[0]: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
    ),
    (
        pod(**container(volumeMounts=[{"name": "v", "mountPath": "/v"}])),
        f'{C}.volumeMounts[0].name: Not found: "v"',
    ),
    (
        pod(
            **container(volumeMounts=[{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/v"}]),
            volumes=[{"name": "v"}],
        ),
        f'{C}.volumeMounts[1].mountPath: Invalid value: "/v": must be unique',
    ),
    (
        pod(**container(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "../x"}]), volumes=[{"name": "v"}]),
        f"{C}.volumeMounts[0].subPath: Invalid value: \"../x\": must not contain '..'",
    ),
    (
        pod(**container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})),
        f'{C}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ),
    (
        pod(**container(resources={"limits": {"memory": "-1"}})),
        f'{C}.resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0',
    ),
    (
        pod(**container(resources={"limits": {"example.com/gpu": "500m"}})),
        f'{C}.resources.limits[example.com/gpu]: Invalid value: "500m": must be an integer',
    ),
    (
        pod(**container(resources={"limits": {"gpu": "1"}})),
        f'{C}.resources.limits: Invalid value: "gpu": must be a standard resource type or fully qualified',
    ),
    (pod(**container(livenessProbe={})), f"{C}.livenessProbe: Required value: must specify a handler type"),
    (
        pod(**container(readinessProbe={"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}})),
        f"{C}.readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
    ),
    (
        pod(**container(livenessProbe={"exec": {"command": ["a"]}, "successThreshold": 2})),
        f"{C}.livenessProbe.successThreshold: Invalid value: 2: must be 1",
    ),
    (
        pod(**container(readinessProbe={"exec": {}})),
        f"{C}.readinessProbe.exec.command: Required value",
    ),
    (
        pod(**container(readinessProbe={"httpGet": {"port": 0}})),
        f"{C}.readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
    ),
    (
        pod(**container(), initContainers=[{"name": "i", "image": "i", "livenessProbe": {"exec": {"command": ["a"]}}}]),
        "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
    ),
    (
        pod(**container(securityContext={"privileged": True, "allowPrivilegeEscalation": False})),
        f'{C}.securityContext: Invalid value: {{"privileged":true,"allowPrivilegeEscalation":false}}: '
        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
    ),
    (pod(restartPolicy="No"), 'spec.restartPolicy: Unsupported value: "No": supported values: "Always", "OnFailure", "Never"'),
    (pod(activeDeadlineSeconds=0), "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"),
    (pod(dnsPolicy="None"), "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"),
    (pod(nodeSelector={"-": "x"}), 'spec.nodeSelector: Invalid value: "-": name part must consist'),
    (
        pod(tolerations=[{"effect": "NoSchedule"}]),
        'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means "match '
        'all values and all keys"',
    ),
    (
        pod(tolerations=[{"key": "a", "operator": "Exists", "tolerationSeconds": 3, "effect": "NoSchedule"}]),
        "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
    ),
    (
        pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: "
        "must have at least one node selector term",
    ),
    (
        pod(affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {}}]}}),
        "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: "
        "can not be empty",
    ),
    (
        pod(topologySpreadConstraints=[{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
        "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than 0",
    ),
    (pod(volumes=[{"emptyDir": {}}]), "spec.volumes[0].name: Required value"),
    (pod(volumes=[{"name": "a"}, {"name": "a"}]), 'spec.volumes[1].name: Duplicate value: "a"'),
    (
        pod(volumes=[{"name": "a", "emptyDir": {}, "hostPath": {"path": "/"}}]),
        "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
    ),
    (pod(volumes=[{"name": "a", "hostPath": {"path": ""}}]), "spec.volumes[0].hostPath.path: Required value"),
    (
        pod(volumes=[{"name": "a", "configMap": {"name": "c", "defaultMode": 0o1000}}]),
        "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
    ),
    (
        pod(volumes=[{"name": "a", "secret": {"secretName": "s", "items": [{"key": "k", "path": "/x"}]}}]),
        'spec.volumes[0].secret.items[0].path: Invalid value: "/x": must be a relative path',
    ),
    (
        pod(volumes=[{"name": "a", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
        "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName "
        "is not set",
    ),
    (
        pod(
            serviceAccountName="a",
            volumes=[{"name": "a", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 5}}]}}],
        ),
        "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a "
        "duration less than 10 minutes",
    ),
    (
        pod(volumes=[{"name": "a", "downwardAPI": {"items": [{"path": "p"}]}}]),
        "spec.volumes[0].downwardAPI.items[0]: Required value: one of fieldRef and resourceFieldRef is required",
    ),
    (pod(ephemeralContainers=[{"name": "d", "image": "d"}]), "spec.ephemeralContainers: Forbidden: cannot be set on create"),
    (
        pod(hostAliases=[{"ip": "x"}]),
        'spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ),
]


@pytest.mark.parametrize(("obj", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_a_bad_pod_is_refused_in_upstreams_words(obj, message):
    assert [found for found in refusals(POD, obj) if found.startswith(message)], refusals(POD, obj)


def test_a_pod_with_everything_is_accepted():
    volumes = [
        {"name": "a", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "b", "configMap": {"name": "c"}},
        {"name": "c", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "d", "persistentVolumeClaim": {"claimName": "p"}},
        {"name": "e", "iscsi": {"targetPortal": "x", "iqn": "y", "lun": 0}},
    ]
    env = [
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app.kubernetes.io/name']"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
    ]
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in "abcde"]
    obj = pod(
        containers=[{"name": "w", "image": "w:1", "env": env, "volumeMounts": mounts, "startupProbe": {"grpc": {"port": 5}}}],
        initContainers=[{"name": "s", "image": "s", "restartPolicy": "Always", "readinessProbe": {"tcpSocket": {"port": "h"}}}],
        volumes=volumes,
        tolerations=[{"operator": "Exists"}],
        topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    )
    assert refusals(POD, obj) == []


def test_an_image_may_change_and_raises_the_generation():
    new, wrong = changed(POD, stored(POD, pod()), lambda obj: obj["spec"]["containers"][0].update(image="nginx:2"))
    assert wrong == []
    assert new["metadata"]["generation"] == 2


def test_other_fields_may_not_change():
    _, wrong = changed(POD, stored(POD, pod()), lambda obj: obj["spec"].update(nodeSelector={"a": "b"}))
    assert len(wrong) == 1
    assert wrong[0].startswith(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
        "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
    )
    assert wrong[0].endswith('\n- nodeSelector: null\n+ nodeSelector: {"a": "b"}')
    _, wrong = changed(POD, stored(POD, pod()), lambda obj: obj["spec"]["containers"][0].update(args=["x"]))
    assert wrong[0].endswith('\n- containers[0].args: null\n+ containers[0].args: ["x"]')


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"containers": []}, "spec.containers: Forbidden: pod updates may not add or remove containers"),
        (
            {"tolerations": []},
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ),
        (
            {"activeDeadlineSeconds": 60},
            "spec.activeDeadlineSeconds: Invalid value: 60: must be less than or equal to previous value",
        ),
        (
            {"activeDeadlineSeconds": None},
            "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
        ),
    ],
)
def test_what_may_change_may_only_change_one_way(edit, message):
    old = stored(POD, pod(tolerations=[{"key": "a", "operator": "Exists"}], activeDeadlineSeconds=30))
    assert message in changed(POD, old, lambda obj: obj["spec"].update(edit))[1]


def test_tolerations_may_be_added():
    old = stored(POD, pod(tolerations=[{"key": "a", "operator": "Exists", "effect": "NoExecute"}]))
    more = [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}, {"key": "b", "operator": "Exists"}]
    assert changed(POD, old, lambda obj: obj["spec"].update(tolerations=more))[1] == []


def test_the_status_changes_by_its_own_door_only():
    old = put(stored(POD, pod()), "status.phase", "Running")
    new, _ = changed(POD, old, lambda obj: obj.update(status={"phase": "Failed"}))
    assert new["status"]["phase"] == "Running"
    wish = put(put(old, "status.phase", "Failed"), "spec.nodeName", "elsewhere")
    wish = thaw(wish)
    POD.prepare_status(wish, old)
    assert wish["status"]["phase"] == "Failed"
    assert wish["spec"] == old["spec"]


def test_ephemeral_containers_are_added_for_good():
    old = stored(POD, pod())
    wish = put(old, "spec.ephemeralContainers", [{"name": "debug", "image": "busybox"}])
    new = pods.prepare_ephemeral(wish, old)
    assert new["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"] == "File"
    assert pods.ephemeral_errors(new, old) == []
    assert [str(error) for error in pods.ephemeral_errors(old, new)] == [
        'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed'
    ]
    taken = put(old, "spec.ephemeralContainers", [{"name": "web", "image": "busybox", "ports": [{"containerPort": 1}]}])
    assert [str(error) for error in pods.ephemeral_errors(taken, old)] == [
        'spec.ephemeralContainers[0].name: Duplicate value: "web"',
        "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
    ]


def test_a_gated_pod_says_so_and_its_gates_only_go():
    old = stored(POD, pod(schedulingGates=[{"name": "a.b/c"}]))
    assert old["status"]["conditions"][0]["reason"] == "SchedulingGated"
    assert changed(POD, old, lambda obj: obj["spec"].update(schedulingGates=[], nodeSelector={"a": "b"}))[1] == []
    _, wrong = changed(POD, old, lambda obj: obj["spec"].update(schedulingGates=[{"name": "x.y/z"}]))
    assert "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'x.y/z'" in wrong


def test_field_selectors_see_where_a_pod_runs():
    values = POD.field_values(put(stored(POD, pod()), "spec.nodeName", "n1"))
    assert values["spec.nodeName"] == "n1"
    assert values["status.phase"] == "Pending"
    assert values["metadata.namespace"] == "default"
    assert values["spec.hostNetwork"] == "false"
    assert POD.selectable("status.podIP")
    assert not POD.selectable("spec.foo")
