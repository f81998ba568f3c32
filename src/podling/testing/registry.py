"""Debian's docker-registry on a free port of loopback, for tests that pull and push."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

USERNAME, PASSWORD = "tester", "secret"
# htpasswd(1) with bcrypt, the only form that docker-registry reads.
_HTPASSWD = f"{USERNAME}:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
_SECONDS = 10.0
_PROBE = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"


def basic_auth(root: Path) -> dict[str, Any]:
    """The `auth` section of a registry that knows USERNAME and PASSWORD."""
    path = root / "htpasswd"
    path.write_text(_HTPASSWD)
    return {"htpasswd": {"realm": "registry", "path": str(path)}}


@contextmanager
def running_registry(
    root: Path,
    auth: dict[str, Any] | None = None,
    tls: dict[str, Any] | None = None,
    command: Callable[..., list[str]] = lambda *argv: list(argv),
) -> Iterator[str]:
    """A docker-registry that keeps its content below `root`; gives its "127.0.0.1:PORT".

    `auth` is that section of its configuration, `tls` that of its http section. `command` makes of its argument list one that
    runs it elsewhere, in another network namespace.
    """
    address = f"127.0.0.1:{_free_port()}"
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(root / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": address, **({"tls": tls} if tls else {})},
    }
    if auth:
        config["auth"] = auth
    path = root / "registry.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    with (root / "registry.log").open("wb") as log:
        process = subprocess.Popen(command("docker-registry", "serve", str(path)), stdout=log, stderr=log)
        try:
            _wait_for(command(sys.executable, "-ISc", _PROBE, *address.split(":")), process, root / "registry.log")
            yield address
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(probe: list[str], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if subprocess.run(probe, check=False, capture_output=True, timeout=_SECONDS).returncode == 0:
            return
        time.sleep(0.02)
    raise RuntimeError(f"docker-registry does not answer: {log.read_text()}")
