"""coordination.k8s.io/v1beta1 LeaseCandidate: who would lead. Source: Kubernetes API reference, "LeaseCandidate"."""

import re
from collections.abc import Iterator

from podling.api import names
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object, deprecated
from podling.api.rules import present

OLDEST = "OldestEmulationVersion"
_NUMBER = "(0|[1-9][0-9]*)"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?").fullmatch  # semver.org


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    binary, emulated, strategy = spec / "binaryVersion", spec / "emulationVersion", spec / "strategy"
    yield from present(spec / "leaseName")
    yield from _version(emulated)
    yield from present(binary)
    yield from _version(binary)
    if _known(binary) and _known(emulated) and _parts(binary.value) < _parts(emulated.value):
        yield binary.invalid("must be greater than or equal to `emulationVersion`")
    if strategy.value == OLDEST and not emulated.value:
        yield emulated.required(f"must be specified when `strategy` is '{OLDEST}'")
    if not strategy.value:
        yield strategy.required()
    else:
        yield from _strategy(strategy)


def _known(version: Cursor) -> bool:
    return bool(version.value and _VERSION(version.value))


def _parts(version: str) -> tuple[int, ...]:
    found = _VERSION(version)
    assert found is not None
    return tuple(int(part) for part in found.groups()[:3])


def _version(version: Cursor) -> Iterator[FieldError]:
    if version.value and not _VERSION(version.value):
        yield version.invalid("must be a valid semantic version")


def _strategy(strategy: Cursor) -> Iterator[FieldError]:
    # upstream's path has the name twice
    if "/" not in strategy.value:
        if strategy.value != OLDEST:
            yield Cursor(strategy.value, strategy, "strategy").unsupported((OLDEST,))
        return
    for complaint in names.qualified(strategy.value):
        yield Cursor(strategy.value, strategy, "strategy").invalid(complaint)


LEASE_CANDIDATE = Kind(
    api_version="coordination.k8s.io/v1beta1",
    kind="LeaseCandidate",
    plural="leasecandidates",
    deprecation=deprecated("coordination.k8s.io/v1beta1", "LeaseCandidate", "36", "39"),
    immutable=("spec.leaseName",),
    check_name=names.config_key,
    create_on_update=True,
    unconditional=False,
    validate=validate,
    columns=(
        NAME,
        Column("LeaseName", "spec.leaseName"),
        Column("BinaryVersion", "spec.binaryVersion"),
        Column("EmulationVersion", "spec.emulationVersion"),
        AGE,
    ),
)
