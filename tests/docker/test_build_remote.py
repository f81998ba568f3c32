"""Builds of what is fetched: contexts by their address, files of ADD. And contexts as they come on stdin."""

import bz2
import functools
import hashlib
import http.server
import io
import lzma
import os
import tarfile
import threading

import pytest

pytestmark = pytest.mark.root


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def served(tmp_path):
    """A folder that an HTTP server shows, and its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def packed(**files):
    """A tar of files, by name with __ for a dot."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("__", "."))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


CONTEXT = packed(Dockerfile=b"FROM busybox\nCOPY file /file\n", file=b"sent\n")


@pytest.mark.parametrize("compress", [bytes, bz2.compress, lzma.compress])
def test_a_context_on_stdin(docker, compress):
    docker("build", "-t", "made", "-", input=compress(CONTEXT))
    assert docker("run", "--rm", "made", "cat", "/file").stdout == "sent\n"


def test_a_dockerfile_on_stdin(docker):
    assert "Successfully tagged made:latest" in docker("build", "-t", "made", "-", input="FROM busybox\nRUN true\n").stdout


def test_a_context_by_its_address(docker, served):
    folder, url = served
    (folder / "context.tar.xz").write_bytes(lzma.compress(CONTEXT))
    (folder / "recipe").write_text("FROM busybox\nRUN echo alone > /file\n")
    for name, content in (("context.tar.xz", "sent\n"), ("recipe", "alone\n")):
        docker.api("POST", f"/build?t=made&remote={url}/{name}")
        assert docker("run", "--rm", "made", "cat", "/file").stdout == content
    missing = docker.api("POST", f"/build?remote={url}/context.tar.xz&dockerfile=other")[2].decode()
    assert "Cannot locate specified Dockerfile: other" in missing
    (folder / "garbage").write_bytes(b"\0" * 99)
    assert "neither an archive nor a Dockerfile" in docker.api("POST", f"/build?remote={url}/garbage")[2].decode()
    status, _, body = docker.api("POST", f"/build?remote={url}/missing")
    assert (status, "failed to GET" in body.decode()) == (500, True)


def test_add_fetches(docker, served, tmp_path_factory):
    folder, url = served
    (folder / "tool").write_bytes(b"fetched\n")
    os.utime(folder / "tool", (1_000_000_000, 1_000_000_000))
    (folder / "packed.tar").write_bytes(CONTEXT)
    digest = hashlib.sha256(b"fetched\n").hexdigest()
    recipe = (
        f"FROM busybox\nADD --checksum=sha256:{digest} --chmod=755 {url}/tool?v=1 /bin/\nADD {url}/packed.tar {url}/tool /all/\n"
    )
    docker("build", "-t", "made", "-", input=recipe)
    shown = docker("run", "--rm", "made", "stat", "-c", "%a %s %Y %n", "/bin/tool", "/all/tool", "/all/packed.tar").stdout
    assert shown.splitlines()[:2] == ["755 8 1000000000 /bin/tool", "600 8 1000000000 /all/tool"]
    assert "/all/packed.tar" in shown
    assert docker("build", "-", input=recipe).stdout.count("Using cache") == 2
    (folder / "tool").write_bytes(b"another\n")
    refused = docker("build", "-", input=recipe, check=False)
    assert (
        f"ADD failed: digest mismatch sha256:{hashlib.sha256(b'another' + bytes([10])).hexdigest()}: sha256:{digest}"
        in refused.stderr
    )
    assert "failed to GET" in docker("build", "-", input=f"FROM busybox\nADD {url}/nosuch /\n", check=False).stderr


def test_a_script_with_its_own_interpreter(docker):
    recipe = 'FROM busybox\nRUN <<END\n#!/bin/awk -f\nBEGIN { print "by awk" > "/said" }\nEND\n'
    docker("build", "-t", "made", "-", input=recipe)
    assert docker("run", "--rm", "made", "sh", "-c", "cat /said; ls -d /dev/pipes", check=False).stdout == "by awk\n"
    assert "Using cache" in docker("build", "-", input=recipe).stdout
    assert "Using cache" not in docker("build", "-", input=recipe.replace("by awk", "once more")).stdout
