"""The Job controller: `reconcile` in `controller.py`; counting, verdicts, failures and new pods each in their own file.

Source: Kubernetes documentation "Jobs"; k8s.io/kubernetes pkg/controller/job.
"""
