"""Start, crash, stop: what stays and what goes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from podling.testing.podling import Podling, running_podling, take_down
from podling.testing.workloads import WEB, eventually, pod

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]


def kill(podling: Podling, name: str) -> None:
    """kill -9, as a crash would."""
    os.kill(int(podling.config.pid_file(name).read_text()), signal.SIGKILL)


def running(podling: Podling) -> dict[str, str]:
    """Container id → when it started."""
    ids = podling.docker("ps", "-q", "--no-trunc").stdout.split()
    found = json.loads(podling.docker("inspect", *ids).stdout) if ids else []
    return {item["Id"]: item["State"]["StartedAt"] for item in found}


def test_everything_is_found_again_after_kill_9():
    with running_podling() as podling:
        podling.docker(
            "run", "-d", "--name", "counter", "busybox", "sh", "-c", "i=0; while sleep 0.05; do i=$((i+1)); echo $i; done"
        )
        podling.docker("run", "-d", "--name", "ends", "busybox", "sh", "-c", "sleep 5; echo last words; exit 42")
        podling.apply(WEB)
        podling.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
        before = running(podling)
        kill(podling, "agent")
        kill(podling, "server")
        assert podling.kubectl("get", "nodes", check=False).returncode != 0
        eventually(lambda: b"last words" in _log(podling, "ends"))
        podling.up()
        after = running(podling)
        ends = {name for name, start in before.items() if after.get(name) != start}
        assert len(ends) == 1  # the one that ended by itself
        assert podling.docker("wait", "ends").stdout.strip() == "42"
        assert podling.docker("logs", "ends").stdout == "last words\n"
        numbers = [int(line) for line in podling.docker("logs", "counter").stdout.split()]
        assert numbers == list(range(1, len(numbers) + 1))
        assert podling.get("deployment", "web")["status"]["readyReplicas"] == 2
        podling.apply(pod("after", "sleep", "1000"))
        podling.kubectl("wait", "--for=condition=Ready", "pod/after", "--timeout=20s")


def _log(podling: Podling, name: str) -> bytes:
    logs = podling.config_root.glob("**/*log*")
    return b"".join(path.read_bytes() for path in logs if path.is_file())


def test_down_and_up_again_keeps_the_data_and_restarts_the_pods(tmp_path):
    with running_podling() as podling:
        podling.apply(WEB)
        podling.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
        podling.docker("volume", "create", "kept")
        podling.down("--grace", "1")
        assert podling.run("ip", "-o", "link").stdout.count("\n") == 1
        podling.up()
        podling.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
        assert "kept" in podling.docker("volume", "ls", "-q").stdout
        assert "busybox" in podling.docker("images").stdout


def test_up_twice_is_up_once():
    with running_podling() as podling:
        before = podling.config.pid_file("agent").read_text()
        podling.up()
        assert podling.config.pid_file("agent").read_text() == before
        shown = podling.podling("status").stdout
        for part in ("server", "agent", "docker", "kubernetes", "node"):
            assert part in shown


def test_two_podlings_on_one_host_do_not_meet():
    """Both in one network namespace: ports, ranges, bridges, tables, cgroups and contexts are apart."""
    with running_podling() as first, tempfile.TemporaryDirectory(prefix="podling-test-") as folder:
        second = Podling(Path(folder), first.netns)
        try:
            second.up().load_busybox()
            for podling in (first, second):
                podling.apply(pod("here", "sleep", "1000"))
                podling.kubectl("wait", "--for=condition=Ready", "pod/here", "--timeout=20s")
                podling.docker("run", "-d", "--name", "there", "busybox", "sleep", "1000")
            assert first.config.api_port != second.config.api_port
            assert len(first.docker("ps", "-q").stdout.split()) == len(second.docker("ps", "-q").stdout.split()) == 2
            second.down("--purge", "--grace", "1")
            assert first.kubectl("exec", "here", "--", "echo", "alive").stdout == "alive\n"
            assert first.docker("exec", "there", "echo", "alive").stdout == "alive\n"
        finally:
            second.podling("down", "--purge", "--grace", "1", check=False)


def test_a_start_that_fails_says_why_in_one_line(tmp_path):
    podling = Podling.create(tmp_path)
    try:
        podling.config_root.mkdir()
        (podling.config_root / "server").write_text("in the way")
        failed = podling.podling("up", "-d", check=False)
        assert failed.returncode == 1
        assert str(podling.config_root / "server") in failed.stderr
        assert "Traceback" not in failed.stderr
    finally:
        (podling.config_root / "server").unlink()
        assert not take_down(podling)


def test_in_the_foreground_it_stops_with_ctrl_c_and_containers_go_on(tmp_path):
    podling = Podling.create(tmp_path)
    command = podling.command(sys.executable, "-m", "podling", "up")
    with subprocess.Popen(command, env=podling.environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert any("podling is up" in line for line in process.stderr)
            podling.load_busybox()
            podling.docker("run", "-d", "--name", "stays", "busybox", "sleep", "1000")
            pid = json.loads(podling.docker("inspect", "stays").stdout)[0]["State"]["Pid"]
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
            os.kill(pid, 0)
            assert podling.podling("status", check=False).returncode == 1
        finally:
            process.kill()
            left = take_down(podling)
    assert not left
