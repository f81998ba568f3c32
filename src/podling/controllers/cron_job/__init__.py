"""The CronJob controller: `reconcile` in `controller.py`, times in `schedule.py`.

Source: Kubernetes documentation "CronJob"; k8s.io/kubernetes pkg/controller/cronjob.
"""
