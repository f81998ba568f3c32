"""The daemon about itself, and what it refuses."""

import json
import os
import time

import pytest

pytestmark = pytest.mark.root


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping_lets_clients_choose(docker, method):
    status, headers, body = docker.api(method, "/_ping")
    assert (status, body) == (200, b"OK" if method == "GET" else b"")
    assert (headers["Api-Version"], headers["Builder-Version"], headers["Ostype"]) == ("1.51", "1", "linux")
    assert headers["Docker-Experimental"] == "false"


def test_version_and_info(docker):
    assert (
        docker("version", "-f", "{{.Server.APIVersion}} {{.Server.MinAPIVersion}} {{.Server.Os}}").stdout == "1.51 1.24 linux\n"
    )
    docker("run", "-d", "busybox", "sleep", "100")
    shown = docker("info", "-f", "{{.ContainersRunning}} {{.Images}} {{.Driver}} {{.NCPU}} {{.DefaultRuntime}}").stdout.split()
    assert shown[:4] == ["1", "1", "overlay2", str(os.cpu_count())]
    assert shown[4] in ("crun", "runc")


def test_info_tells_of_registries(docker):
    shown = json.loads(docker("info", "-f", "{{json .}}").stdout)
    assert "127.0.0.0/8" in shown["RegistryConfig"]["InsecureRegistryCIDRs"]
    assert shown["RegistryConfig"]["IndexConfigs"]["docker.io"]["Official"] is True
    assert (shown["Swarm"]["LocalNodeState"], shown["CgroupDriver"]) == ("inactive", "cgroupfs")
    assert shown["DefaultRuntime"] in shown["Runtimes"]
    assert "local" in shown["Plugins"]["Log"]


def test_the_socket_is_for_its_group_alone(docker):
    assert docker.socket.stat().st_mode & 0o777 == 0o660


def test_events(docker):
    began = f"{time.time():.9f}"
    docker("run", "--rm", "--name", "short-lived", "busybox", "true")
    until = f"{time.time() + 0.1:.9f}"
    seen = docker(
        "events", "--since", "1", "--until", until, "-f", "container=short-lived", "--format", "{{.Action}}"
    ).stdout.split()
    assert [action for action in seen if action != "attach"] == ["create", "start", "die", "destroy"]
    assert docker("events", "--since", began, "--until", "0s", "-f", "type=volume", "-f", "event=mount").stdout == ""
    assert "invalid filter 'nosuch'" in docker("events", "-f", "nosuch=1", check=False).stderr


def test_events_of_networks_and_volumes(docker):
    docker("network", "create", "inner")
    docker("run", "--rm", "--name", "box", "--network", "inner", "-v", "data:/data:ro", "-v", "/own", "busybox", "true")
    docker("volume", "rm", "data")
    docker("network", "rm", "inner")
    until = f"{time.time() + 0.1:.9f}"
    lines = docker("events", "--since", "1", "--until", until, "--format", "{{json .}}").stdout.splitlines()
    told = [event for event in map(json.loads, lines) if event["Type"] in ("network", "volume")][-12:]
    facts = [event["Actor"]["Attributes"] for event in told]
    about = [(event["Type"], event["Action"]) for event, fact in zip(told, facts, strict=True) if event["Actor"]["ID"] == "data"]
    assert about == [("volume", action) for action in ("create", "mount", "unmount", "destroy")]
    assert [fact["read/write"] for fact in facts if fact.get("destination") == "/data"] == ["false", "false"]
    inner = [event["Action"] for event, fact in zip(told, facts, strict=True) if fact.get("name") == "inner"]
    assert inner == ["create", "connect", "disconnect", "destroy"]
    assert sum(event["Action"] == "destroy" for event in told) == 3


def test_events_as_they_come(docker):
    held = docker.popen("events", "-f", "event=create", "-f", "type=volume", "--format", "{{json .}}")
    time.sleep(0.3)  # the client says nothing when it listens
    docker("volume", "create", "data")
    event = json.loads(held.stdout.readline())
    held.kill()
    held.communicate()
    assert (event["Type"], event["Action"], event["Actor"]["ID"]) == ("volume", "create", "data")
    assert event["timeNano"] // 1_000_000_000 == event["time"]


def test_disk_usage(docker):
    docker("run", "-v", "data:/data", "busybox", "sh", "-c", "echo x > /data/x")
    shown = json.loads(docker.api("GET", "/system/df")[2])
    assert shown["Images"][0]["Containers"] == 1
    assert shown["LayersSize"] > 1_000_000
    assert shown["Volumes"][0]["UsageData"]["RefCount"] == 1
    assert "Local Volumes" in docker("system", "df").stdout
    assert "Total reclaimed space" in docker("system", "prune", "-f").stdout


def refused(**host):
    """A container that asks for what is not to be had."""
    return {"Image": "busybox", "HostConfig": host}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/nosuch", None, 404, "page not found"),
        ("GET", "/v1.47/nosuch", None, 404, "page not found"),
        ("DELETE", "/_ping", None, 404, "page not found"),
        ("GET", "/v1.12/info", None, 400, "client version 1.12 is too old. Minimum supported API version is 1.24"),
        ("GET", "/v1.99/info", None, 400, "client version 1.99 is too new. Maximum supported API version is 1.51"),
        ("POST", "/containers/create", b"{", 400, "invalid JSON"),
        ("POST", "/containers/create", [], 400, "invalid JSON: the body is no object"),
        ("POST", "/containers/create", {}, 400, "no image specified"),
        ("POST", "/containers/create", {"Image": "busybox", "Env": 5}, 400, "invalid JSON: a member"),
        ("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"PortBindings": {"0/tcp": []}}}, 400, "invalid port"),
        ("POST", "/containers/create", {"Image": "nosuch"}, 404, "No such image: nosuch:latest"),
        ("POST", "/containers/create?name=x", {"Image": "busybox"}, 400, "Invalid container name (x)"),
        ("GET", "/containers/nosuch/json", None, 404, "No such container: nosuch"),
        ("GET", "/containers/json?filters=nonsense", None, 400, "invalid filter"),
        ("GET", '/containers/json?filters={"status":"x"}', None, 400, "invalid filter"),
        ("GET", "/containers/json?limit=x", None, 400, 'parsing "x": invalid syntax'),
        ("GET", "/containers/nosuch/logs?stdout=1", None, 404, "No such container: nosuch"),
        ("POST", "/containers/nosuch/wait?condition=x", None, 404, "No such container: nosuch"),
        ("GET", "/images/nosuch/json", None, 404, "No such image: nosuch:latest"),
        ("DELETE", "/images/NoSuch", None, 400, "must be lowercase"),
        ("GET", "/images/get", None, 400, "no image to save is named"),
        ("POST", "/images/create?fromImage=Bad", None, 400, "must be lowercase"),
        ("POST", "/images/create", None, 400, "fromImage or fromSrc"),
        ("GET", "/volumes/nosuch", None, 404, "get nosuch: no such volume"),
        ("GET", "/networks/nosuch", None, 404, "network nosuch not found"),
        ("POST", "/exec/nosuch/start", {}, 404, "No such exec instance: nosuch"),
        ("POST", "/build?remote=https://example.com/x.git", b"", 501, "not supported"),
        ("POST", "/build?version=2", b"", 501, "BuildKit"),
        ("GET", "/system/df?type=nosuch", None, 400, "unknown object type: nosuch"),
        ("POST", "/containers/create", refused(DeviceRequests=[{"Capabilities": [["gpu"]]}]), 400, "with capabilities: [[gpu]]"),
        ("POST", "/containers/create", refused(StorageOpt={"size": "1G"}), 400, "pquota"),
        ("POST", "/containers/create", refused(CpuRealtimeRuntime=9), 400, "real-time scheduler"),
        ("POST", "/containers/create", refused(OomScoreAdj=1001), 400, "range for oom score adj"),
        ("POST", "/networks/create", {"Name": "x", "Scope": "swarm"}, 503, "This node is not a swarm manager"),
        ("POST", "/networks/create", {"Name": "x", "IPAM": {"Driver": "nosuch"}}, 404, "IPAM driver nosuch not found"),
        ("POST", "/networks/create", {"Name": "x", "Driver": "nosuch"}, 404, 'plugin "nosuch" not found'),
        ("GET", "/swarm", None, 503, "This node is not a swarm manager"),
        ("POST", "/services/create", {}, 503, "This node is not a swarm manager"),
        ("POST", "/session", None, 501, "not supported"),
        ("GET", "/distribution/127.0.0.1:1/busybox/json", None, 503, "127.0.0.1:1/v2/"),
        ("GET", "/distribution/BAD/json", None, 400, "must be lowercase"),
    ],
)  # fmt: skip
def test_refusals(docker, method, path, body, status, message):
    answer = docker.api(method, path.replace('"', "%22").replace("{", "%7B").replace("}", "%7D"), body)
    assert (answer[0], message in json.loads(answer[2])["message"]) == (status, True), answer
    assert answer[1]["Api-Version"] == "1.51"
