"""Job, CronJob and cron schedules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api.batch.cronjob import CRON_JOB
from podling.api.batch.job import JOB
from podling.api.batch.jobpolicy import count_indexes
from podling.api.batch.schedule import complaints
from podling.api.objects import put
from podling.api.table import table
from podling.testing.kinds import sample
from podling.testing.samples import changed, created, refusals, stored

NOW = 1_767_225_600.0 + 30


def job(**spec):
    obj = sample(JOB)
    obj["metadata"]["uid"] = "u-1"
    return {**obj, "spec": {**obj["spec"], **spec}}


def cron(**spec):
    obj = sample(CRON_JOB)
    return {**obj, "spec": {**obj["spec"], **spec}}


def cells(kind, obj):
    return table(kind, [obj], NOW)["rows"][0]["cells"]


def test_a_jobs_defaults():
    spec = created(JOB, job())["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 6)
    assert (spec["completionMode"], spec["podReplacementPolicy"]) == ("NonIndexed", "TerminatingOrFailed")
    assert (spec["suspend"], spec["manualSelector"]) == (False, False)
    queue = created(JOB, job(parallelism=3))["spec"]
    assert ("completions" in queue, queue["parallelism"]) == (False, 3)
    indexed = created(JOB, job(completionMode="Indexed", completions=2, backoffLimitPerIndex=1))["spec"]
    assert indexed["backoffLimit"] == 2**31 - 1


RULE = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"parallelism": -1}, "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
        (
            {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}},
            'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
        ),
        ({"completionMode": "Indexed", "parallelism": 1}, "spec.completions: Required value: when completion mode is Indexed"),
        ({"backoffLimitPerIndex": 1}, "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"),
        ({"maxFailedIndexes": 1}, "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"),
        (
            {"managedBy": "me"},
            'spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")',
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Ignore"}]}},
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [0]}}]}},
            'spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Count", "onExitCodes": {"operator": "In", "values": [0]}}]}},
            "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
        ),
        (
            {"podFailurePolicy": {"rules": [RULE]}, "podReplacementPolicy": "TerminatingOrFailed"},
            'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
        ),
        (
            {"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [{"succeededIndexes": "0-3"}]}},
            'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "0-3": error parsing succeededIndexes: '
            'too large index: "3"',
        ),
        (
            {"selector": {"matchLabels": {"a": "b"}}},
            'spec.selector: Invalid value: {"matchLabels":{"batch.kubernetes.io/controller-uid":"u-1","a":"b"}}: '
            "`selector` not auto-generated",
        ),
    ],
)
def test_a_bad_job(spec, message):
    assert message in refusals(JOB, job(**spec))


def test_a_condition_of_a_failure_rule_is_true_by_default():
    spec = created(JOB, job(podFailurePolicy={"rules": [RULE]}))["spec"]
    assert spec["podFailurePolicy"]["rules"][0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert spec["podReplacementPolicy"] == "Failed"


def test_a_running_jobs_template_stays():
    old = stored(JOB, job())

    def elsewhere(obj):
        obj["spec"]["template"]["spec"]["nodeSelector"] = {"a": "b"}

    (message,) = changed(JOB, old, elsewhere)[1]
    assert message.startswith("spec.template: Invalid value: ")
    assert message.endswith(": field is immutable")
    waiting = stored(JOB, job(suspend=True))
    assert changed(JOB, waiting, elsewhere)[1] == []


def test_completions_change_with_parallelism_in_an_indexed_job():
    old = stored(JOB, job(completionMode="Indexed", completions=2, parallelism=2))
    assert changed(JOB, old, lambda obj: obj["spec"].update(completions=3, parallelism=3))[1] == []
    assert changed(JOB, old, lambda obj: obj["spec"].update(completions=3))[1] == [
        "spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism"
    ]


def test_a_jobs_end_is_final():
    old = put(stored(JOB, job()), "status", {"failed": 2, "conditions": [{"type": "Complete", "status": "True"}]})
    new = put(old, "status", {"failed": 1})
    assert [str(error) for error in JOB.status_errors(new, old)] == [
        "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
        "status.failed: Invalid value: 1: cannot decrease the failed counter",
    ]


def test_rows():
    obj = stored(JOB, job())
    obj["status"] = {"startTime": "2026-01-01T00:00:00Z", "succeeded": 1, "completionTime": "2026-01-01T00:00:12Z"}
    obj["status"]["conditions"] = [{"type": "Complete", "status": "True"}]
    shown = ["sample", "Complete", "1/1", "12s", "30s", "web", "nginx:1.27", "batch.kubernetes.io/controller-uid=u-1"]
    assert cells(JOB, obj) == shown
    assert JOB.field_values(obj)["status.successful"] == "1"
    obj = stored(CRON_JOB, cron(timeZone="Europe/Berlin"))
    assert cells(CRON_JOB, obj)[:7] == ["sample", "*/5 * * * *", "Europe/Berlin", "False", 0, "<none>", "30s"]


def test_a_cron_jobs_defaults():
    spec = created(CRON_JOB, cron())["spec"]
    assert (spec["concurrencyPolicy"], spec["suspend"]) == ("Allow", False)
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 1)
    assert "completions" not in spec["jobTemplate"]["spec"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"schedule": ""}, "spec.schedule: Required value"),
        ({"schedule": "* *"}, 'spec.schedule: Invalid value: "* *": expected exactly 5 fields, found 2: [* *]'),
        (
            {"schedule": "CRON_TZ=UTC 0 0 * * *"},
            'spec.schedule: Invalid value: "CRON_TZ=UTC 0 0 * * *": cannot use TZ or CRON_TZ in schedule, use '
            "timeZone field instead",
        ),
        ({"timeZone": "Mars/Base"}, 'spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base'),
        ({"timeZone": "../etc"}, 'spec.timeZone: Invalid value: "../etc": unknown time zone ../etc'),
        (
            {"timeZone": "local"},
            'spec.timeZone: Invalid value: "local": timeZone must be an explicit time zone as defined in '
            "https://www.iana.org/time-zones",
        ),
        (
            {"concurrencyPolicy": "Never"},
            'spec.concurrencyPolicy: Unsupported value: "Never": supported values: "Allow", "Forbid", "Replace"',
        ),
        ({"failedJobsHistoryLimit": -1}, "spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0"),
    ],
)
def test_a_bad_cron_job(spec, message):
    assert message in refusals(CRON_JOB, cron(**spec))


def test_a_cron_jobs_name_leaves_room():
    obj = cron()
    obj["metadata"]["name"] = "a" * 53
    assert refusals(CRON_JOB, obj) == [f'metadata.name: Invalid value: "{"a" * 53}": must be no more than 52 characters']


@pytest.mark.parametrize(
    "text", ["* * * * *", "@hourly", "@every 1h30m", "0,30 1-5/2 ? jan-MAR mon-fri", "5/10 0 1 1 0", "TZ=UTC 0 0 * * *"]
)
def test_a_good_schedule(text):
    assert list(complaints(text)) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@sometimes", "unrecognized descriptor: @sometimes"),
        ("@every day", 'failed to parse duration @every day: time: invalid duration "day"'),
    ],
)
def test_a_bad_schedule(text, complaint):
    assert list(complaints(text)) == [complaint]


@given(st.text(max_size=30))
def test_any_text_is_a_schedule_or_not(text):
    assert len(list(complaints(text))) <= 1


def test_indexes():
    assert count_indexes("0,2-4", 5) == 4
    for bad in ("3,1", "1-2-3", "a", "5", ""):
        with pytest.raises(ValueError, match=r"."):
            count_indexes(bad, 5)
