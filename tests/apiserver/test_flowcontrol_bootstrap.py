"""The flow schemas and priority levels that a cluster begins with."""

from podling.testing.apiserver import Api

ROOT = "/apis/flowcontrol.apiserver.k8s.io/v1"


async def test_they_are_there_and_fit_together(api: Api) -> None:
    levels = (await api("GET", f"{ROOT}/prioritylevelconfigurations")).body["items"]
    schemas = (await api("GET", f"{ROOT}/flowschemas")).body["items"]
    names = {level["metadata"]["name"] for level in levels}
    assert {"exempt", "catch-all", "global-default"} <= names
    assert {schema["spec"]["priorityLevelConfiguration"]["name"] for schema in schemas} == names
    by_precedence = sorted(schemas, key=lambda schema: (schema["spec"]["matchingPrecedence"], schema["metadata"]["name"]))
    ordered = [schema["metadata"]["name"] for schema in by_precedence]
    assert ordered[:2] == ["exempt", "probes"]
    assert ordered[-2:] == ["global-default", "catch-all"]
    (exempt,) = [level for level in levels if level["metadata"]["name"] == "exempt"]
    assert exempt["metadata"]["annotations"] == {"apf.kubernetes.io/autoupdate-spec": "true"}
    assert exempt["spec"] == {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}


async def test_what_somebody_changed_stays(api: Api) -> None:
    path = f"{ROOT}/prioritylevelconfigurations/workload-low"
    wish = {"spec": {"limited": {"nominalConcurrencyShares": 7}}}
    assert (await api("PATCH", path, wish, type="application/merge-patch+json")).status == 200
    refused = await api(
        "PATCH", f"{ROOT}/flowschemas/probes", {"spec": {"matchingPrecedence": 1}}, type="application/merge-patch+json"
    )
    assert refused.status == 422
