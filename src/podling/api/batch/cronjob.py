"""batch/v1 CronJob. Source: Kubernetes API reference, "CronJob"; pkg/apis/batch/validation."""

import re
from collections.abc import Iterator
from functools import cache

from podling.api import objects
from podling.api.apps.replicas import container_columns, shown_selector
from podling.api.batch import job, jobpolicy, schedule
from podling.api.columns import AGE, NAME
from podling.api.core import podspec
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object
from podling.api.rules import chosen, not_negative
from podling.api.timestamps import Ago, ago

POLICIES = ("Allow", "Forbid", "Replace")
LONGEST_NAME = 52  # a Job's name adds a time to it
_ZONE_PART = re.compile(r"[A-Za-z._0-9+][A-Za-z.\-_0-9+]{0,13}").fullmatch


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    inner = template.setdefault("spec", {})
    podspec.default_template(inner.setdefault("template", {}))
    jobpolicy.default(inner)


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from _schedule(spec, objects.get(old, "spec.schedule", ""))
    yield from not_negative(spec / "startingDeadlineSeconds")
    if old is None or objects.get(old, "spec.timeZone") != spec.get("timeZone"):
        yield from _zone(spec / "timeZone")
    yield from chosen(spec / "concurrencyPolicy", POLICIES)
    yield from _template(spec / "jobTemplate" / "spec")
    yield from not_negative(spec / "successfulJobsHistoryLimit")
    yield from not_negative(spec / "failedJobsHistoryLimit")
    if old is None and len(objects.name_of(new)) > LONGEST_NAME:
        yield at(new, "metadata", "name").invalid(f"must be no more than {LONGEST_NAME} characters")


def _schedule(spec: Cursor, before: str) -> Iterator[FieldError]:
    text = spec / "schedule"
    if not text.value:
        yield text.required()
        return
    for complaint in schedule.complaints(text.value):
        yield text.invalid(complaint)
    if "TZ" in text.value:
        if "TZ" not in before:
            yield text.invalid("cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
        elif spec.get("timeZone") is not None:
            yield text.invalid("cannot use both timeZone field and TZ or CRON_TZ in schedule")


def _zone(zone: Cursor) -> Iterator[FieldError]:
    name = zone.value
    if name is None:
        return
    if not name:
        yield zone.invalid("timeZone must be nil or non-empty string")
    elif any(part in (".", "..") or not _ZONE_PART(part) for part in name.split("/")):
        yield zone.invalid(f"unknown time zone {name}")
    elif name.lower() == "local":
        yield zone.invalid("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
    elif not _exists(name):
        yield zone.invalid(f"unknown time zone {name}")


@cache
def _exists(zone: str) -> bool:
    from zoneinfo import ZoneInfo  # reads a file; few jobs have a zone

    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True


def _template(spec: Cursor) -> Iterator[FieldError]:
    yield from job.validate_spec(spec)
    if spec.get("selector") is not None:
        yield (spec / "selector").invalid("`selector` will be auto-generated")
    if spec.get("manualSelector"):
        yield (spec / "manualSelector").unsupported(("nil", "false"))


def _last(obj: Object, _: float) -> Ago | str:
    last = objects.get(obj, "status.lastScheduleTime")
    return ago(last) if last else "<none>"


def _selector(obj: Object, _: float) -> str:
    return shown_selector(objects.get(obj, "spec.jobTemplate.spec.selector"))


CRON_JOB = Kind(
    api_version="batch/v1",
    kind="CronJob",
    plural="cronjobs",
    short=("cj",),
    categories=("all",),
    subresources=(STATUS,),
    generation=("spec",),
    default=default,
    validate=validate,
    warn=job.warn,
    columns=(
        NAME,
        Column("Schedule", "spec.schedule"),
        Column("Timezone", "spec.timeZone"),
        Column("Suspend", lambda obj, _: str(objects.get(obj, "spec.suspend", "<unset>")), "boolean"),
        Column("Active", lambda obj, _: len(objects.get(obj, "status.active", ())), "integer"),
        Column("Last Schedule", _last),
        AGE,
        *container_columns("spec.jobTemplate.spec.template"),
        Column("Selector", _selector, priority=1),
    ),
)
