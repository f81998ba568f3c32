"""v1 ServiceAccount. Source: Kubernetes API reference, "ServiceAccount"."""

from podling.api.columns import AGE, NAME, count_of
from podling.api.kind import Column, Kind, Subresource

SERVICE_ACCOUNT = Kind(
    api_version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    short=("sa",),
    subresources=(Subresource("token", ("create",), kind="TokenRequest", api_version="authentication.k8s.io/v1"),),
    columns=(NAME, Column("Secrets", count_of("secrets")), AGE),
)
