"""What a person sees of the controllers and the scheduler, through the API server, in simulated time."""

from podling.api.objects import Object, condition, labels_of, name_of
from podling.client.resource import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from podling.testing.simulation import CA, Simulation, deployment


def images(pods: list[Object]) -> list[str]:
    return sorted(pod["spec"]["containers"][0]["image"] for pod in pods)


async def set_image(cluster: Simulation, name: str, image: str) -> None:
    containers = [{"name": "main", "image": image}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    await cluster.client.patch(DEPLOYMENTS, name, patch, "default", type="strategic")


async def progress(cluster: Simulation, name: str) -> tuple[str, str, str]:
    found = condition(await cluster.client.get(DEPLOYMENTS, name, "default"), "Progressing")
    assert found is not None
    return found["status"], found["reason"], found["message"]


async def test_a_deployment_runs_its_pods_on_all_nodes(cluster: Simulation) -> None:
    await cluster.deploy("web", 6)
    await cluster.advance(1)
    pods = await cluster.pods()
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == ["node-0", "node-0", "node-1", "node-1", "node-2", "node-2"]
    web = await cluster.client.get(DEPLOYMENTS, "web", "default")
    assert web["status"]["availableReplicas"] == 6
    (rs,) = await cluster.replica_sets()
    assert await progress(cluster, "web") == (
        "True",
        "NewReplicaSetAvailable",
        f'ReplicaSet "{name_of(rs)}" has successfully progressed.',
    )


async def test_events_tell_what_happened(cluster: Simulation) -> None:
    await cluster.deploy("web", 1)
    await cluster.advance(1)
    (rs,) = await cluster.replica_sets()
    (pod,) = await cluster.pods()
    events = {(event["reason"], event["message"]) for event in (await cluster.client.list(EVENTS, "default")).items}
    assert ("ScalingReplicaSet", f"Scaled up replica set {name_of(rs)} from 0 to 1") in events
    assert ("SuccessfulCreate", f"Created pod: {name_of(pod)}") in events
    assert ("Scheduled", f"Successfully assigned default/{name_of(pod)} to {pod['spec']['nodeName']}") in events


async def test_a_rolling_update_never_leaves_its_bounds_and_ends_on_the_new_image(cluster: Simulation) -> None:
    await cluster.deploy("web", 8)
    await cluster.advance(1)
    ready: list[int] = []
    total: list[int] = []

    def watch(old: Object | None, new: Object | None) -> None:
        pods = [pod for pod in cluster.informers.of(PODS).cache if not pod["metadata"].get("deletionTimestamp")]
        ready.append(sum((condition(pod, "Ready") or {}).get("status") == "True" for pod in pods))
        total.append(len(pods))

    cluster.informers.of(PODS).add_handler(watch)
    ready.clear()
    total.clear()
    await set_image(cluster, "web", "web:2")
    await cluster.advance(5)
    assert images(await cluster.pods()) == ["web:2"] * 8
    assert min(ready) >= 6
    assert max(total) <= 10


async def test_a_bad_image_leaves_old_pods_serving_and_the_deadline_tells(cluster: Simulation) -> None:
    cluster.kubelet.broken.add("web:bad")
    await cluster.deploy("web", 4, progressDeadlineSeconds=60)
    await cluster.advance(1)
    await set_image(cluster, "web", "web:bad")
    await cluster.advance(30)
    assert images(await cluster.pods()).count("web:1") == 3
    assert (await progress(cluster, "web"))[1] == "ReplicaSetUpdated"
    await cluster.advance(60)
    assert (await progress(cluster, "web"))[:2] == ("False", "ProgressDeadlineExceeded")


async def test_undo_takes_the_old_replica_set_up_again_under_a_new_revision(cluster: Simulation) -> None:
    first = await cluster.deploy("web", 2)
    await cluster.advance(1)
    (before,) = await cluster.replica_sets()
    await set_image(cluster, "web", "web:2")
    await cluster.advance(2)
    # `kubectl rollout undo` replaces the template by that of the older ReplicaSet.
    undo = [{"op": "replace", "path": "/spec/template", "value": first["spec"]["template"]}]
    await cluster.client.patch(DEPLOYMENTS, "web", undo, "default", type="json")
    await cluster.advance(2)
    after = await cluster.client.get(REPLICA_SETS, name_of(before), "default")
    assert after["status"]["replicas"] == 2
    assert after["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert after["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    web = await cluster.client.get(DEPLOYMENTS, "web", "default")
    assert web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert len(await cluster.replica_sets()) == 2


async def test_recreate_ends_all_old_pods_before_it_starts_new_ones(cluster: Simulation) -> None:
    await cluster.deploy("web", 3, strategy={"type": "Recreate"})
    await cluster.advance(1)
    mixed: list[list[str]] = []
    informer = cluster.informers.of(PODS)
    informer.add_handler(lambda old, new: mixed.append(sorted(set(images(list(informer.cache))))))
    await set_image(cluster, "web", "web:2")
    await cluster.advance(2)
    assert images(await cluster.pods()) == ["web:2"] * 3
    assert ["web:1", "web:2"] not in mixed


async def test_pause_holds_a_change_back_and_resume_lets_it_go(cluster: Simulation) -> None:
    await cluster.deploy("web", 2)
    await cluster.advance(1)
    await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"paused": True}}, "default")
    await set_image(cluster, "web", "web:2")
    await cluster.advance(2)
    assert images(await cluster.pods()) == ["web:1"] * 2
    assert (await progress(cluster, "web"))[1:] == ("DeploymentPaused", "Deployment is paused")
    await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"paused": None}}, "default")
    await cluster.advance(2)
    assert images(await cluster.pods()) == ["web:2"] * 2


async def test_scaling_up_down_and_to_nothing(cluster: Simulation) -> None:
    await cluster.deploy("web", 2)
    for wanted in (7, 3, 0, 1):
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": wanted}}, "default")
        await cluster.advance(1)
        assert len(await cluster.pods()) == wanted


async def test_old_revisions_beyond_the_limit_go(cluster: Simulation) -> None:
    await cluster.deploy("web", 1, revisionHistoryLimit=1)
    for number in range(2, 5):
        await cluster.advance(1)
        await set_image(cluster, "web", f"web:{number}")
    await cluster.advance(2)
    templates = [rs["spec"]["template"]["spec"]["containers"][0]["image"] for rs in await cluster.replica_sets()]
    assert sorted(templates) == ["web:3", "web:4"]


async def test_a_deleted_pod_is_replaced_and_a_matching_orphan_adopted(cluster: Simulation) -> None:
    await cluster.deploy("web", 2)
    await cluster.advance(1)
    gone, kept = await cluster.pods()
    await cluster.client.delete(PODS, name_of(gone), "default")
    await cluster.advance(1)
    pods = await cluster.pods()
    assert len(pods) == 2
    assert name_of(kept) in {name_of(pod) for pod in pods}
    released = {"metadata": {"labels": {"app": "elsewhere"}}}
    await cluster.client.patch(PODS, name_of(kept), released, "default")
    await cluster.advance(1)
    assert len([pod for pod in await cluster.pods() if labels_of(pod)["app"] == "web"]) == 2
    assert "ownerReferences" not in (await cluster.client.get(PODS, name_of(kept), "default"))["metadata"]


async def test_deleting_a_deployment_takes_all_below_it(cluster: Simulation) -> None:
    await cluster.deploy("web", 3)
    await cluster.advance(1)
    await cluster.client.delete(DEPLOYMENTS, "web", "default")
    await cluster.advance(2)
    assert await cluster.replica_sets() == []
    assert await cluster.pods() == []


async def test_foreground_deletion_waits_for_what_is_below(cluster: Simulation) -> None:
    await cluster.deploy("web", 2)
    await cluster.advance(1)
    cluster.kubelet.silent |= {"node-0", "node-1", "node-2"}  # pods don't end
    await cluster.client.delete(DEPLOYMENTS, "web", "default", propagation="Foreground")
    await cluster.advance(2)
    web = await cluster.client.get(DEPLOYMENTS, "web", "default")
    assert web["metadata"]["finalizers"] == ["foregroundDeletion"]
    for pod in (await cluster.client.list(PODS, "default")).items:
        assert pod["metadata"]["deletionTimestamp"]
        await cluster.client.delete(PODS, name_of(pod), "default", grace=0)
    await cluster.advance(2)
    assert (await cluster.client.list(DEPLOYMENTS, "default")).items == []
    assert await cluster.replica_sets() == []


async def test_orphaned_pods_go_on_without_an_owner(cluster: Simulation) -> None:
    await cluster.deploy("web", 2)
    await cluster.advance(1)
    await cluster.client.delete(DEPLOYMENTS, "web", "default", propagation="Orphan")
    await cluster.advance(2)
    (rs,) = await cluster.replica_sets()
    assert not rs["metadata"].get("ownerReferences")
    assert len(await cluster.pods()) == 2


async def test_a_namespace_goes_with_all_that_is_in_it(cluster: Simulation) -> None:
    await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    await cluster.client.create(DEPLOYMENTS, deployment("web", 2, "web:1", namespace="shop"))
    await cluster.advance(1)
    assert len(await cluster.pods("shop")) == 2
    await cluster.client.delete(NAMESPACES, "shop")
    await cluster.advance(20)
    assert not await cluster.exists("shop")
    assert [pod for pod in (await cluster.client.list(PODS)).items if pod["metadata"]["namespace"] == "shop"] == []


async def test_a_namespace_with_a_held_object_says_what_holds_it(cluster: Simulation) -> None:
    await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    held = {"name": "held", "namespace": "shop", "finalizers": ["example.com/hold"]}
    await cluster.client.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    await cluster.advance(1)
    await cluster.client.delete(NAMESPACES, "shop")
    await cluster.advance(10)
    remaining = condition(await cluster.client.get(NAMESPACES, "shop"), "NamespaceFinalizersRemaining")
    assert remaining is not None
    assert remaining["message"] == (
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
    )
    await cluster.client.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, "shop")
    await cluster.advance(10)
    assert not await cluster.exists("shop")


async def test_every_namespace_has_its_account_and_the_root_certificate(cluster: Simulation) -> None:
    await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    await cluster.advance(1)
    await cluster.client.get(SERVICE_ACCOUNTS, "default", "shop")
    await cluster.client.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "forged"}}, "shop")
    await cluster.advance(1)
    assert (await cluster.client.get(CONFIG_MAPS, "kube-root-ca.crt", "shop"))["data"] == {"ca.crt": CA.decode()}
    await cluster.client.delete(SERVICE_ACCOUNTS, "default", "shop")
    await cluster.advance(1)
    await cluster.client.get(SERVICE_ACCOUNTS, "default", "shop")


async def test_a_service_follows_its_pods(cluster: Simulation) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    spec = {"selector": {"app": "web"}, "ports": ports}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": spec}
    await cluster.client.create(SERVICES, service)
    await cluster.deploy("web", 3)
    await cluster.advance(2)
    pods = await cluster.pods()
    (one,) = await slices(cluster)
    assert sorted(end["addresses"][0] for end in one["endpoints"]) == sorted(pod["status"]["podIP"] for pod in pods)
    assert all(end["conditions"] == {"ready": True, "serving": True, "terminating": False} for end in one["endpoints"])
    assert one["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
    old = await cluster.client.get(ENDPOINTS, "web", "default")
    assert len(old["subsets"][0]["addresses"]) == 3
    await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 1}}, "default")
    await cluster.advance(2)
    (one,) = await slices(cluster)
    assert len(one["endpoints"]) == 1
    await cluster.client.delete(SERVICES, "web", "default")
    await cluster.advance(2)
    assert await slices(cluster) == []


async def slices(cluster: Simulation) -> list[Object]:
    found = (await cluster.client.list(ENDPOINT_SLICES, "default")).items
    return [one for one in found if labels_of(one).get("kubernetes.io/service-name") == "web"]


async def test_a_lost_node_is_noticed_and_its_pods_move(cluster: Simulation) -> None:
    await cluster.deploy("web", 3)
    await cluster.advance(1)
    cluster.kubelet.silent.add("node-1")
    await cluster.advance(60)
    lost = await cluster.client.get(NODES, "node-1")
    ready = condition(lost, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert {(taint["key"], taint["effect"]) for taint in lost["spec"]["taints"]} == {
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
    }
    (stranded,) = [pod for pod in await cluster.pods() if pod["spec"]["nodeName"] == "node-1"]
    unready = condition(stranded, "Ready")
    assert unready is not None
    assert unready["status"] == "False"
    await cluster.advance(310)  # pods stay for 300 s by default
    assert {pod["spec"]["nodeName"] for pod in await cluster.pods()} == {"node-0", "node-2"}


async def test_a_node_that_comes_back_is_used_again(cluster: Simulation) -> None:
    cluster.kubelet.silent.add("node-1")
    await cluster.advance(60)
    cluster.kubelet.silent.clear()
    await cluster.advance(20)
    back = await cluster.client.get(NODES, "node-1")
    assert "taints" not in back["spec"] or not back["spec"]["taints"]


async def test_pods_of_a_removed_node_go(cluster: Simulation) -> None:
    await cluster.deploy("web", 3)
    await cluster.advance(1)
    cluster.kubelet.silent.add("node-1")
    await cluster.client.delete(NODES, "node-1")
    await cluster.advance(60)
    pods = (await cluster.client.list(PODS, "default")).items
    assert sorted({pod["spec"]["nodeName"] for pod in pods}) == ["node-0", "node-2"]
    assert len(pods) == 3
