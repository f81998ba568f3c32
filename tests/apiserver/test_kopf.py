"""An operator of kopf's, unchanged: it sees custom resources come, change and go, and writes their status."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podling.testing.apiserver import Served

pytest.importorskip("kopf")

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: gadgets, kind: Gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""
OPERATOR = """
import kopf

@kopf.on.create("gadgets")
def created(spec, **_):
    return {"size": spec["size"]}

@kopf.on.update("gadgets")
def updated(spec, patch, **_):
    patch.status["updated"] = spec["size"]

@kopf.on.delete("gadgets")
def deleted(name, **_):
    print("DELETED", name, flush=True)
"""
GADGET = "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: g}\nspec: {size: %d}\n"


@pytest.fixture
def operator(served: Served, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    served.kubectl("apply", "-f", "-", stdin=DEFINITION)
    file = tmp_path / "operator.py"
    file.write_text(textwrap.dedent(OPERATOR))
    command = [sys.executable, "-m", "kopf", "run", "--all-namespaces", str(file)]
    environment = {**os.environ, "KUBECONFIG": str(served.kubeconfig)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def eventually(read: Callable[[], str], wanted: str) -> None:
    deadline = time.monotonic() + 20
    while (found := read()) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_an_operator_follows_its_resources(served: Served, operator: "subprocess.Popen[str]") -> None:
    def shown(path: str) -> Callable[[], str]:
        return lambda: served.kubectl("get", "gadget", "g", "-o", f"jsonpath={{{path}}}")

    served.kubectl("apply", "-f", "-", stdin=GADGET % 1)
    eventually(shown(".status.created.size"), "1")
    served.kubectl("apply", "-f", "-", stdin=GADGET % 2)
    eventually(shown(".status.updated"), "2")
    served.kubectl("delete", "gadget", "g", "--timeout=20s")
    operator.terminate()
    output, _ = operator.communicate(timeout=20)
    assert "DELETED g" in output
