"""Admission of DefaultStorageClass, DefaultIngressClass and StorageObjectInUseProtection.

Source: Kubernetes documentation "Admission Control", "Storage Object in Use Protection".
"""

from typing import Any

from podling.api.core.storage import CLASS_ANNOTATION
from podling.api.objects import annotations_of, get
from podling.apiserver.admission import CREATE, Review, concerns

Object = dict[str, Any]

DEFAULT_STORAGE = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
DEFAULT_INGRESS = ("ingressclass.kubernetes.io/is-default-class",)
INGRESS_ANNOTATION = "kubernetes.io/ingress.class"
PROTECTED = {
    ("", "persistentvolumeclaims"): "kubernetes.io/pvc-protection",
    ("", "persistentvolumes"): "kubernetes.io/pv-protection",
    ("storage.k8s.io", "volumeattributesclasses"): "kubernetes.io/vac-protection",
}


@concerns((CREATE,), [("", "persistentvolumeclaims")])
async def default_storage_class(review: Review) -> None:
    """Gives a claim that names no class the default one."""
    claim = review.obj
    if claim is None or not review.is_(CREATE, "", "persistentvolumeclaims"):
        return
    named = get(claim, "spec.storageClassName") is not None or CLASS_ANNOTATION in annotations_of(claim)
    if not named and (chosen := _default(review, ("storage.k8s.io", "storageclasses"), DEFAULT_STORAGE)):
        claim["spec"] = {**claim["spec"], "storageClassName": chosen}


@concerns((CREATE,), [("networking.k8s.io", "ingresses")])
async def default_ingress_class(review: Review) -> None:
    """Gives an ingress that names no class the default one."""
    ingress = review.obj
    if ingress is None or not review.is_(CREATE, "networking.k8s.io", "ingresses"):
        return
    named = get(ingress, "spec.ingressClassName") is not None or INGRESS_ANNOTATION in annotations_of(ingress)
    if not named and (chosen := _default(review, ("networking.k8s.io", "ingressclasses"), DEFAULT_INGRESS)):
        ingress["spec"] = {**(ingress.get("spec") or {}), "ingressClassName": chosen}


def _default(review: Review, resource: tuple[str, str], marks: tuple[str, ...]) -> str:
    """The name of the default class: of several the newest, then the first by name; "" for none."""
    marked = [
        one for one in review.backend.storage.objects(resource) if any(annotations_of(one).get(mark) == "true" for mark in marks)
    ]
    marked.sort(key=lambda one: one["metadata"]["name"])
    newest = max(marked, key=lambda one: one["metadata"]["creationTimestamp"], default=None)
    return newest["metadata"]["name"] if newest else ""


@concerns((CREATE,), PROTECTED)
async def storage_object_in_use_protection(review: Review) -> None:
    """Adds the finalizer that keeps what is in use."""
    finalizer = PROTECTED.get(review.kind.storage)
    if review.obj is None or finalizer is None or not review.is_(CREATE, *review.kind.storage):
        return
    metadata = review.obj["metadata"]
    if finalizer not in (present := metadata.get("finalizers") or []):
        metadata["finalizers"] = [*present, finalizer]
