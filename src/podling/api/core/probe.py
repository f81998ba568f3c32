"""Probes and lifecycle hooks. Source: API reference "Probe", "LifecycleHandler"."""

from collections.abc import Iterator

from podling.api import names
from podling.api.field import Cursor, FieldError
from podling.api.kind import Object
from podling.api.rules import chosen, not_negative, port, port_or_name, positive, present

PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
HOOK_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")


def default(probe: Object) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    default_handler(probe)
    if probe.get("grpc"):
        probe["grpc"].setdefault("service", "")


def default_handler(handler: Object) -> None:
    if request := handler.get("httpGet"):
        request.setdefault("path", "/")
        request.setdefault("scheme", "HTTP")


def validate(probe: Cursor, *, once: bool) -> Iterator[FieldError]:
    """`once`: one success is enough, as for liveness and startup."""
    yield from validate_handler(probe, PROBE_HANDLERS)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        yield from not_negative(probe / name)
    yield from positive(probe / "terminationGracePeriodSeconds")
    if once and probe.get("successThreshold") != 1:
        yield (probe / "successThreshold").invalid("must be 1")
    elif not once and probe.get("terminationGracePeriodSeconds") is not None:
        yield (probe / "terminationGracePeriodSeconds").invalid("must not be set for readinessProbes")


def validate_handler(handler: Cursor, kinds: tuple[str, ...]) -> Iterator[FieldError]:
    """Exactly one way to ask."""
    given = [kind for kind in kinds if handler.get(kind) is not None]
    if not given:
        yield handler.required("must specify a handler type")
    for kind in given[1:]:
        yield (handler / kind).forbidden("may not specify more than 1 handler type")
    for kind in given[:1]:
        yield from _validate_kind(kind, handler / kind)


def _validate_kind(kind: str, action: Cursor) -> Iterator[FieldError]:
    match kind:
        case "exec":
            yield from present(action / "command")
        case "httpGet":
            yield from present(action / "path")
            yield from port_or_name(action / "port")
            yield from chosen(action / "scheme", ("HTTP", "HTTPS"))
            for header in action / "httpHeaders":
                yield from _header(header, action / "httpHeaders")
        case "tcpSocket":
            yield from port_or_name(action / "port")
        case "grpc":
            yield from port(action / "port")
        case "sleep":
            yield from not_negative(action / "seconds")


def _header(header: Cursor, headers: Cursor) -> Iterator[FieldError]:
    for complaint in names.header(header.get("name", "")):
        yield headers.invalid(complaint, header.get("name", ""))
