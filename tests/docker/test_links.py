"""Links and mounts of another container, by the real CLI."""

import json

import pytest

pytestmark = pytest.mark.root


def test_a_link_in_the_default_network_is_an_address_and_variables(docker):
    docker("run", "-d", "--name", "db", "--expose", "5432", "-e", "USER_OF_DB=me", "busybox", "sleep", "1000")
    address = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "db").stdout.strip()
    script = "grep store /etc/hosts; env; ping -c 1 -W 30 store > /dev/null && echo reached"
    seen = docker("run", "--rm", "--link", "db:store", "busybox", "sh", "-c", script).stdout.splitlines()
    assert seen[0].split()[:2] == [address, "store"]
    wanted = {f"STORE_PORT=tcp://{address}:5432", "STORE_PORT_5432_TCP_PROTO=tcp", "STORE_ENV_USER_OF_DB=me", "reached"}
    assert wanted <= set(seen)
    docker("create", "--name", "web", "--link", "db", "busybox")
    assert json.loads(docker("inspect", "-f", "{{json .HostConfig.Links}}", "web").stdout) == ["/db:/web/db"]
    docker("stop", "-t", "0", "db")
    assert "Cannot link to a non running container: /db AS /web/db" in docker("start", "web", check=False).stderr


def test_a_link_in_a_network_is_a_name_of_ones_own(docker):
    docker("network", "create", "inner")
    docker("create", "--name", "db", "--network", "inner", "busybox", "sleep", "1000")
    docker("run", "-d", "--name", "web", "--network", "inner", "--link", "db:store", "busybox", "sleep", "1000")
    docker("start", "db")  # only now: the name is looked up when it is used
    address = docker("inspect", "-f", "{{.NetworkSettings.Networks.inner.IPAddress}}", "db").stdout.strip()
    assert address in docker("exec", "web", "nslookup", "store").stdout
    assert "store" not in docker("exec", "web", "cat", "/etc/hosts").stdout
    assert "NXDOMAIN" in docker("exec", "db", "nslookup", "store", check=False).stdout
    assert docker("inspect", "-f", "{{.NetworkSettings.Networks.inner.Links}}", "web").stdout == "[db:store]\n"
    docker("run", "-d", "--name", "late", "busybox", "sleep", "1000")
    docker("network", "connect", "--link", "db:base", "inner", "late")
    assert address in docker("exec", "late", "nslookup", "base").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--link", "nosuch"], "could not get container for nosuch: No such container: nosuch"),
        (["--volumes-from", "nosuch"], "No such container: nosuch"),
        (["--volumes-from", "box:odd"], 'invalid mode: "odd"'),
        (["--network", "container:nosuch"], "No such container: nosuch"),
        (["--network", "host", "--link", "box"], "host type networking can't be used with links"),
    ],
)
def test_those_that_are_not_there(docker, arguments, message):
    docker("create", "--name", "box", "busybox")
    done = docker("run", "--rm", *arguments, "busybox", check=False)
    assert (done.returncode, message in done.stderr) == (125, True), done.stderr
    assert "Unable to find image" not in done.stderr


def test_the_volumes_of_another_container(docker, tmp_path):
    (tmp_path / "file").write_text("of the host")
    mounts = ["-v", "data:/data", "-v", "/own", "-v", f"{tmp_path}:/host:ro", "--tmpfs", "/scratch"]
    docker("run", "--name", "first", *mounts, "busybox", "sh", "-c", "echo named > /data/x; echo own > /own/x")
    script = "cat /data/x /own/x /host/file; touch /host/y || echo no; ls -d /scratch || echo none; echo more >> /own/x"
    seen = docker("run", "--rm", "--volumes-from", "first", "busybox", "sh", "-c", script)
    assert seen.stdout.split() == ["named", "own", "of", "the", "hostno", "none"]
    both = docker(
        "run", "--rm", "--volumes-from", "first:ro", "-v", "other:/data", "busybox", "sh", "-c", "ls /data; touch /own/y",
        check=False,
    )  # fmt: skip
    assert (both.returncode, both.stdout, "Read-only" in both.stderr) == (1, "", True)
    docker("rm", "-v", "first")
    assert docker("volume", "ls", "-q").stdout.split() == ["data", "other"]
