"""Objects for tests of a whole podling, of the image that `Podling.load_busybox` brings; and patience."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "web",
                        "image": "busybox",
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "-c", "echo serving; exec httpd -f -p 8080 -h /etc"],
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "readinessProbe": {"httpGet": {"path": "/hostname", "port": "http"}, "periodSeconds": 1},
                    }
                ],
            },
        },
    },
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
}


def pod(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    """A pod of one busybox container."""
    container: dict[str, Any] = {"name": "main", "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": list(command)}
    container |= spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def eventually(check: Callable[[], T], timeout: float = 20.0) -> T:
    """The first true result of `check`; its last failure when there is none in `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        try:
            if (result := check()) or time.monotonic() > end:
                assert result, "it never became true"
                return result
        except AssertionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)
