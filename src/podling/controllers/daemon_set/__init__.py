"""The DaemonSet controller: `reconcile` in `controller.py`; where its pods belong and how they are renewed in files of their own.

Source: Kubernetes documentation "DaemonSet"; k8s.io/kubernetes pkg/controller/daemon.
"""
