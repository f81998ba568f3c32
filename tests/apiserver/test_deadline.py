"""Time limits of requests, and the durations in /metrics."""

import asyncio
from typing import Any

import pytest

from podling.apiserver import deadline, read
from podling.apiserver.metrics import Durations
from podling.testing.apiserver import CONFIG_MAPS, Api


@pytest.mark.parametrize(("text", "seconds"), [("34s", 34.0), ("1m30s", 90.0), ("250ms", 0.25), ("1.5h", 5400.0), ("0", 0.0)])
def test_durations(text: str, seconds: float) -> None:
    assert deadline._parsed(text) == seconds


async def test_a_request_that_takes_too_long(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from podling.apiserver import server

    async def hang(call: Any) -> None:
        await asyncio.sleep(30)

    monkeypatch.setitem(server.RESOURCE, "get", hang)
    answer = await api("GET", f"{CONFIG_MAPS}/c", timeout="20ms")
    assert (answer.status, answer.body["reason"]) == (504, "Timeout")
    assert answer.message == "Timeout: request did not complete within the allotted timeout"
    assert read.get is not hang


async def test_a_bad_timeout(api: Api) -> None:
    answer = await api("GET", f"{CONFIG_MAPS}/c", timeout="soon")
    assert (answer.status, "invalid timeout specified" in answer.message) == (400, True)


def test_buckets() -> None:
    durations = Durations()
    for seconds in (0.0005, 0.002, 0.002, 100.0):
        durations.add(seconds)
    samples = {(suffix, labels.get("le", "")): value for suffix, labels, value in durations.samples({})}
    assert samples["_bucket", "0.001"] == 1
    assert samples["_bucket", "0.0025"] == 3
    assert samples["_bucket", "60.0"] == 3
    assert samples["_bucket", "+Inf"] == samples["_count", ""] == 4


async def test_metrics_tell_how_long_requests_took(api: Api) -> None:
    await api("GET", CONFIG_MAPS)
    text = (await api("GET", "/metrics")).body.decode()
    labels = 'verb="list",group="",version="v1",resource="configmaps",subresource=""'
    assert f'apiserver_request_duration_seconds_bucket{{{labels},le="0.001"}} 1' in text
    assert f"apiserver_request_duration_seconds_count{{{labels}}} 1" in text
