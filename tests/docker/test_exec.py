"""`docker exec`, by the real CLI."""

import json

import pytest

pytestmark = pytest.mark.root


@pytest.fixture
def box(docker):
    docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    return "box"


def test_output_input_and_code(docker, box):
    done = docker("exec", "-i", box, "sh", "-c", "cat; echo err >&2; exit 6", input="typed\n", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("typed\n", "err\n", 6)


def test_flags(docker, box):
    out = docker("exec", "-u", "nobody", "-w", "/tmp", "-e", "A=b", box, "sh", "-c", "id -u; pwd; echo $A").stdout
    assert out == "65534\n/tmp\nb\n"


def test_detached(docker, box):
    docker("exec", "-d", box, "sh", "-c", "echo much output; mkfifo /done; echo yes > /done")
    assert docker("exec", box, "sh", "-c", "until [ -p /done ]; do sleep 0.05; done; cat /done").stdout == "yes\n"


@pytest.mark.parametrize(
    ("command", "code", "message"), [("nosuch", 127, "executable file not found in $PATH"), ("/etc", 126, "denied")]
)
def test_what_cannot_run(docker, box, command, code, message):
    done = docker("exec", box, command, check=False)
    assert done.returncode == code
    assert message in done.stdout + done.stderr


def test_of_one_that_does_not_run(docker):
    docker("create", "--name", "made", "busybox")
    assert "is not running" in docker("exec", "made", "true", check=False).stderr


def test_inspect(docker, box):
    status, _, body = docker.api("POST", "/v1.47/containers/box/exec", {"Cmd": ["sh", "-c", "exit 3"], "AttachStdout": True})
    assert status == 201
    identifier = json.loads(body)["Id"]
    assert json.loads(docker.api("GET", f"/exec/{identifier}/json")[2])["ExitCode"] is None
    docker.api("POST", f"/exec/{identifier}/start", {"Detach": False})
    shown = json.loads(docker.api("GET", f"/exec/{identifier}/json")[2])
    assert (shown["ExitCode"], shown["Running"], shown["ProcessConfig"]["entrypoint"]) == (3, False, "sh")
    assert docker.api("POST", f"/exec/{identifier}/start", {})[0] == 409
    assert docker.api("GET", "/exec/nosuch/json")[0] == 404
