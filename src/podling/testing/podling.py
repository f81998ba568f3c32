"""A whole podling for tests: in a network namespace and a root of its own, driven by the real docker and kubectl.

def test_web(podling):
    podling.docker("run", "-d", "--name", "web", "busybox", "httpd", "-f")
    podling.kubectl("get", "nodes")
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from podling.app import nodes
from podling.app.config import Config, load
from podling.linux import namespace
from podling.testing.images import busybox_archive
from podling.testing.leaks import Leftovers

START_TIMEOUT = 120.0


@dataclass(slots=True)
class Podling:
    """One podling. Commands run inside its network namespace, where its API and its services answer."""

    root: Path
    netns: Path
    flags: tuple[str, ...] = ()
    _config: Config | None = field(default=None, repr=False)

    @classmethod
    def create(cls, root: Path, *flags: str) -> Self:
        """Make the namespace and the folders; nothing runs yet."""
        root.mkdir(parents=True, exist_ok=True)
        netns = root / "netns"
        namespace.create({"net": netns}, namespace.loopback_up)
        return cls(root, netns, flags)

    @property
    def config(self) -> Config:
        """As `podling up` settled it; read anew until the root remembers it."""
        if self._config is None or not (self.config_root / "instance.json").exists():
            self._config = load({"root": self.config_root}, self.environment())
        return self._config

    @property
    def config_root(self) -> Path:
        return self.root / "podling"

    @property
    def socket(self) -> Path:
        return self.config_root / "run/docker.sock"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    def environment(self) -> dict[str, str]:
        """The variables that make docker, kubectl and podling mean this one."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PODLING_", "DOCKER_", "KUBE"))}
        return {
            **kept,
            "HOME": str(self.root),
            "KUBECONFIG": str(self.kubeconfig),
            "DOCKER_CONFIG": str(self.root / "docker"),
            "DOCKER_HOST": f"unix://{self.socket}",
            "PODLING_ROOT": str(self.config_root),
        }

    def run(
        self, *argv: str, input: str | bytes | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace; output as text. With `check`, a failure raises AssertionError with its stderr."""
        done = subprocess.run(
            self.command(*argv),
            input=input.encode() if isinstance(input, str) else input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=timeout,
            env=self.environment(),
            check=False,
        )
        output, errors = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        result = subprocess.CompletedProcess(argv, done.returncode, output, errors)
        if check and result.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def command(self, *argv: str) -> list[str]:
        """The argument list that runs `argv` in the namespace, for tests that hold the process."""
        return ["nsenter", f"--net={self.netns}", *argv]

    def podling(self, *arguments: str, check: bool = True, timeout: float = START_TIMEOUT) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "podling", *arguments, check=check, timeout=timeout)

    def docker(
        self, *arguments: str, input: str | bytes | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return self.run("docker", *arguments, input=input, check=check, timeout=timeout)

    def kubectl(
        self, *arguments: str, input: str | bytes | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return self.run("kubectl", *arguments, input=input, check=check, timeout=timeout)

    def get(self, *arguments: str) -> Any:
        """`kubectl get ARGUMENTS -o json`, decoded."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def apply(self, *objects: dict[str, Any]) -> None:
        """`kubectl apply` of objects."""
        self.kubectl("apply", "-f", "-", input="\n".join(json.dumps(obj) for obj in objects))

    def up(self) -> Self:
        self.podling("up", "-d", *self.flags)
        return self

    def down(self, *flags: str) -> None:
        self.podling("down", *flags)

    def load_busybox(self) -> None:
        """Give each node the image `busybox:latest`."""
        for node in (self.config, *nodes.existing(self.config)):
            self.docker("-H", f"unix://{node.docker_socket}", "load", input=busybox_archive())

    def remove(self) -> None:
        """The namespace, after `down --purge`."""
        namespace.remove(self.netns)


@contextmanager
def running_podling(*flags: str) -> Iterator[Podling]:
    """A podling that is up and has the busybox image; taken down at the end, with a check that nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="podling-test-") as folder:
        made = Podling.create(Path(folder), *flags)
        try:
            made.up().load_busybox()
            yield made
        finally:
            leftovers = take_down(made)
        assert not leftovers, leftovers


def take_down(podling: Podling) -> str:
    """Purge and say what is left; empty when nothing is."""
    instances = [each.instance for each in (podling.config, *nodes.existing(podling.config))]
    podling.podling("down", "--purge", "--grace", "1", check=False)
    found = [str(Leftovers.of(instance, podling.config_root, podling.netns)) for instance in instances]
    podling.remove()
    return "\n".join(dict.fromkeys(filter(None, found)))
