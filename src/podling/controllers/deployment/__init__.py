"""The Deployment controller: `reconcile` in `controller.py`; revisions, rollout, scaling and conditions each in their own file.

Source: Kubernetes documentation "Deployments"; conditions, reasons and messages are those that its clients read.
"""
