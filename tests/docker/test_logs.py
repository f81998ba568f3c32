"""`docker logs` and `docker attach`, by the real CLI."""

import re

import pytest

pytestmark = pytest.mark.root
TALK = "for i in 1 2 3; do echo line $i; done; echo problem >&2"


def test_streams_are_apart(docker):
    docker("run", "--name", "box", "busybox", "sh", "-c", TALK)
    done = docker("logs", "box")
    assert (done.stdout, done.stderr) == ("line 1\nline 2\nline 3\n", "problem\n")


def test_tail_times_since(docker):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo one; echo two")
    assert docker("logs", "--tail", "1", "box").stdout == "two\n"
    dated = docker("logs", "-t", "box").stdout.splitlines()
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z (one|two)", line) for line in dated)
    assert docker("logs", "--since", "2100-01-01T00:00:00Z", "box").stdout == ""
    assert docker("logs", "--until", "2000-01-01T00:00:00Z", "box").stdout == ""


def test_following_ends_with_the_container(docker):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo first; read x; echo last", check=True)
    docker("rm", "-f", "box")
    docker("run", "-di", "--name", "box", "busybox", "sh", "-c", "echo first; read x; echo last")
    held = docker.popen("logs", "-f", "box")
    assert held.stdout.readline() == b"first\n"
    docker("attach", "--no-stdin=false", "box", input="\n")
    out, _ = held.communicate(timeout=20)
    assert out == b"last\n"


def test_a_terminal_has_one_stream(docker):
    docker("run", "-dt", "--name", "box", "busybox", "sh", "-c", TALK)
    docker("wait", "box")
    assert docker("logs", "box").stdout.replace("\r", "").endswith("line 3\nproblem\n")


def test_attaching_for_the_past_alone(docker):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo one; echo two >&2")
    status, headers, body = docker.api("POST", "/v1.47/containers/box/attach?logs=1&stdout=1&stderr=1")
    assert (status, headers["Content-Type"]) == (200, "application/vnd.docker.multiplexed-stream")
    assert body == b"\x01\0\0\0\0\0\0\x04one\n\x02\0\0\0\0\0\0\x04two\n"


def test_of_none(docker):
    assert "No such container: nosuch" in docker("logs", "nosuch", check=False).stderr
