"""The StatefulSet controller: `reconcile` in `controller.py`; identities, claims and status each in their own file.

Source: Kubernetes documentation "StatefulSets"; k8s.io/kubernetes pkg/controller/statefulset.
"""
