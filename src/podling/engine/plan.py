"""From a record to the plan of an OCI spec (`podling.runtime.spec`)."""

from dataclasses import replace
from pathlib import Path

from podling.engine import links
from podling.engine.defaults import merge_env, process_env
from podling.engine.devices import devices_of
from podling.engine.mounts import INIT_TARGET
from podling.engine.naming import hostname_of, linked_containers
from podling.engine.network import network_namespace, running_pid
from podling.engine.record import Record
from podling.engine.surroundings import Surroundings
from podling.runtime.spec import DEFAULT_SHM_SIZE, BindMount, Plan, TmpfsMount
from podling.runtime.user import User


def plan_of(record: Record, around: Surroundings, root: Path, user: User, bound: list[BindMount | TmpfsMount]) -> Plan:
    spec = replace(record.spec, hostname=hostname_of(record, around))
    if spec.namespaces.network == "bridge":
        told = [word for each in linked_containers(record, around) for word in links.environment(record.name, each)]
        spec = replace(spec, env=merge_env(told, spec.env))
    init = [INIT_TARGET, "--"] if spec.init else []
    return Plan(
        root=str(root),
        args=[*init, *(spec.entrypoint or ()), *(spec.command or ())],
        env=process_env(spec, user.home),
        working_dir=spec.working_dir,
        user=user,
        tty=spec.tty,
        console_size=spec.console_size if all(spec.console_size) else (),
        hostname=spec.hostname,
        domainname=spec.domainname,
        mounts=bound,
        namespaces=_namespaces(record, around),
        cgroup_path=cgroup_path(record, around),
        devices=devices_of(spec),
        resources=spec.resources,
        security=spec.security,
        shm_size=0 if spec.namespaces.ipc == "none" else spec.shm_size or DEFAULT_SHM_SIZE,
        oom_score_adj=spec.oom_score_adj,
        annotations=spec.annotations,
    )


def cgroup_path(record: Record, around: Surroundings) -> str:
    return f"{record.spec.cgroup_parent or around.cgroup_parent}/{record.id}"


def _namespaces(record: Record, around: Surroundings) -> dict[str, str | None]:
    spec = record.spec.namespaces
    result: dict[str, str | None] = {"mount": None}
    network = network_namespace(record, around)
    if network is not None:
        result["network"] = network
    for kind, mode in (("pid", spec.pid), ("ipc", spec.ipc), ("uts", spec.uts)):
        if mode != "host":
            result[kind] = _join(mode, kind, around)
    if spec.network == "host" and not spec.uts:
        result.pop("uts")
    if spec.cgroup != "host" and (around.host.cgroup_v2 or spec.cgroup == "private"):
        result["cgroup"] = None
    return result


def _join(mode: str, kind: str, around: Surroundings) -> str | None:
    if mode.startswith("ns:"):
        return mode[3:]
    if mode.startswith("container:"):
        return f"/proc/{running_pid(around.find(mode[10:]), kind.upper())}/ns/{kind}"
    return None
