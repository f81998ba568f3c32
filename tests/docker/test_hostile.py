"""What comes in to do harm is refused with an error, and the host is as before: on the socket, in archives."""

import gzip
import io
import json
import os
import socket
import tarfile

import pytest

from podling.testing.docker import LIMITS

pytestmark = pytest.mark.root
CREATE = b'{"Image": "busybox"}'


def spoken(docker, data):
    """All that the daemon answers to raw bytes, until it closes the connection."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(docker.socket))
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        return answer


HIDDEN = b"POST /containers/create?name=smuggled HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
HIDDEN += b"Content-Length: %d\r\n\r\n%s" % (len(CREATE), CREATE)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 0\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length: +0\r\n",
        b"Content-Length: 0x0\r\n",
        b"X: a\r\n Content-Length: 0\r\n",
        b"X: a\nTransfer-Encoding: chunked\r\n",
        b"X: a\rContent-Length: 5\r\n",
        b"X\0: a\r\n",
    ],
)
def test_requests_that_may_be_read_in_two_ways(docker, fields):
    request = b"POST /containers/prune HTTP/1.1\r\nHost: d\r\n" + fields + b"\r\n0\r\n\r\n" + HIDDEN
    answer = spoken(docker, request)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert docker("ps", "-aq").stdout == ""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: d\r\n\r\n", b"4"),
        (b"GET /info HTTP/1.1\r\nHost: d\r\n" + b"X: y\r\n" * 100_000 + b"\r\n", b"4"),
        (b"GET /%00info HTTP/1.1\r\nHost: d\r\n\r\n", b"404"),
        (b"GET /containers/..%2f..%2fetc%2fpasswd/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET /v1.51/../../etc/passwd HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n", b"404"),
        (b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999999\r\n\r\n", b"4"),
        (b"POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff0\r\n", b"400"),
        (b"\x16\x03\x01\x02\0\x01\0", b"400"),
    ],
)
def test_requests_that_make_no_sense(docker, request_, status):
    answer = spoken(docker, request_)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 " + status), answer[:200]
    assert docker.api("GET", "/_ping")[0] == 200


def archive(*entries, **files):
    """A tar of entries (name, type, link) and of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for name, kind, target in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            packed.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("host only")
    return path


def test_a_context_reads_nothing_of_the_host(docker, secret):
    links = [("link", tarfile.SYMTYPE, str(secret)), ("up", tarfile.SYMTYPE, "../" * 20 + str(secret)[1:])]
    for source in ("link", "up"):
        context = archive(*links, Dockerfile=f"FROM busybox\nCOPY {source} /got\n".encode())
        done = docker("build", "-t", "made", "-", input=context, check=False)
        assert done.returncode == 1 or "host only" not in docker("run", "--rm", "made", "cat", "/got", check=False).stdout
    hard = archive(("hard", tarfile.LNKTYPE, str(secret)), Dockerfile=b"FROM busybox\nCOPY hard /got\n")
    assert docker("build", "-", input=hard, check=False).returncode == 1
    recipe = archive(("Dockerfile", tarfile.SYMTYPE, str(secret)))
    refused = docker("build", "-", input=recipe, check=False)
    assert (refused.returncode, "host only" in refused.stderr) == (1, False)
    assert "unable to open Dockerfile" in refused.stderr or "Cannot locate" in refused.stderr
    outside = docker.api("POST", "/build?dockerfile=../../../../../.." + str(secret), archive(x=b""))
    assert (outside[0], b"host only" in outside[2]) == (400, False)


@pytest.mark.parametrize("instruction", ["COPY file /out/secret", "ADD inner.tar /out/", "WORKDIR /out/made", "COPY dir/ /out/"])
def test_a_build_writes_nothing_of_the_host(docker, tmp_path, instruction):
    recipe = f"FROM busybox\nRUN ln -s {tmp_path} /out && mkdir -p /x{tmp_path}\n{instruction}\n"
    files = {"file": b"evil", "inner.tar": archive(secret=b"evil"), "dir/secret": b"evil", "Dockerfile": recipe.encode()}
    docker("build", "-", input=archive(**files), check=False)
    assert os.listdir(tmp_path) == []


def test_a_copy_out_of_a_container_stays_in_it(docker, secret):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", f"ln -s {secret} /link; ln -s / /root2; sleep 100")
    status, _, body = docker.api("GET", "/containers/box/archive?path=/link/")
    assert (status, b"host only" in body) == (404, False)
    for path in ("/link", "/root2/../../../../.." + str(secret), "/proc/1/root" + str(secret), "/../" + str(secret)):
        assert b"host only" not in docker.api("GET", f"/containers/box/archive?path={path}")[2], path


def test_an_image_writes_nothing_of_the_host(docker, tmp_path):
    layer = archive(("out", tarfile.SYMTYPE, str(tmp_path)), **{"out/secret": b"evil", "../../../../../../secret": b"evil"})
    assert docker("import", "-", "evil", input=layer, check=False).returncode == 1
    inside = archive(("out", tarfile.SYMTYPE, str(tmp_path)), **{"out/secret": b"evil"})
    docker("import", "-", "evil", input=inside, check=False)
    assert os.listdir(tmp_path) == []
    manifest = [{"Config": "../../../../etc/passwd", "RepoTags": ["evil:1"], "Layers": ["/etc/shadow"]}]
    assert docker("load", input=archive(**{"manifest.json": json.dumps(manifest).encode()}), check=False).returncode == 1


def bomb():
    """Few bytes that unpack to more than is allowed."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as packed:
        header = tarfile.TarInfo("zeros")
        header.size = LIMITS.bytes + (1 << 20)
        packed.write(header.tobuf())
        for _ in range(header.size >> 20):
            packed.write(bytes(1 << 20))
    return out.getvalue()


def test_bombs(docker, tmp_path):
    data = bomb()
    refused = docker("build", "-", input=data, check=False)
    assert f"unpacks to more than {LIMITS.bytes} bytes" in refused.stderr
    assert f"unpacks to more than {LIMITS.bytes} bytes" in docker("import", "-", "evil", input=data, check=False).stderr
    (tmp_path / "bomb.tgz").write_bytes(data)
    (tmp_path / "Dockerfile").write_text("FROM busybox\nADD bomb.tgz /\n")
    assert f"unpacks to more than {LIMITS.bytes} bytes" in docker("build", str(tmp_path), check=False).stderr
    many = archive(*((f"f{number}", tarfile.REGTYPE, "") for number in range(LIMITS.entries + 1)))
    assert f"more than {LIMITS.entries} entries" in docker("build", "-", input=many, check=False).stderr
    assert docker("images", "-aq").stdout.count("\n") == 1
    assert os.listdir(docker.engine.root / "build") == []
