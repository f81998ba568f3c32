"""Server and agent, side by side on one machine."""

from collections.abc import Callable, Mapping
from typing import Any

from podling.app import certificates, contexts, doctor, processes
from podling.app.config import Config, load, require_port, settle

Show = Callable[[str], None]
START_TIMEOUT = 60.0


def bring_up(flags: Mapping[str, Any], show: Show) -> Config:
    """Start what does not run yet, and return when the node is Ready and DNS answers."""
    doctor.require()
    config = settle(load(flags), flags)
    for folder in (config.root, config.run):
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    show("certificates")
    certificates.prepare(config)
    start(config, show)
    contexts.merge_kubeconfig(config)
    contexts.write_docker_context(config)
    return config


def start(config: Config, show: Show) -> None:
    """Start the processes that don't run and wait until they are ready."""
    if processes.PidFile(config.pid_file("server")).holder() is None:
        require_port(config)
    starting = processes.Starting()
    for name in ("server", "agent"):
        if processes.PidFile(config.pid_file(name)).holder() is None:
            starting.start(name, [name], config.log_file(name), config.environment())
    try:
        for report in starting.reports(START_TIMEOUT):
            show(f"{report.process}: {report.text}")
    except BaseException:
        for name in starting.processes:
            processes.stop(config.pid_file(name), grace=5.0)
        raise
