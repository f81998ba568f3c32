"""Each namespace has a service account `default` and the cluster's root certificates in `kube-root-ca.crt`.

Source: Kubernetes documentation "Managing Service Accounts", "Root CA certificate ConfigMap".
"""

from podling.api.objects import Object, is_deleting, name_of, namespace_of
from podling.client.resource import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import NOTHING, Action, Create, Patch, Plan
from podling.controllers.view import Key, View

ACCOUNT, ROOT_CA = "default", "kube-root-ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)


def service_account(ca: bytes) -> Controller:
    """The controller that publishes `ca` (PEM)."""
    certificates = {"ca.crt": ca.decode()}

    def reconcile(namespace: Object, view: View, now: float) -> Plan:
        if is_deleting(namespace):
            return NOTHING
        name = name_of(namespace)
        actions: list[Action] = []
        if view.get(SERVICE_ACCOUNTS, ACCOUNT, name) is None:
            actions.append(Create(SERVICE_ACCOUNTS, _account(name)))
        current = view.get(CONFIG_MAPS, ROOT_CA, name)
        if current is None:
            actions.append(Create(CONFIG_MAPS, _root_ca(name, certificates)))
        elif current.get("data") != certificates:
            actions.append(Patch(CONFIG_MAPS, current, {"data": certificates}))
        return Plan(actions)

    return Controller(
        "serviceaccount",
        primary=(Watch(NAMESPACES),),
        reconcile=reconcile,
        watches=(
            Watch(SERVICE_ACCOUNTS, its_namespace, fields=f"metadata.name={ACCOUNT}"),
            Watch(CONFIG_MAPS, its_namespace, fields=f"metadata.name={ROOT_CA}"),
        ),
    )


def its_namespace(obj: Object, view: View) -> list[Key]:
    return [(NAMESPACES, namespace_of(obj))]


def _account(namespace: str) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": namespace}}


def _root_ca(namespace: str, data: dict[str, str]) -> Object:
    annotations = {"kubernetes.io/description": DESCRIPTION}
    metadata = {"name": ROOT_CA, "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
