"""`docker run`, by the real CLI."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import pytest

from podling.linux import mount

pytestmark = pytest.mark.root


def test_output_and_exit_code(docker):
    done = docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    assert docker("ps", "-aq").stdout == ""


def test_flags_reach_the_container(docker):
    script = 'id -u; pwd; hostname; echo "$GREETING"; ulimit -n; ls /sys/class/net; cat /proc/1/cmdline | tr "\\0" " "'
    flags = ["-u", "nobody", "-w", "/tmp", "-h", "box", "-e", "GREETING=hi", "--ulimit", "nofile=99", "--network", "none"]
    out = docker("run", "--rm", *flags, "--entrypoint", "sh", "busybox", "-c", script).stdout
    assert out.splitlines()[:6] == ["65534", "/tmp", "box", "hi", "99", "lo"]


def test_limits_are_shown_and_set(docker):
    docker("run", "-d", "--name", "web", "-m", "64m", "--cpus", "0.5", "--pids-limit", "30", "busybox", "sleep", "100")
    shown = docker("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}", "web").stdout
    assert shown == f"{64 << 20} 500000000 30\n"
    assert docker.do(_stats(docker)).memory_limit == 64 << 20


async def _stats(docker):
    return docker.engine.containers.find("web").stats()


def test_mounts(docker, tmp_path):
    (tmp_path / "file").write_text("from the host")
    docker("run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "echo kept > /data/x")
    out = docker(
        "run", "--rm", "-v", "data:/data:ro", "-v", f"{tmp_path}:/host:ro", "--tmpfs", "/scratch:size=1m", "busybox",
        "sh", "-c", "cat /data/x /host/file; df /scratch | tail -1; touch /data/y",
        check=False,
    )  # fmt: skip
    assert out.stdout.startswith("kept\nfrom the host")
    assert "1024" in out.stdout
    assert "Read-only file system" in out.stderr


def test_mounts_of_every_kind_by_the_long_form(docker, tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "file").write_text("x")
    docker("volume", "create", "data")
    docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "mkdir /d/part; echo y > /d/part/file")
    mount.bind(tmp_path, tmp_path / "below")
    try:
        out = docker(
            "run", "--rm", "--name", "box",
            "--mount", f"type=bind,src={tmp_path},dst=/all,readonly",
            "--mount", f"type=bind,src={tmp_path},dst=/alone,bind-recursive=disabled",
            "--mount", "type=volume,src=data,dst=/part,volume-subpath=part",
            "--mount", "type=tmpfs,dst=/scratch,tmpfs-size=1m,tmpfs-mode=1700",
            "busybox", "sh", "-c", "ls /all/below /alone/below; cat /part/*; stat -c %a /scratch; df /scratch; touch /all/z",
            check=False,
        )  # fmt: skip
    finally:
        mount.unmount_if_mounted(tmp_path / "below")
    lines = out.stdout.split()
    assert lines[:6] == ["/all/below:", "below", "file", "/alone/below:", "y", "1700"], out
    assert "1024" in lines
    assert "Read-only file system" in out.stderr


def test_a_published_port_answers(docker):
    script = "echo hi > /index.html; httpd -f -p 80 -h /"
    docker("run", "-d", "--name", "web", "-p", "127.0.0.1:8080:80", "-p", "81", "busybox", "sh", "-c", script)
    answer = subprocess.run(
        docker.command("busybox", "sh", "-c", "until wget -q -O - http://127.0.0.1:8080/; do sleep 0.1; done"),
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert answer.stdout == "hi\n"
    assert docker("port", "web", "80").stdout == "127.0.0.1:8080\n"
    assert "81/tcp" in docker("ps", "--format", "{{.Ports}}").stdout
    taken = docker("run", "-p", "127.0.0.1:8080:80", "busybox", check=False)
    assert taken.returncode == 125
    assert "port is already allocated" in taken.stderr


def test_standard_input_ends(docker):
    assert docker("run", "-i", "--rm", "busybox", "cat", input="abc\n").stdout == "abc\n"
    large = os.urandom(1 << 20)
    held = docker.popen("run", "-i", "--rm", "busybox", "sha256sum")
    out, _ = held.communicate(large, timeout=30)
    assert out.split()[0].decode() == __import__("hashlib").sha256(large).hexdigest()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nosuch"], 127, 'exec: "nosuch": executable file not found in $PATH'),
        (["/nosuch"], 127, 'exec: "/nosuch": '),
        (["/etc"], 126, "permission denied"),
    ],
)
def test_a_command_that_cannot_run(docker, arguments, code, message):
    done = docker("run", "busybox", *arguments, check=False)
    assert done.returncode == code
    assert message in done.stderr
    assert docker("ps", "-a", "--format", "{{.State}}").stdout == "created\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "!", "busybox"], "Invalid container name (!), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        (["-m", "1m", "busybox"], "Minimum memory limit allowed is 6MB"),
        (["--network", "nosuch", "busybox"], "network nosuch not found"),
        (["-v", "/a:/b:wrong", "busybox"], "invalid mode: wrong"),
        (["-w", "relative", "busybox"], "the working directory 'relative' is invalid, it needs to be an absolute path"),
        (["-u", "nosuch", "busybox"], "unable to find user nosuch: no matching entries in passwd file"),
        (["127.0.0.1:1/missing"], "Unable to find image '127.0.0.1:1/missing:latest' locally"),
    ],
)
def test_what_the_daemon_refuses(docker, arguments, message):
    done = docker("run", *arguments, check=False)
    assert done.returncode == 125
    assert message in done.stderr


def test_a_name_is_taken_once(docker):
    identifier = docker("create", "--name", "web", "busybox").stdout.strip()
    done = docker("create", "--name", "web", "busybox", check=False)
    assert f'The container name "/web" is already in use by container "{identifier}"' in done.stderr


@pytest.fixture
def terminal(docker):
    """Runs docker on terminals; what still runs at the end is killed."""
    made = []

    def run(*arguments):
        made.append(Terminal(docker, *arguments))
        return made[-1]

    yield run
    for each in made:
        each.kill()


class Terminal:
    """A command on a terminal of 33 rows and 101 columns."""

    def __init__(self, docker, *arguments):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        self._process = docker.popen(*arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.seen = b""

    def expect(self, text, seconds=10.0):
        """Read until `text` was seen since the last expectation."""
        until = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self._master], [], [], max(until - time.monotonic(), 0))
            assert ready, f"{text!r} is not in {self.seen!r}"
            self.seen += os.read(self._master, 4096)
        self.seen = self.seen.split(text, 1)[1]

    def type(self, text):
        os.write(self._master, text)

    def kill(self):
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def wait(self):
        """The exit code, once it has ended."""
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(0.05)
            ready, _, _ = select.select([self._master], [], [], 0)
            if ready:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self._master, 4096)


def test_a_terminal(terminal):
    shell = terminal("run", "-it", "--rm", "busybox", "sh")
    shell.expect(b"# ")
    shell.type(b"stty size; tty; exit 7\n")
    shell.expect(b"33 101\r\n/dev/pts/0")
    assert shell.wait() == 7


def test_detaching_and_attaching_again(docker, terminal):
    shell = terminal("run", "-it", "--name", "box", "busybox", "sh")
    shell.expect(b"# ")
    shell.type(b"\x10\x11")
    assert shell.wait() == 0
    assert docker("ps", "--format", "{{.Names}}").stdout == "box\n"
    shell = terminal("attach", "box")
    shell.type(b"\n")
    shell.expect(b"# ")
    shell.type(b"echo again $((40 + 2))\n")
    shell.expect(b"again 42")
    shell.type(b"exit 5\n")
    assert shell.wait() == 5


def test_detach_keys_of_ones_own(docker, terminal):
    shell = terminal("run", "-it", "--name", "box", "--detach-keys", "a,ctrl-x", "busybox", "sh")
    shell.expect(b"# ")
    shell.type(b"\x10\x11echo $((40 + 2))\n")  # the usual ones are input now
    shell.expect(b"42")
    shell.type(b"a\x18")
    assert shell.wait() == 0
    assert docker("inspect", "-f", "{{.State.Running}}", "box").stdout == "true\n"
    shell = terminal("attach", "--detach-keys", "q", "box")
    shell.type(b"q")
    shell.expect(b"read escape sequence")
    shell.wait()  # some clients call that a failure
    shell = terminal("exec", "-it", "--detach-keys", "ctrl-]", "box", "sh")
    shell.expect(b"# ")
    shell.type(b"\x1d")
    shell.expect(b"read escape sequence")
    shell.wait()
    status, _, body = docker.api("POST", "/containers/box/attach?stream=1&detachKeys=odd")
    assert (status, b"Invalid detach keys (odd) provided" in body) == (400, True)


def test_a_terminal_of_an_exec(docker, terminal):
    docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    shell = terminal("exec", "-it", "box", "sh")
    shell.expect(b"# ")
    shell.type(b"stty size; exit 4\n")
    shell.expect(b"33 101")
    assert shell.wait() == 4


def test_signals_of_the_client_reach_the_process(docker):
    held = docker.popen(
        "run", "--name", "box", "busybox", "sh", "-c", "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.1; done"
    )
    assert held.stdout.readline() == b"up\n"
    held.terminate()
    out, _ = held.communicate(timeout=20)
    assert (out, held.returncode) == (b"bye\n", 9)


def test_removal_on_exit_takes_anonymous_volumes(docker):
    docker("run", "--rm", "-v", "/data", "busybox", "true")
    assert docker("volume", "ls", "-q").stdout == ""
