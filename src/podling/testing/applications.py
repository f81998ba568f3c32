"""Small objects of the kinds that run pods, as clients send them; `spec` adds or overrides."""

from typing import Any

from podling.api.objects import Object


def template(app: str, image: str = "web:1", **spec: Any) -> Object:
    containers = [{"name": "main", "image": image}]
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": containers, **spec}}


def _of(kind: str, name: str, image: str, spec: Object, version: str = "apps/v1") -> Object:
    selected = {"selector": {"matchLabels": {"app": name}}, "template": template(name, image)}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": {**selected, **spec}}


def stateful_set(name: str, replicas: int = 3, image: str = "web:1", **spec: Any) -> Object:
    return _of("StatefulSet", name, image, {"replicas": replicas, "serviceName": name, **spec})


def daemon_set(name: str, image: str = "web:1", **spec: Any) -> Object:
    return _of("DaemonSet", name, image, spec)


def replication_controller(name: str, replicas: int = 3, image: str = "web:1", **spec: Any) -> Object:
    return _of("ReplicationController", name, image, {"replicas": replicas, "selector": {"app": name}, **spec}, "v1")


def job(name: str, **spec: Any) -> Object:
    whole = {"template": template(name, restartPolicy="Never"), **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "default"}, "spec": whole}


def cron_job(name: str, schedule: str = "* * * * *", **spec: Any) -> Object:
    whole = {"schedule": schedule, "jobTemplate": {"spec": job(name)["spec"]}, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": "default"}, "spec": whole}


def claim(name: str, **metadata: Any) -> Object:
    """A volume claim, or a template of one."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": name, **metadata}, "spec": spec}
