"""KubeSchedulerConfiguration: what is read, what is refused and in which words, and which plugins come of it."""

from typing import Any

import pytest
import yaml

from podling.base.errors import InvalidInput
from podling.scheduler.configuration.file import Configuration, read
from podling.scheduler.profile import Profile
from podling.scheduler.registry import DEFAULT_PLUGINS


def written(**fields: Any) -> str:
    head = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
    return yaml.safe_dump({**head, **fields})


def profile(**fields: Any) -> Profile:
    return read(written(profiles=[fields])).profiles[0].build()


def names(built: Profile, point: str) -> list[str]:
    return [one.name for one in built.at(point)]


def test_an_empty_one_is_upstreams_default() -> None:
    found = read(written())
    assert found == Configuration((found.profiles[0],))
    assert (found.initial_backoff, found.max_backoff, found.elects) == (1, 10, True)
    built = found.profiles[0].build()
    assert built.name == "default-scheduler"
    assert names(built, "queueSort") == ["PrioritySort"]
    assert names(built, "preEnqueue") == ["SchedulingGates"]
    assert names(built, "postFilter") == ["DefaultPreemption"]
    assert names(built, "bind") == ["DefaultBinder"]
    scores = {name: weight for name, weight in DEFAULT_PLUGINS if weight}
    assert built.weights == scores


def test_numbers_and_several_profiles() -> None:
    text = written(
        percentageOfNodesToScore=30,
        podInitialBackoffSeconds=2,
        podMaxBackoffSeconds=20,
        leaderElection={"leaderElect": False},
        profiles=[{"schedulerName": "a"}, {"schedulerName": "b", "percentageOfNodesToScore": 50}],
    )
    found = read(text)
    assert [(one.name, one.percentage) for one in found.profiles] == [("a", 30), ("b", 50)]
    assert (found.initial_backoff, found.max_backoff, found.elects) == (2, 20, False)


def test_a_plugin_is_disabled_at_one_point_or_at_all() -> None:
    built = profile(plugins={"score": {"disabled": [{"name": "NodeResourcesFit"}]}})
    assert "NodeResourcesFit" in names(built, "filter")
    assert "NodeResourcesFit" not in names(built, "score")
    built = profile(plugins={"multiPoint": {"disabled": [{"name": "NodeResourcesFit"}]}})
    assert "NodeResourcesFit" not in names(built, "filter") + names(built, "score")
    built = profile(plugins={"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "ImageLocality", "weight": 7}]}})
    assert (names(built, "score"), built.weights) == (["ImageLocality"], {"ImageLocality": 7})


def test_what_is_set_for_a_point_comes_before_what_is_set_for_all() -> None:
    built = profile(plugins={"filter": {"enabled": [{"name": "InterPodAffinity"}]}})
    assert names(built, "filter")[:2] == ["InterPodAffinity", "NodeUnschedulable"]
    built = profile(plugins={"multiPoint": {"enabled": [{"name": "Coscheduling"}]}})
    assert names(built, "permit") == ["Coscheduling"]
    assert names(built, "preFilter")[-1] == "Coscheduling"
    built = profile(plugins={"multiPoint": {"enabled": [{"name": "NodeAffinity", "weight": 9}]}})
    assert built.weights["NodeAffinity"] == 9
    assert names(built, "filter")[:4] == ["NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity"]


def args(name: str, **given: Any) -> dict[str, Any]:
    return {"profiles": [{"pluginConfig": [{"name": name, "args": given}]}]}


AT = "profiles[0].pluginConfig[0].args"
RATIO = {"type": "RequestedToCapacityRatio"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"parallelism": 0}, "parallelism: Invalid value: 0: should be an integer value greater than zero"),
    ({"podInitialBackoffSeconds": 0}, "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"),
    (
        {"podInitialBackoffSeconds": 20},
        "podMaxBackoffSeconds: Invalid value: 10: must be greater than or equal to PodInitialBackoffSeconds",
    ),
    ({"percentageOfNodesToScore": 101}, "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]"),
    ({"profiles": [{"percentageOfNodesToScore": -1}]}, "profiles[0].percentageOfNodesToScore: Invalid value: -1: not in valid"),
    (
        {"leaderElection": {"resourceLock": "configmaps"}},
        'leaderElection.resourceLock: Invalid value: "configmaps": resourceLock value must be "leases"',
    ),
    (
        {"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]},
        'profiles[1].schedulerName: Duplicate value: "profiles[0].schedulerName"',
    ),
    ({"profiles": [{}, {"schedulerName": "b"}]}, "profiles[0].schedulerName: Required value"),
    (
        {
            "profiles": [
                {"schedulerName": "a"},
                {"schedulerName": "b", "plugins": {"queueSort": {"enabled": [{"name": "PrioritySort"}]}}},
            ]
        },
        'profiles[1].plugins.queueSort: Invalid value: {"enabled":[{"name":"PrioritySort"}]}: must be the same for all profiles',
    ),
    ({"profiles": [{"pluginConfig": [{"name": "A"}, {"name": "A"}]}]}, 'profiles[0].pluginConfig[1]: Duplicate value: "A"'),
    (
        {"profiles": [{"plugins": {"filter": {"enabled": [{"name": "EBSLimits"}]}}}]},
        'profiles[0].plugins.filter.enabled[0]: Invalid value: "EBSLimits": was invalid in version "v1" '
        '(KubeSchedulerConfiguration is version "kubescheduler.config.k8s.io/v1")',
    ),
    ({"extenders": [{"urlPrefix": "http://x"}]}, "extenders: Forbidden: extenders are not supported"),
    ({"profiles": [{"plugins": {"filter": {"enabled": [{"name": "Nope"}]}}}]}, 'plugin "Nope" does not exist'),
    (
        {"profiles": [{"plugins": {"permit": {"enabled": [{"name": "NodeName"}]}}}]},
        'plugin "NodeName" does not extend Permit plugin',
    ),
    (
        {"profiles": [{"plugins": {"filter": {"enabled": [{"name": "NodeName"}, {"name": "NodeName"}]}}}]},
        'plugin "NodeName" already registered as "Filter"',
    ),
    (
        {"profiles": [{"plugins": {"queueSort": {"disabled": [{"name": "*"}]}}}]},
        'at least one queue sort plugin is needed for profile with scheduler name "default-scheduler"',
    ),
    (
        {"profiles": [{"plugins": {"bind": {"disabled": [{"name": "*"}]}}}]},
        'at least one bind plugin is needed for profile with scheduler name "default-scheduler"',
    ),
    (args("DefaultPreemption", minCandidateNodesPercentage=101), f"{AT}.minCandidateNodesPercentage: Invalid value: 101: not in"),
    (
        args("DefaultPreemption", minCandidateNodesAbsolute=-1),
        f"{AT}.minCandidateNodesAbsolute: Invalid value: -1: not in valid range [0, inf)",
    ),
    (
        args("DefaultPreemption", minCandidateNodesPercentage=0, minCandidateNodesAbsolute=0),
        f"[{AT}.minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as minCandidateNodesAbsolute, "
        f"{AT}.minCandidateNodesAbsolute: Invalid value: 0: cannot be zero at the same time as minCandidateNodesPercentage]",
    ),
    (
        args("InterPodAffinity", hardPodAffinityWeight=101),
        f"{AT}.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]",
    ),
    (
        args("NodeResourcesBalancedAllocation", resources=[{"name": "cpu", "weight": 2}]),
        f"{AT}.resources[0].weight: Invalid value: 2: must be 1",
    ),
    (
        args("NodeResourcesBalancedAllocation", resources=[{"name": "cpu"}, {"name": "cpu"}]),
        f'{AT}.resources[1].name: Duplicate value: "cpu"',
    ),
    (
        args("NodeResourcesFit", ignoredResourceGroups=["a.b/c"]),
        f"{AT}.ignoredResourceGroups[0]: Invalid value: \"a.b/c\": resource group name can't contain '/'",
    ),
    (
        args("NodeResourcesFit", scoringStrategy={"type": "Best"}),
        f'{AT}.scoringStrategy.type: Unsupported value: "Best": supported values: "LeastAllocated", "MostAllocated", '
        '"RequestedToCapacityRatio"',
    ),
    (
        args("NodeResourcesFit", scoringStrategy={"type": "LeastAllocated", "resources": [{"name": "cpu", "weight": 101}]}),
        f"{AT}.scoringStrategy.resources[0].weight: Invalid value: 101: resource weight of cpu not in valid range (0, 100]",
    ),
    (
        args("NodeResourcesFit", scoringStrategy=RATIO),
        f"{AT}.scoringStrategy.requestedToCapacityRatio: Required value: must be specified when type is RequestedToCapacityRatio",
    ),
    (
        args("NodeResourcesFit", scoringStrategy={**RATIO, "requestedToCapacityRatio": {"shape": []}}),
        f"{AT}.scoringStrategy.requestedToCapacityRatio.shape: Required value: at least one point must be specified",
    ),
    (
        args(
            "NodeResourcesFit",
            scoringStrategy={
                **RATIO,
                "requestedToCapacityRatio": {"shape": [{"utilization": 50, "score": 1}, {"utilization": 50, "score": 11}]},
            },
        ),
        "shape[1].utilization: Invalid value: 50: values must be sorted in increasing order",
    ),
    (
        args("PodTopologySpread", defaultingType="Other"),
        f'{AT}.defaultingType: Unsupported value: "Other": supported values: "System", "List"',
    ),
    (
        args("PodTopologySpread", defaultConstraints=[{"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}]),
        f'{AT}.defaultingType: Invalid value: "System": when .defaultConstraints are not empty',
    ),
    (
        args("PodTopologySpread", defaultingType="List", defaultConstraints=[{"maxSkew": 0, "whenUnsatisfiable": "Never"}]),
        f"{AT}.defaultConstraints[0].maxSkew: Invalid value: 0: not in valid range (0, inf), "
        f"{AT}.defaultConstraints[0].topologyKey: Required value: can not be empty, "
        f'{AT}.defaultConstraints[0].whenUnsatisfiable: Unsupported value: "Never": supported values: "DoNotSchedule", '
        '"ScheduleAnyway"',
    ),
    (args("VolumeBinding", bindTimeoutSeconds=-1), f"{AT}.bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds"),
    (args("NodeAffinity", addedAffinity={"requiredDuringSchedulingIgnoredDuringExecution": {}}), "must have at least one node"),
    ({"profils": []}, 'strict decoding error: unknown field "profils"'),
    ({"profiles": [{"plugins": {"filters": {}}}]}, 'strict decoding error: unknown field "profiles[0].plugins.filters"'),
    (args("InterPodAffinity", weight=1), f'strict decoding error: unknown field "{AT}.weight"'),
    ({"parallelism": "many"}, "strict decoding error: parallelism: expected number, got 'many'"),
]


@pytest.mark.parametrize(("fields", "words"), REFUSED)
def test_what_is_refused_in_upstreams_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read(written(**fields), "scheduler.yaml")
    assert words in error.value.message
    assert error.value.message.startswith("scheduler.yaml: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("apiVersion: v1\nkind: Pod\n", 'no kind "Pod" is registered for version "v1"'),
        ("- a\n", "Object 'Kind' is missing"),
        ("a: [", "while parsing"),
    ],
)
def test_another_file_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read(text)
