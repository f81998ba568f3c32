"""The Docker API over TCP with certificates, as `docker --tlsverify` speaks it: Go's TLS against ours."""

import hashlib
import ssl
import subprocess
import time

import pytest

from podling.apiserver.pki import Authority

pytestmark = pytest.mark.root


@pytest.fixture
def over_tls(docker, tmp_path):
    """Run the docker CLI over TLS."""
    authority = Authority.create("tests", time.time())
    (tmp_path / "ca.pem").write_bytes(authority.pair.certificate)
    for stem, names in (("server", ["127.0.0.1"]), ("client", [])):
        pair = authority.issue(stem, time.time(), names=names)
        (tmp_path / f"{stem}.pem").write_bytes(pair.certificate)
        (tmp_path / f"{stem}-key.pem").write_bytes(pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server-key.pem")
    _, port = docker.do(docker._server.listen_tcp("127.0.0.1", 0, ssl=context))
    flags = [f"--tlscacert={tmp_path}/ca.pem", f"--tlscert={tmp_path}/client.pem", f"--tlskey={tmp_path}/client-key.pem"]

    def run(*arguments, input=None, certificate=True):
        command = ["docker", "-H", f"tcp://127.0.0.1:{port}", "--tlsverify", *(flags if certificate else flags[:1]), *arguments]
        return subprocess.run(command, input=input, capture_output=True, timeout=60, check=False, env=docker.environment())

    return run


def test_the_output_goes_on_after_the_end_of_the_input(over_tls):
    data = b"0123456789abcdef" * 100_000
    done = over_tls("run", "--rm", "-i", "busybox", "sh", "-c", "cat > /all; sleep 0.3; md5sum < /all; cat /all", input=data)
    assert done.returncode == 0, done.stderr
    assert done.stdout[:32].decode() == hashlib.md5(data).hexdigest()
    assert done.stdout.partition(b"\n")[2] == data


def test_without_a_certificate_nobody_comes_in(over_tls):
    done = over_tls("ps", certificate=False)
    assert done.returncode == 1
    assert b"certificate" in done.stderr
