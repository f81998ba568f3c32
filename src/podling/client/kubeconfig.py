"""kubeconfig files: which cluster, as whom. Written with mode 0600, whole or not at all.

Of several files the first that has an entry wins. Source: client.config.k8s.io v1 Config; "Organizing Cluster Access Using
kubeconfig Files".
"""

import base64
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from podling.api.objects import Object
from podling.base.errors import InvalidInput, NotFound
from podling.base.files import write_atomic

_LISTS = (("clusters", "cluster"), ("contexts", "context"), ("users", "user"))
EMPTY: Object = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {},
    "clusters": [],
    "contexts": [],
    "users": [],
    "current-context": "",
}


@dataclass(frozen=True, slots=True)
class Access:
    """One context, resolved. Certificates and key are PEM; `token_file` is read anew as it changes."""

    server: str
    namespace: str = "default"
    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    server_name: str = ""
    insecure: bool = False

    def ssl_context(self) -> ssl.SSLContext | None:
        """For the TLS client; None where the server is plain http. The key never becomes a file on disk."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cadata=self.ca.decode() if self.ca else None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.load_certificate(context)
        return context

    def load_certificate(self, context: ssl.SSLContext) -> None:
        """Have `context` show our certificate, in connections from now on."""
        if self.certificate:
            with _in_memory(self.certificate + b"\n" + self.key) as path:
                context.load_cert_chain(path)


def paths(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """The files to read, in order of precedence: $KUBECONFIG, else ~/.kube/config."""
    named = [Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    return named or [Path(environment.get("HOME", "/root")) / ".kube" / "config"]


def load(files: Sequence[Path]) -> Object:
    """The merged configuration of those files that exist. Raises InvalidInput for one that is no kubeconfig."""
    merged = dict(EMPTY)
    for file in files:
        with suppress(FileNotFoundError):
            merged = merge(_absolute(read(file), file.parent), merged)
    return merged


def read(file: Path) -> Object:
    try:
        config = yaml.safe_load(file.read_text()) or {}
    except yaml.YAMLError as error:
        raise InvalidInput(f"kubeconfig {file} is no YAML: {error}") from error
    if not isinstance(config, dict) or any(not isinstance(config.get(name) or [], list) for name, _ in _LISTS):
        raise InvalidInput(f"kubeconfig {file} is no Config object")
    return config


def merge(below: Object, above: Object) -> Object:
    """Entries of both; where both have one of a name, that of `above`."""
    merged = {**EMPTY, **below, **{key: value for key, value in above.items() if value}}
    for name, _ in _LISTS:
        ours = above.get(name) or []
        taken = {entry["name"] for entry in ours}
        merged[name] = [*ours, *(entry for entry in below.get(name) or [] if entry["name"] not in taken)]
    return merged


def remove(config: Object, name: str) -> Object:
    """`config` without the context `name` and the cluster and user of the same name."""
    rest = {**config, **{key: [entry for entry in config.get(key) or [] if entry["name"] != name] for key, _ in _LISTS}}
    if rest.get("current-context") == name:
        rest["current-context"] = next((entry["name"] for entry in rest["contexts"]), "")
    return rest


def entry(name: str, access: Access) -> Object:
    """A configuration of one context whose cluster and user have the same name, everything within."""
    cluster: Object = {"server": access.server}
    if access.ca:
        cluster["certificate-authority-data"] = base64.b64encode(access.ca).decode()
    user: Object = {"token": access.token} if access.token else {}
    if access.certificate:
        user["client-certificate-data"] = base64.b64encode(access.certificate).decode()
        user["client-key-data"] = base64.b64encode(access.key).decode()
    context = {"cluster": name, "user": name, "namespace": access.namespace}
    return {
        **EMPTY,
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": context}],
        "users": [{"name": name, "user": user}],
        "current-context": name,
    }


def write(file: Path, config: Object) -> None:
    """Replace `file` (a link's target) atomically; owner and nobody else may read it."""
    target = file.resolve()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(target, yaml.safe_dump(config, sort_keys=False).encode(), mode=0o600)


def add_to(file: Path, name: str, access: Access) -> None:
    """Put the context `name` into `file`, replacing one of that name, and make it the current one."""
    existing = read(file) if file.exists() else dict(EMPTY)
    write(file, merge(existing, entry(name, access)))


def remove_from(file: Path, name: str) -> None:
    if file.exists():
        write(file, remove(read(file), name))


def resolve(config: Object, context: str = "") -> Access:
    """The access that `context` (or the current one) stands for. Raises NotFound naming what is missing."""
    name = context or config.get("current-context") or ""
    if not name:
        raise NotFound("the kubeconfig has no current context: `podling up` makes one, KUBECONFIG names another file")
    chosen = _named(config, "contexts", "context", name)
    cluster = _named(config, "clusters", "cluster", chosen.get("cluster", ""))
    user = _named(config, "users", "user", chosen["user"]) if chosen.get("user") else {}
    return Access(
        server=cluster["server"].rstrip("/"),
        namespace=chosen.get("namespace") or "default",
        ca=_data(cluster, "certificate-authority"),
        certificate=_data(user, "client-certificate"),
        key=_data(user, "client-key"),
        token=user.get("token") or "",
        token_file=Path(user["tokenFile"]) if user.get("tokenFile") else None,
        server_name=cluster.get("tls-server-name") or "",
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _named(config: Object, section: str, key: str, name: str) -> Object:
    for candidate in config.get(section) or []:
        if candidate.get("name") == name:
            found: Object = candidate.get(key) or {}
            return found
    raise NotFound(f"kubeconfig has no {key} {name!r}")


def _data(section: Object, name: str) -> bytes:
    """`NAME-data` (base64), else the contents of the file that NAME names."""
    if encoded := section.get(f"{name}-data"):
        return base64.b64decode(encoded)
    return Path(section[name]).read_bytes() if section.get(name) else b""


def _absolute(config: Object, folder: Path) -> Object:
    """File names within a kubeconfig are relative to it."""
    files = ("certificate-authority", "client-certificate", "client-key", "tokenFile")

    def fixed(section: Any) -> Any:
        return {key: str(folder / value) if key in files and value else value for key, value in (section or {}).items()}

    return {
        **config,
        **{name: [{**item, key: fixed(item.get(key))} for item in config.get(name) or []] for name, key in _LISTS},
    }


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """A path to `data` that only this process can read: OpenSSL takes keys by name only. Source: memfd_create(2)."""
    handle = os.memfd_create("key", os.MFD_CLOEXEC)
    try:
        os.write(handle, data)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
