"""batch/v1 Job. Source: Kubernetes API reference, "Job"; pkg/apis/batch/validation; pkg/registry/batch/job."""

from collections.abc import Iterator

from podling.api import names, objects, selectors
from podling.api.apps.replicas import TEMPLATE_COLUMNS
from podling.api.batch import jobpolicy
from podling.api.columns import AGE, NAME
from podling.api.core import podspec
from podling.api.field import OMITTED, Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object
from podling.api.rules import domain_path, label_selector, not_negative, one_of
from podling.api.timestamps import Ago, human, parse

BACKOFF, UNLIMITED = 6, 2**31 - 1
MAX_INDEXED_PARALLELISM = MAX_FAILED_INDEXES = 100_000
_MANY, _MANY_PARALLEL, _MANY_FAILED = 100_000, 10_000, 10_000
NOT_A_LABEL = (
    "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended"
)
_UID, _NAME = ("controller-uid", "batch.kubernetes.io/controller-uid"), ("job-name", "batch.kubernetes.io/job-name")
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)


def default(obj: Object) -> None:
    default_spec(obj.setdefault("spec", {}))
    _copy_labels(obj)


def _copy_labels(obj: Object) -> None:
    """A Job without labels is labelled as its pods are."""
    labels = objects.labels_of(obj["spec"]["template"])
    if labels and not objects.labels_of(obj):
        obj.setdefault("metadata", {})["labels"] = dict(labels)


def default_spec(spec: Object) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", BACKOFF if spec.get("backoffLimitPerIndex") is None else UNLIMITED)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    spec.setdefault("manualSelector", False)
    jobpolicy.default(spec)
    podspec.default_template(spec.setdefault("template", {}))


def prepare(new: Object, old: Object | None) -> None:
    """A new Job selects its pods by its own uid, unless the client chose a selector."""
    if old is not None or new["spec"].get("manualSelector"):
        return
    spec, uid = new["spec"], objects.uid_of(new)
    metadata = spec["template"]["metadata"]
    own = dict.fromkeys(_NAME, objects.name_of(new)) | dict.fromkeys(_UID, uid)
    metadata["labels"] = own | (metadata.get("labels") or {})
    selector = spec.setdefault("selector", {})
    selector["matchLabels"] = {_UID[1]: uid} | (selector.get("matchLabels") or {})
    _copy_labels(new)


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from _generated(new)
    yield from validate_spec(spec)
    yield from _selector(spec)
    completions = spec.get("completions", 0)
    if _indexed(spec) and completions > 0:
        host = f"{objects.name_of(new)}-{completions - 1}"
        if names.label(host):
            yield at(new, "metadata", "name").invalid(f"will not able to create pod with invalid DNS label: {host}")
    if old is not None:
        yield from _validate_update(spec, old)


def _generated(job: Object) -> Iterator[FieldError]:
    """Nobody chose the Job's selector: the template carries the labels that the server gave it."""
    spec = at(job, "spec")
    if spec.get("manualSelector") or not spec.get("selector"):
        return
    metadata = spec / "template" / "metadata"
    own = dict.fromkeys(_UID, objects.uid_of(job)) | dict.fromkeys(_NAME, objects.name_of(job))
    for key, value in own.items():
        found = (metadata / "labels").get(key)
        if found is None:
            yield Cursor(None, metadata / "labels", f"[{key}]").required(f"must be '{value}'")
        elif found != value:
            yield Cursor(found, metadata / "labels", f"[{key}]").invalid(f"must be '{value}'", metadata.get("labels"))
    if not _matches(spec.get("selector"), own):
        yield (spec / "selector").invalid("`selector` not auto-generated")


def _matches(selector: Object, labels: Object | None) -> bool:
    try:
        return selectors.of_object(selector).matches(labels)
    except selectors.SelectorError:
        return True  # the selector's own error says it better


def _selector(spec: Cursor) -> Iterator[FieldError]:
    selector, labels = spec / "selector", spec / "template" / "metadata" / "labels"
    if selector.value is None:
        yield selector.required()
        return
    yield from label_selector(selector)
    if not _matches(selector.value, labels.value):
        yield labels.invalid("`selector` does not match template `labels`")


def _indexed(spec: Cursor) -> bool:
    return bool(spec.get("completionMode") == "Indexed")


def validate_spec(spec: Cursor) -> Iterator[FieldError]:
    """The rules that hold for a CronJob's template too."""
    for name in _COUNTS:
        yield from not_negative(spec / name)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        yield (spec / "backoffLimitPerIndex").required("when maxFailedIndexes is specified")
    if spec.get("managedBy") is not None:
        yield from domain_path(spec / "managedBy")
        if len(spec.get("managedBy")) > 63:
            yield (spec / "managedBy").too_long(63)
    yield from one_of(spec / "completionMode", ("NonIndexed", "Indexed"))
    yield from _indexes(spec) if _indexed(spec) else _no_indexes(spec)
    yield from _policies(spec)
    yield from podspec.validate_template(spec / "template")
    yield from _restart(spec)


def _indexes(spec: Cursor) -> Iterator[FieldError]:
    completions, parallelism, failed = (spec.get(name) for name in ("completions", "parallelism", "maxFailedIndexes"))
    if completions is None:
        yield (spec / "completions").required("when completion mode is Indexed")
    if (parallelism or 0) > MAX_INDEXED_PARALLELISM:
        limit = f"must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
        yield (spec / "parallelism").invalid(limit)
    if failed is not None and completions is not None and failed > completions:
        yield (spec / "maxFailedIndexes").invalid("must be less than or equal to completions")
    if (failed or 0) > MAX_FAILED_INDEXES:
        yield (spec / "maxFailedIndexes").invalid(f"must be less than or equal to {MAX_FAILED_INDEXES}")
    if (completions or 0) > _MANY and spec.get("backoffLimitPerIndex") is not None:
        yield from _many_indexes(spec, parallelism or 0, failed)


def _many_indexes(spec: Cursor, parallelism: int, failed: int | None) -> Iterator[FieldError]:
    when = f"when completions are above {_MANY} and used with backoff limit per index"
    if failed is None:
        yield (spec / "maxFailedIndexes").required(f"must be specified when completions is above {_MANY}")
    if parallelism > _MANY_PARALLEL:
        yield (spec / "parallelism").invalid(f"must be less than or equal to {_MANY_PARALLEL} {when}")
    if (failed or 0) > _MANY_FAILED:
        yield (spec / "maxFailedIndexes").invalid(f"must be less than or equal to {_MANY_FAILED} {when}")


def _no_indexes(spec: Cursor) -> Iterator[FieldError]:
    for name in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
        if spec.get(name) is not None:
            yield (spec / name).invalid("requires indexed completion mode")


def _policies(spec: Cursor) -> Iterator[FieldError]:
    failure, success, replacement = spec / "podFailurePolicy", spec / "successPolicy", spec / "podReplacementPolicy"
    if failure.value is not None:
        yield from jobpolicy.validate_failure(failure, spec)
        yield from one_of(replacement, ("Failed",))
    else:
        yield from one_of(replacement, ("Failed", "TerminatingOrFailed"))
    if success.value is not None and _indexed(spec):
        yield from jobpolicy.validate_success(success, spec.get("completions", 0))


def _restart(spec: Cursor) -> Iterator[FieldError]:
    policy = spec / "template" / "spec" / "restartPolicy"
    if policy.value in ("Always", None, ""):
        yield policy.required('valid values: "OnFailure", "Never"')
    elif policy.value not in ("OnFailure", "Never"):
        yield policy.unsupported(("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and policy.value != "Never":
        yield policy.invalid('only "Never" is supported when podFailurePolicy is specified')


def _validate_update(spec: Cursor, old: Object) -> Iterator[FieldError]:
    before = old.get("spec") or {}
    completions = spec / "completions"
    if completions.value != before.get("completions"):
        if not _indexed(spec):
            yield completions.invalid("field is immutable")
        elif completions.value is not None and completions.value != spec.get("parallelism"):
            yield completions.invalid("can only be modified in tandem with spec.parallelism")
    if _template_fixed(spec.get("template"), old) != _template_fixed(before.get("template"), old):
        yield (spec / "template").invalid("field is immutable")


def _template_fixed(template: Object | None, old: Object) -> Object:
    """What of the template a change may not touch. While a Job waits, it may still be told where to run and what it needs."""
    template = template or {}
    waiting = objects.get(old, "spec.suspend") and not objects.get(old, "status.active")
    if not (waiting and (objects.has_condition(old, "Suspended") or not objects.get(old, "status.startTime"))):
        return template
    for path in ("spec.nodeSelector", "spec.tolerations", "spec.affinity.nodeAffinity", "spec.schedulingGates"):
        template = objects.drop(template, path)
    for path in ("metadata.labels", "metadata.annotations"):
        template = objects.drop(template, path)
    if not objects.get(template, "spec.affinity", {}):
        template = objects.drop(template, "spec.affinity")
    if objects.has_condition(old, "Suspended"):
        for member in ("containers", "initContainers"):
            kept = [objects.drop(each, "resources") for each in objects.get(template, f"spec.{member}", ())]
            template = objects.put(template, f"spec.{member}", kept)
    return template


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status, before = at(new, "status"), old.get("status") or {}
    for name in ("active", "succeeded", "failed", "ready", "terminating"):
        yield from not_negative(status / name)
    for kind in ("Failed", "Complete", "FailureTarget"):
        if objects.has_condition(old, kind) and not objects.has_condition(new, kind):
            yield (status / "conditions").invalid(f"cannot disable the terminal {kind}=True condition", OMITTED)
    if objects.has_condition(old, "SuccessCriteriaMet") and not objects.has_condition(new, "SuccessCriteriaMet"):
        yield (status / "conditions").invalid("cannot disable the SuccessCriteriaMet=True condition", OMITTED)
    if objects.has_condition(new, "Complete") and objects.has_condition(new, "Failed"):
        yield (status / "conditions").invalid("cannot set Complete=True and Failed=true conditions", OMITTED)
    elastic = objects.get(new, "spec.completionMode") == "Indexed"
    for name in ("failed",) if elastic else ("failed", "succeeded"):
        if status.get(name, 0) < before.get(name, 0):
            yield (status / name).invalid(f"cannot decrease the {name} counter", status.get(name, 0))
    done = before.get("completionTime")
    if done and status.get("completionTime") not in (None, done):
        yield (status / "completionTime").invalid("field is immutable")
    if before.get("startTime") not in (None, status.get("startTime")) and not objects.get(new, "spec.suspend"):
        yield (status / "startTime").invalid("field is immutable for unsuspended job once set")


def warn(new: Object, old: Object | None) -> Iterator[str]:
    if old is None and (complaints := names.label(objects.name_of(new))):
        yield f"{NOT_A_LABEL}: [{' '.join(complaints)}]"


def _status(obj: Object, _: float) -> str:
    for kind in ("Complete", "Failed"):
        if objects.has_condition(obj, kind):
            return kind
    if objects.is_deleting(obj):
        return "Terminating"
    rest = ("Suspended", "FailureTarget", "SuccessCriteriaMet")
    return next((kind for kind in rest if objects.has_condition(obj, kind)), "Running")


def _completions(obj: Object, _: float) -> str:
    done, wanted = objects.get(obj, "status.succeeded", 0), objects.get(obj, "spec.completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallelism = objects.get(obj, "spec.parallelism", 0)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(obj: Object, _: float) -> Ago | str:
    start, end = objects.get(obj, "status.startTime"), objects.get(obj, "status.completionTime")
    if not start:
        return ""
    return human(parse(end) - parse(start)) if end else Ago(parse(start))


def _successful(obj: Object) -> str:
    return str(objects.get(obj, "status.succeeded", 0))


JOB = Kind(
    api_version="batch/v1",
    kind="Job",
    plural="jobs",
    categories=("all",),
    subresources=(STATUS,),
    generation=("spec",),
    orphans=True,
    immutable=(
        "spec.selector",
        "spec.completionMode",
        "spec.podFailurePolicy",
        "spec.backoffLimitPerIndex",
        "spec.managedBy",
        "spec.successPolicy",
    ),
    default=default,
    prepare=prepare,
    validate=validate,
    validate_status=validate_status,
    warn=warn,
    columns=(
        NAME,
        Column("Status", _status),
        Column("Completions", _completions),
        Column("Duration", _duration),
        AGE,
        *TEMPLATE_COLUMNS,
    ),
    fields={"status.successful": _successful},
)
