"""TLS of the Docker API on TCP. Its authority vouches for nothing else: whoever has a certificate of it is root here."""

import ssl
from pathlib import Path

from podling.apiserver.pki import Authority
from podling.app.config import Config
from podling.base.errors import InvalidInput
from podling.base.files import write_atomic


def address(config: Config) -> tuple[str, int]:
    """Where to listen. Raises InvalidInput."""
    host, _, port = config.docker_tcp.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidInput(f"docker_tcp: {config.docker_tcp!r} is no address:port, as 127.0.0.1:2376")
    return host, int(port)


def server_context(config: Config, now: float) -> ssl.SSLContext:
    """The server's side; it also writes what a client needs into `client_folder`, in the names that docker knows."""
    folder = config.agent_root / "docker-tls"
    authority = Authority.open(folder, "ca", "podling docker", now)
    names = tuple(dict.fromkeys(("localhost", "127.0.0.1", config.node_name, address(config)[0])))
    authority.leaf(folder, "server", "podling", now, names=names)
    client = authority.leaf(folder, "client", "docker", now)
    place = client_folder(config)
    place.mkdir(exist_ok=True, mode=0o700)
    write_atomic(place / "ca.pem", authority.pair.certificate)
    write_atomic(place / "cert.pem", client.certificate)
    write_atomic(place / "key.pem", client.key, mode=0o600)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_folder(config: Config) -> Path:
    """What DOCKER_CERT_PATH of a client names."""
    return config.agent_root / "docker-tls" / "client"
