"""How people's clients find this podling: a kubectl context and a docker context of the instance's name."""

import hashlib
import shutil
from pathlib import Path

import orjson

from podling.app.config import Config
from podling.base.files import write_atomic
from podling.client import kubeconfig


def merge_kubeconfig(config: Config) -> Path:
    """Put the administrator's context into the user's kubeconfig, as the current one. Returns the file."""
    access = kubeconfig.resolve(kubeconfig.load([config.admin_kubeconfig]))
    kubeconfig.add_to(config.kubeconfig, config.instance, access)
    return config.kubeconfig


def refresh_kubeconfig(config: Config) -> None:
    """Renew the certificate in the user's kubeconfig, where it has the context; which one is current stays."""
    if not config.kubeconfig.exists():
        return
    held = kubeconfig.read(config.kubeconfig)
    if any(each.get("name") == config.instance for each in held.get("contexts") or ()):
        access = kubeconfig.resolve(kubeconfig.load([config.admin_kubeconfig]))
        merged = kubeconfig.merge(held, kubeconfig.entry(config.instance, access))
        kubeconfig.write(config.kubeconfig, {**merged, "current-context": held.get("current-context", "")})


def write_docker_context(config: Config) -> None:
    """A docker context, as `docker context create` writes it: metadata under the SHA-256 of its name."""
    meta = {
        "Name": config.instance,
        "Metadata": {"Description": "podling"},
        "Endpoints": {"docker": {"Host": f"unix://{config.docker_socket}", "SkipTLSVerify": False}},
    }
    folder = _docker_context(config)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "meta.json", orjson.dumps(meta))


def remove(config: Config) -> None:
    """Take both contexts away."""
    if config.kubeconfig.exists():
        kubeconfig.remove_from(config.kubeconfig, config.instance)
    shutil.rmtree(_docker_context(config), ignore_errors=True)


def _docker_context(config: Config) -> Path:
    return config.docker_config / "contexts/meta" / hashlib.sha256(config.instance.encode()).hexdigest()
