"""Server and agents, side by side on one machine."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from podling.app import certificates, contexts, doctor, nodes, processes, ranges, segment
from podling.app.config import Config, load, require_port, settle
from podling.app.failure import explained
from podling.linux import namespace

Show = Callable[[str], None]
START_TIMEOUT = 60.0


def bring_up(flags: Mapping[str, Any], show: Show, count: int | None = None) -> Config:
    """Start what does not run yet, and return when all nodes are Ready and DNS answers.

    `count` is how many nodes there are to be (None: as many as there are, one at first).
    """
    doctor.require()
    config = load(flags)
    with explained("folders", config):
        config = settle(config, flags)
        for folder in (config.root, config.run):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        further = nodes.make(config, count)
    show("certificates")
    with explained("certificates", config):
        certificates.prepare(config)
    with explained("network", config):
        if processes.PidFile(config.pid_file("agent")).holder() is None:
            ranges.require(config)
        if further:
            show(f"network of {nodes.FIRST + len(further)} nodes")
            segment.make(config, further)
    with explained("start", config):
        start(config, further, show)
    with explained("contexts of docker and kubectl", config):
        contexts.merge_kubeconfig(config)
        contexts.write_docker_context(config)
    return config


def start(config: Config, further: Sequence[Config], show: Show) -> None:
    """Start the processes that don't run and wait until they are ready; each further node's agent in its own namespace."""
    if processes.PidFile(config.pid_file("server")).holder() is None:
        require_port(config)
    starting = processes.Starting()
    for name in ("server", "agent"):
        if processes.PidFile(config.pid_file(name)).holder() is None:
            starting.start(name, [name], config.log_file(name), config.environment())
    for node in further:
        if processes.PidFile(node.pid_file("agent")).holder() is None:
            inside = partial(namespace.enter, segment.netns(node))
            starting.start(nodes.part(node), ["agent"], node.log_file("agent"), node.environment(), inside)
    try:
        for report in starting.reports(START_TIMEOUT):
            show(f"{report.process}: {report.text}")
    except BaseException:
        for name in starting.processes:
            processes.stop(nodes.pid_files(config)[name], grace=5.0)
        raise
