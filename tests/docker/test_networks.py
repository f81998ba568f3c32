"""Networks and volumes, by the real CLI."""

import json

import pytest

pytestmark = pytest.mark.root


def test_builtin_networks(docker):
    assert docker("network", "ls", "--format", "{{.Name}} {{.Driver}}").stdout.splitlines() == [
        "bridge bridge",
        "host host",
        "none null",
    ]
    assert "is a pre-defined network and cannot be removed" in docker("network", "rm", "bridge", check=False).stderr


def test_names_within_a_network(docker):
    docker("network", "create", "--subnet", "10.9.0.0/24", "--label", "a=b", "inner")
    docker("run", "-d", "--name", "web", "--network", "inner", "--network-alias", "www", "busybox", "sleep", "100")
    out = docker("run", "--rm", "--network", "inner", "busybox", "sh", "-c", "nslookup web; nslookup www").stdout
    assert out.count("Address: 10.9.0.2") == 2
    shown = json.loads(docker("network", "inspect", "inner").stdout)[0]
    assert [member["Name"] for member in shown["Containers"].values()] == ["web"]
    assert shown["IPAM"]["Config"][0]["Subnet"] == "10.9.0.0/24"
    assert docker("network", "ls", "-q", "-f", "label=a=b").stdout.strip() == shown["Id"][:12]
    assert "has active endpoints" in docker("network", "rm", "inner", check=False).stderr


def test_connecting_a_running_container(docker):
    docker("network", "create", "one")
    docker("run", "-d", "--name", "web", "busybox", "sleep", "100")
    docker("network", "connect", "--alias", "www", "one", "web")
    assert "www" in docker("run", "--rm", "--network", "one", "busybox", "nslookup", "www").stdout
    assert "127.0.0.11" in docker("exec", "web", "cat", "/etc/resolv.conf").stdout
    assert "already exists in network one" in docker("network", "connect", "one", "web", check=False).stderr
    docker("restart", "-t", "0", "web")
    assert set(json.loads(docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", "web").stdout)) == {"bridge", "one"}
    docker("network", "disconnect", "bridge", "web")
    docker("restart", "-t", "0", "web")
    assert set(json.loads(docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", "web").stdout)) == {"one"}
    assert "is not connected to network bridge" in docker("network", "disconnect", "bridge", "web", check=False).stderr


def test_network_prune_leaves_what_is_wanted(docker):
    docker("network", "create", "idle")
    docker("network", "create", "wanted")
    docker("create", "--name", "made", "--network", "wanted", "busybox")
    assert docker("network", "prune", "-f").stdout.split() == ["Deleted", "Networks:", "idle"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "bridge"], "network with name bridge already exists"),
        (["create", "-d", "nosuch", "x1"], 'plugin "nosuch" not found'),
        (["create", "--subnet", "nonsense", "x1"], "nonsense"),
        (["inspect", "nosuch"], "network nosuch not found"),
        (["connect", "nosuch", "web"], "network nosuch not found"),
        (["connect", "bridge", "nosuch"], "No such container: nosuch"),
    ],
)
def test_what_networks_refuse(docker, arguments, message):
    done = docker("network", *arguments, check=False)
    assert done.returncode == 1
    assert message in done.stderr


def test_volumes(docker):
    assert docker("volume", "create", "--label", "a=b", "data").stdout == "data\n"
    docker("volume", "create")
    docker("create", "--name", "made", "-v", "data:/data", "busybox")
    assert docker("volume", "ls", "-q", "-f", "label=a").stdout == "data\n"
    assert docker("volume", "ls", "-q", "-f", "dangling=false").stdout == "data\n"
    assert json.loads(docker("volume", "inspect", "data").stdout)[0]["Labels"] == {"a": "b"}
    assert "volume is in use" in docker("volume", "rm", "data", check=False).stderr
    docker("volume", "prune", "-f")
    assert docker("volume", "ls", "-q").stdout == "data\n"
    docker("rm", "made")
    docker("volume", "rm", "data")
    assert "no such volume" in docker("volume", "inspect", "data", check=False).stderr
    assert "invalid characters for a local volume name" in docker("volume", "create", "a/b", check=False).stderr


def test_a_mac_address_the_old_way(docker):
    body = {"Image": "busybox", "Cmd": ["sleep", "9"], "MacAddress": "02:42:ac:11:00:99"}
    docker.api("POST", "/v1.41/containers/create?name=box", body)
    docker("start", "box")
    assert docker("exec", "box", "cat", "/sys/class/net/eth0/address").stdout == "02:42:ac:11:00:99\n"


def test_attachable_is_remembered(docker):
    docker("network", "create", "--attachable", "inner")
    assert docker("network", "inspect", "-f", "{{.Attachable}}", "inner").stdout == "true\n"
