"""A start that fails says in one line what was wrong and what to do."""

import errno
import fcntl
import os
import sqlite3
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from podling.app import ranges
from podling.app.config import load
from podling.app.failure import CGROUPS, explain
from podling.base.errors import Failed
from podling.linux.route import Route

CONFIG = load({"root": "/data", "run": "/run/data"}, {"PODLING_CONFIG": "/nowhere"})


def system(number, path=None):
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (system(errno.ENOSPC, "/data/server/x"), ["/data/server/x", "No space left", "Make room", "df -h"]),
        (system(errno.EROFS, "/data/server"), ["/data/server: Read-only", "--root (now /data) must be a directory"]),
        (system(errno.ENOENT, "/data/server/pki/ca.crt"), ["`podling up` makes"]),
        (system(errno.EACCES, "/"), ["--root (now /data)"]),
        (system(errno.ENOTDIR, "/run/data/docker.sock"), ["--run (now /run/data)"]),
        (system(errno.ENOENT, "/run"), ["--run (now /run/data)"]),
        (system(errno.EROFS, f"{CGROUPS}/podling"), ["mount -o remount,rw /sys/fs/cgroup"]),
        (system(errno.ENOENT, f"{CGROUPS}/memory"), ["mount -t cgroup2"]),
        (system(errno.EADDRINUSE), ["--api-port"]),
        (system(errno.EADDRNOTAVAIL), ["--api-address"]),
        (system(errno.EPERM), ["Run podling as root"]),
        (system(errno.ENOENT, "/etc/audit.yaml"), ["/etc/audit.yaml: No such file", "correct the setting"]),
        (Failed("nft: first\nsecond\n"), ["nft: first; second"]),
        (KeyError("x"), ["KeyError: 'x'", "defect"]),
    ],
)
def test_each_error_has_its_advice(error, words):
    text = explain(error, "store", CONFIG)
    assert "\n" not in text
    for word in words:
        assert word in text
    assert "Errno" not in text


def test_a_full_disk_under_a_database_is_told_as_one():
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert "store: database or disk is full. Make room on the disk of /data" in explain(error, "store", CONFIG)


@pytest.mark.parametrize(
    ("destination", "device", "words"),
    [
        ("10.244.0.0/25", 7, ["pod_cidr 10.244.0.0/24 is taken: cni0 leads to 10.244.0.0/25", "--pod-cidr"]),
        ("10.245.0.0/24", 7, ["node_cidr", "--node-cidr"]),
        ("10.0.0.0/8", 7, []),
        ("0.0.0.0/0", 7, []),
        ("10.244.0.0/24", 8, []),
        ("fd00::/64", 7, []),
    ],
)
def test_a_taken_range_is_told(destination, device, words):
    text = ranges.taken(load({}, {"PODLING_CONFIG": "/nowhere"}), [Route(ip_network(destination), None, device, 0)], {7: "cni0"})
    assert bool(text) == bool(words)
    for word in words:
        assert word in text


def podling(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a network namespace of its own, with what it writes below `folder`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PODLING_")}
    environment = {
        **inherited,
        "HOME": str(folder),
        "KUBECONFIG": str(folder / "kubeconfig"),
        "PODLING_CONFIG": str(folder / "none"),
    }
    command = ["unshare", "--net", sys.executable, "-m", "podling", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def failure(folder: Path, *arguments: str) -> str:
    """The one line that is not of the progress."""
    done = podling(folder, *arguments)
    assert done.returncode == 1, done.stderr
    told = [line for line in done.stderr.splitlines() if not line.startswith("  ")]
    assert len(told) == 1, done.stderr
    assert "Errno" not in told[0]
    return told[0]


@pytest.mark.root
@pytest.mark.parametrize("verb", [("up", "-d"), ("server",), ("agent",)])
def test_folders_that_cannot_be_made(tmp_path, verb):
    (tmp_path / "file").write_text("in the way")
    assert "--root names a directory" in failure(tmp_path, *verb, "--root", f"{tmp_path}/file/root")
    if verb[0] == "up":
        assert "--root (now /proc/x)" in failure(tmp_path, *verb, "--root", "/proc/x", "--run", f"{tmp_path}/run")
    told = failure(tmp_path, *verb, "--root", f"{tmp_path}/root", "--run", "/proc/run")
    assert "/proc/run: No such file or directory. --run (now /proc/run) must be" in told


@pytest.mark.root
def test_a_file_that_is_no_configuration(tmp_path):
    assert "is no IPv4 address" in failure(tmp_path, "up", "-d", "--root", f"{tmp_path}/root", "--api-address", "here")
    assert "--config names a file" in failure(tmp_path, "up", "-d", "--root", f"{tmp_path}/root", "--config", str(tmp_path))
    (tmp_path / "root").mkdir()
    (tmp_path / "root/instance.json").write_text("{")
    told = failure(tmp_path, "up", "-d", "--root", f"{tmp_path}/root")
    assert f"{tmp_path}/root/instance.json" in told
    assert "remove the file" in told


@pytest.mark.root
def test_a_damaged_store_is_named_by_who_started_the_server(tmp_path):
    database = tmp_path / "root/server/state.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"no database " * 1000)
    try:
        told = failure(tmp_path, "up", "-d", "--root", f"{tmp_path}/root")
        assert f"podling: the server can't start: store: {database}: file is not a database. The database is damaged" in told
        assert told.endswith(f"Its log is {tmp_path}/root/log/server.log")
    finally:
        podling(tmp_path, "down", "--purge", "--grace", "1", "--root", f"{tmp_path}/root")


@pytest.mark.root
def test_another_podling_at_this_root(tmp_path):
    (tmp_path / "root/run").mkdir(parents=True)
    with open(tmp_path / "root/run/agent.pid", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        told = failure(tmp_path, "agent", "--root", f"{tmp_path}/root")
    assert "another podling process runs with this root. `podling status` shows it" in told
