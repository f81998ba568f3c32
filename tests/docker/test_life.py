"""Containers through their life, by the real CLI."""

import http.client
import json
import socket

import pytest

pytestmark = pytest.mark.root


@pytest.fixture
def box(docker):
    docker("run", "-d", "--name", "box", "--label", "tier=web", "busybox", "sh", "-c", "echo started; exec sleep 100")
    return "box"


def test_start_stop_restart_kill(docker, box):
    assert docker("stop", "-t", "0", box).stdout == "box\n"
    assert docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", box).stdout == "exited 137\n"
    docker("start", box)
    docker("restart", "-t", "0", box)
    docker("kill", "-s", "KILL", box)
    assert docker("wait", box).stdout == "137\n"
    again = docker("kill", box, check=False)
    assert "is not running" in again.stderr


def test_start_attached_gives_output_and_code(docker):
    docker("create", "--name", "once", "busybox", "sh", "-c", "echo hi; exit 4")
    done = docker("start", "-a", "once", check=False)
    assert (done.stdout, done.returncode) == ("hi\n", 4)


def test_pause(docker, box):
    docker("pause", box)
    assert "(Paused)" in docker("ps").stdout
    assert "is paused" in docker("exec", box, "true", check=False).stderr
    docker("unpause", box)
    assert docker("exec", box, "echo", "on").stdout == "on\n"


def test_removal(docker, box):
    refused = docker("rm", box, check=False)
    assert refused.returncode == 1
    assert "stop the container before removing or force remove" in refused.stderr
    docker("rm", "-f", box)
    assert "No such container: box" in docker("rm", box, check=False).stderr


def test_rename(docker, box):
    docker("rename", box, "other")
    assert docker("ps", "--format", "{{.Names}}").stdout == "other\n"
    assert "No such container: box" in docker("rename", box, "third", check=False).stderr


def test_lists(docker, box):
    docker("create", "--name", "made", "busybox")
    assert docker("ps", "--format", "{{.Names}}").stdout == "box\n"
    assert docker("ps", "-a", "--format", "{{.Names}}").stdout == "made\nbox\n"
    for given, names in (
        ("name=bo", ["box"]),
        ("label=tier", ["box"]),
        ("label=tier=db", []),
        ("status=created", ["made"]),
        ("ancestor=busybox", ["made", "box"]),
        ("network=bridge", ["made", "box"]),
        ("since=box", ["made"]),
        ("before=made", ["box"]),
        ("exited=0", []),
    ):
        assert docker("ps", "-a", "--format", "{{.Names}}", "-f", given).stdout.split() == names, given
    assert "invalid filter 'nosuch'" in docker("ps", "-f", "nosuch=1", check=False).stderr
    assert "invalid filter 'status=nosuch'" in docker("ps", "-f", "status=nosuch", check=False).stderr
    assert docker("ps", "-n", "1", "--format", "{{.Names}}").stdout == "made\n"
    assert "B (virtual" in docker("ps", "-s").stdout


def test_top_stats_diff_update(docker, box):
    assert "sleep 100" in docker("top", box).stdout
    assert box in docker("stats", "--no-stream", box).stdout
    docker("exec", box, "touch", "/etc/fresh")
    assert "A /etc/fresh" in docker("diff", box).stdout
    docker("update", "-m", "80m", "--memory-swap", "-1", "--restart", "always", box)
    shown = docker("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}", box).stdout
    assert shown == f"{80 << 20} always\n"


def test_a_stream_of_stats_ends_with_the_client(docker, box):
    held = docker.popen("stats", "--format", "{{.Name}}", box)
    assert b"box" in held.stdout.readline()
    held.kill()
    held.communicate()


def test_inspect_has_what_clients_look_for(docker, box):
    shown = json.loads(docker("inspect", box).stdout)[0]
    assert shown["Name"] == "/box"
    assert shown["Config"]["Labels"] == {"tier": "web"}
    assert shown["State"]["Running"] is True
    assert shown["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == shown["NetworkSettings"]["IPAddress"] != ""
    assert shown["HostConfig"]["NetworkMode"] == "bridge"
    assert docker("inspect", "--size", "-f", "{{.SizeRootFs}}", box).stdout.strip().isdecimal()
    assert "No such object: nosuch" in docker("inspect", "nosuch", check=False).stderr


def test_prune(docker, box):
    docker("create", "--name", "made", "busybox")
    made = docker("ps", "-aqf", "name=made", "--no-trunc").stdout.strip()
    assert made in docker("container", "prune", "-f").stdout
    assert docker("ps", "-a", "--format", "{{.Names}}").stdout == "box\n"


def test_health(docker):
    docker("run", "-d", "--name", "box", "--health-cmd", "true", "--health-interval", "100ms", "busybox", "sleep", "100")
    events = docker.popen("events", "--since", "1", "-f", "event=health_status", "--format", "{{.Action}}")
    assert events.stdout.readline() == b"health_status: healthy\n"
    events.kill()
    events.communicate()
    assert "(healthy)" in docker("ps").stdout


class Waiting:
    """A question to the API that has its head, and waits for its body."""

    def __init__(self, docker, condition):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(docker.socket))
        self._socket.sendall(b"POST /containers/box/wait?condition=%s HTTP/1.1\r\nHost: d\r\n\r\n" % condition.encode())
        self._response = http.client.HTTPResponse(self._socket)
        self._response.begin()
        self.status = self._response.status

    def answer(self):
        with self._socket, self._response:
            return json.loads(self._response.read())


def test_every_condition_of_wait(docker):
    docker("create", "--name", "box", "busybox", "sh", "-c", "exit 4")
    assert Waiting(docker, "not-running").answer() == {"StatusCode": 0}
    following, gone = Waiting(docker, "next-exit"), Waiting(docker, "removed")
    docker("start", "box")
    assert following.answer() == {"StatusCode": 4}
    assert Waiting(docker, "not-running").answer() == {"StatusCode": 4}
    again = Waiting(docker, "next-exit")
    docker("start", "box")
    assert again.answer() == {"StatusCode": 4}
    docker("rm", "box")
    assert gone.answer() == {"StatusCode": 4}
    docker("create", "--name", "box", "busybox")
    refused = Waiting(docker, "odd")
    assert (refused.status, refused.answer()["message"]) == (400, 'invalid condition: "odd"')


def test_waiting_for_one_that_removes_itself(docker):
    docker("create", "--rm", "--name", "box", "busybox", "sh", "-c", "exit 6")
    gone = Waiting(docker, "removed")
    docker("start", "box")
    assert gone.answer() == {"StatusCode": 6}
    assert docker("ps", "-aq").stdout == ""
