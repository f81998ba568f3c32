"""What probe results mean: thresholds, and the kill that a failed liveness or startup probe asks for.

Source: Kubernetes, "Configure Liveness, Readiness and Startup Probes".
"""

from dataclasses import replace

from podling.node.pod.events import Probed
from podling.node.pod.instructions import Outbox, Stop
from podling.node.pod.spec import Object, container_of, grace_of, probe_of
from podling.node.pod.state import Container, Life, Streak


def observe_probe(pod: Object, container: Container, event: Probed, out: Outbox) -> Container:
    """The record after one result."""
    probe = probe_of(container_of(pod, container.name), event.kind) or {}
    if not event.ok:
        out.warn("Unhealthy", f"{event.kind.capitalize()} probe failed: {event.output}", container.name)
    streak = _streak(container.streaks.get(event.kind, Streak()), event.ok)
    container = replace(container, streaks={**container.streaks, event.kind: streak})
    if streak.successes >= (probe.get("successThreshold") or 1):
        return _passed(pod, container, event)
    if streak.failures >= (probe.get("failureThreshold") or 3):
        return _failed(pod, container, event, probe, out)
    return container


def _streak(old: Streak, ok: bool) -> Streak:
    return Streak(old.successes + 1, 0) if ok else Streak(0, old.failures + 1)


def _passed(pod: Object, container: Container, event: Probed) -> Container:
    if event.kind == "startup" and not container.started:
        return replace(container, started=True, ready=probe_of(container_of(pod, container.name), "readiness") is None)
    if event.kind == "readiness":
        return replace(container, ready=True)
    return container


def _failed(pod: Object, container: Container, event: Probed, probe: Object, out: Outbox) -> Container:
    if event.kind == "readiness":
        return replace(container, ready=False)
    if container.life is not Life.RUNNING:
        return container
    grace = float(probe.get("terminationGracePeriodSeconds") or grace_of(pod))
    out.note("Killing", f"Container {container.name} failed {event.kind} probe, will be restarted", container.name)
    out.put(Stop(container.name, container.id, grace))
    return replace(container, life=Life.STOPPING, grace=grace, ready=False)
