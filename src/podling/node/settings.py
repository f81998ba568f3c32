"""What an administrator may set of the node agent: a KubeletConfiguration, of which the fields here are read.

Source: kubelet.config.k8s.io/v1beta1 KubeletConfiguration. Defaults differ from the kubelet's where a machine is shared with
other work: a disk that others fill evicts late, and images, which `docker` sees too, are not collected.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from podling.base import quantity
from podling.base.errors import InvalidInput
from podling.node.durations import seconds
from podling.node.pressure.thresholds import Threshold, parse

_HARD = {
    "memory.available": "100Mi",
    "nodefs.available": "3%",
    "nodefs.inodesFree": "3%",
    "imagefs.available": "3%",
    "imagefs.inodesFree": "3%",
}


@dataclass(frozen=True, slots=True)
class Shutdown:
    """How pods end with their node: seconds for pods of at least a priority, the lowest first."""

    periods: tuple[tuple[int, float], ...] = ()

    @property
    def total(self) -> float:
        return sum(period for _, period in self.periods)


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds, sizes in bytes, thresholds of images in percent of the disk (100: never).

    `runtime` is the endpoint of a CRI runtime; empty: our own engine.
    """

    manifests: Path | None = None
    runtime: str = ""
    thresholds: tuple[Threshold, ...] = field(default_factory=lambda: parse(_HARD))
    soft_grace_most: float = 0.0
    pressure_lasts: float = 300.0
    minimum_reclaim: Mapping[str, str] = field(default_factory=dict)
    measured_every: float = 10.0
    log_size: int = 10 << 20
    log_files: int = 5
    images_high: int = 100
    images_low: int = 80
    image_age: float = 120.0
    image_age_most: float = 0.0
    shutdown: Shutdown = Shutdown()
    sysctls: tuple[str, ...] = ()
    max_pods: int = 110
    pids_limit: int = 0


def load(path: Path | None) -> Settings:
    """The settings of a file; None: the defaults. Raises InvalidInput naming the file and the field."""
    if path is None:
        return Settings()
    try:
        document = yaml.safe_load(path.read_text())
        if not isinstance(document, dict) or document.get("kind") != "KubeletConfiguration":
            raise InvalidInput("it is no KubeletConfiguration")
        return read(document, path.parent)
    except (OSError, yaml.YAMLError, ValueError, TypeError, AttributeError, InvalidInput) as error:
        raise InvalidInput(f"{path}: {error}") from None


def read(document: Mapping[str, Any], base: Path = Path("/")) -> Settings:
    """The settings of a KubeletConfiguration; a relative staticPodPath is below `base`."""
    default = Settings()
    manifests = document.get("staticPodPath")

    def after(name: str, otherwise: float) -> float:
        return seconds(str(document[name])) if document.get(name) is not None else otherwise

    graces = {signal: seconds(text) for signal, text in (document.get("evictionSoftGracePeriod") or {}).items()}
    hard = document.get("evictionHard")
    return Settings(
        manifests=base / manifests if manifests else None,
        runtime=document.get("containerRuntimeEndpoint") or "",
        thresholds=parse(_HARD if hard is None else hard) + parse(document.get("evictionSoft") or {}, graces),
        soft_grace_most=float(document.get("evictionMaxPodGracePeriod") or 0),
        pressure_lasts=after("evictionPressureTransitionPeriod", default.pressure_lasts),
        minimum_reclaim=document.get("evictionMinimumReclaim") or {},
        log_size=quantity.whole(document.get("containerLogMaxSize") or default.log_size),
        log_files=_at_least(document, "containerLogMaxFiles", 2, default.log_files),
        images_high=_percent(document, "imageGCHighThresholdPercent", default.images_high),
        images_low=_percent(document, "imageGCLowThresholdPercent", default.images_low),
        image_age=after("imageMinimumGCAge", default.image_age),
        image_age_most=after("imageMaximumGCAge", default.image_age_most),
        shutdown=_shutdown(document, after("shutdownGracePeriod", 0), after("shutdownGracePeriodCriticalPods", 0)),
        sysctls=tuple(document.get("allowedUnsafeSysctls") or ()),
        max_pods=_at_least(document, "maxPods", 0, default.max_pods),
        pids_limit=max(int(document.get("podPidsLimit") or 0), 0),
    )


def _shutdown(document: Mapping[str, Any], total: float, critical: float) -> Shutdown:
    if by_priority := document.get("shutdownGracePeriodByPodPriority"):
        if total or critical:
            raise InvalidInput("shutdownGracePeriodByPodPriority and shutdownGracePeriod exclude each other")
        found = ((int(each["priority"]), float(each["shutdownGracePeriodSeconds"])) for each in by_priority)
        return Shutdown(tuple(sorted(found)))
    if not total:
        return Shutdown()
    if critical > total:
        raise InvalidInput("shutdownGracePeriodCriticalPods must be less than or equal to shutdownGracePeriod")
    return Shutdown(((0, total - critical), (2_000_000_000, critical)))


def _at_least(document: Mapping[str, Any], name: str, least: int, otherwise: int) -> int:
    value = int(document[name]) if document.get(name) is not None else otherwise
    if value < least:
        raise InvalidInput(f"{name}: {value} is less than {least}")
    return value


def _percent(document: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = _at_least(document, name, 0, otherwise)
    if value > 100:
        raise InvalidInput(f"{name}: {value} is more than 100")
    return value
