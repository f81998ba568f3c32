"""The HorizontalPodAutoscaler controller: `reconcile` in `controller.py`; what metrics ask for and how fast it may go in files of
their own.

Source: Kubernetes documentation "Horizontal Pod Autoscaling"; k8s.io/kubernetes pkg/controller/podautoscaler.
"""
