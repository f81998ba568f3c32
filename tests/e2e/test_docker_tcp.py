"""The Docker API on TCP, to those who have a certificate."""

import pytest

from podling.app.docker_tls import client_folder
from podling.testing.podling import running_podling

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]
ADDRESS = "127.0.0.1:2376"


def test_with_a_certificate_and_not_without():
    with running_podling("--docker-tcp", ADDRESS) as podling:
        folder = client_folder(podling.config)
        proof = [
            f"--tls{name}={folder / file}" for name, file in (("cacert", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem"))
        ]
        known = ("--tlsverify", *proof, "-H", f"tcp://{ADDRESS}")
        assert podling.docker(*known, "run", "--rm", "busybox", "echo", "hello").stdout == "hello\n"
        assert podling.docker(*known, "run", "--rm", "-i", "busybox", "wc", "-c", input="x" * 100_000).stdout == "100000\n"
        stranger = podling.docker("--tlsverify", proof[0], "-H", f"tcp://{ADDRESS}", "ps", check=False)
        assert stranger.returncode != 0
        plain = podling.docker("-H", f"tcp://{ADDRESS}", "ps", check=False)
        assert plain.returncode != 0
        files = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        assert files == {"ca.pem": 0o644, "cert.pem": 0o644, "key.pem": 0o600}
