"""Images: by the real CLI."""

import json
import lzma
from urllib.parse import quote

import pytest

from podling.testing.registry import PASSWORD, USERNAME, basic_auth, running_registry

pytestmark = pytest.mark.root


def test_names(docker):
    docker("tag", "busybox", "mine/tool:1")
    docker("tag", "busybox", "mine/tool")
    assert docker("images", "--format", "{{.Repository}}:{{.Tag}}", "mine/tool").stdout.split() == [
        "mine/tool:1",
        "mine/tool:latest",
    ]
    assert docker("images", "-q", "-f", "reference=mine/*:1").stdout == docker("images", "-q", "busybox").stdout
    assert docker("images", "-q", "-f", "dangling=true").stdout == ""
    assert docker("rmi", "mine/tool:1", "mine/tool").stdout == "Untagged: mine/tool:1\nUntagged: mine/tool:latest\n"
    assert "No such image: mine/tool:1" in docker("rmi", "mine/tool:1", check=False).stderr
    assert "invalid reference format" in docker("tag", "busybox", "UPPER:1", check=False).stderr


def test_removal_of_what_is_in_use(docker):
    docker("create", "--name", "made", "busybox")
    refused = docker("rmi", "busybox", check=False)
    assert "unable to remove repository reference" in refused.stderr
    assert "is using its referenced image" in refused.stderr


def test_inspect_and_history(docker):
    shown = json.loads(docker("image", "inspect", "busybox").stdout)[0]
    assert shown["RepoTags"] == ["busybox:latest"]
    assert shown["Config"]["Cmd"] == ["sh"]
    assert shown["RootFS"]["Type"] == "layers"
    assert "ADD layer 0" in docker("history", "busybox").stdout


def test_save_and_load(docker, tmp_path):
    docker("tag", "busybox", "other:1")
    docker("save", "-o", str(tmp_path / "images.tar"), "busybox", "other:1")
    docker("rmi", "other:1")
    assert set(docker("load", "-i", str(tmp_path / "images.tar")).stdout.splitlines()) == {
        "Loaded image: busybox:latest",
        "Loaded image: other:1",
    }
    assert "Loaded image: other:1" in docker("load", input=lzma.compress((tmp_path / "images.tar").read_bytes(), preset=0)).stdout
    assert docker("load", input=b"no archive at all" * 100, check=False).returncode == 1


def test_export_and_import(docker, tmp_path):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo kept > /file")
    docker("export", "-o", str(tmp_path / "root.tar"), "box")
    docker("import", "-c", 'CMD ["cat","/file"]', "-c", "ENV A=b", "-m", "taken", str(tmp_path / "root.tar"), "flat:1")
    assert docker("run", "--rm", "flat:1").stdout == "kept\n"
    assert docker("inspect", "-f", "{{.Comment}} {{.Config.Env}}", "flat:1").stdout == "taken [A=b]\n"
    refused = docker("import", "-c", "RUN x", str(tmp_path / "root.tar"), check=False)
    assert "RUN is not a valid change command" in refused.stderr


def test_commit(docker):
    docker("run", "--name", "box", "-e", "A=b", "busybox", "sh", "-c", "echo kept > /file; rm /etc/group")
    docker("commit", "-a", "me", "-m", "why", "-c", 'CMD ["sh","-c","cat /file; ls /etc/group; echo $A"]', "box", "mine:1")
    done = docker("run", "--rm", "mine:1", check=False)
    assert done.stdout == "kept\nb\n"
    assert "No such file" in done.stderr
    shown = json.loads(docker("inspect", "mine:1").stdout)[0]
    assert (shown["Author"], shown["Comment"], len(shown["RootFS"]["Layers"])) == ("me", "why", 2)
    docker("run", "-d", "--name", "live", "busybox", "sleep", "100")
    docker("commit", "live", "mine:2")
    assert docker("inspect", "-f", "{{.State.Status}}", "live").stdout == "running\n"


def test_prune(docker):
    docker("run", "--name", "box", "busybox", "touch", "/file")
    docker("commit", "box")
    assert "deleted: sha256:" in docker("image", "prune", "-f").stdout
    assert docker("images", "-q").stdout.count("\n") == 1


def test_prune_by_filters_and_what_it_frees(docker):
    docker("run", "--name", "box", "busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=3")
    docker("commit", "-c", "LABEL keep=yes drop=yes", "box", "kept:1")
    docker("rm", "box")
    docker("run", "--name", "box", "busybox", "sh", "-c", "dd if=/dev/zero of=/other bs=1M count=3")
    docker("commit", "-c", "LABEL drop=yes", "box", "unused:1")
    docker("tag", "unused:1", "unused:2")
    docker("rm", "box")
    assert "Total reclaimed space: 0B" in docker("image", "prune", "-af", "--filter", "until=1h", "--filter", "label=drop").stdout
    usage = json.loads(docker.api("GET", "/system/df?type=image")[2])
    shared = {image["RepoTags"][0]: image["SharedSize"] for image in usage["Images"]}
    assert shared["kept:1"] > 0
    assert usage["LayersSize"] < sum(image["Size"] for image in usage["Images"])
    query = quote('{"dangling":["false"],"label":["drop"],"label!":["keep"]}')
    pruned = json.loads(docker.api("POST", f"/images/prune?filters={query}")[2])
    names = {item["Untagged"] for item in pruned["ImagesDeleted"] if "Untagged" in item}
    assert names == {"unused:1", "unused:2"}
    assert pruned["SpaceReclaimed"] >= 3 << 20
    assert sorted(docker("images", "--format", "{{.Repository}}").stdout.split()) == ["busybox", "kept"]


def test_push_and_pull(docker, tmp_path):
    with running_registry(tmp_path) as registry:
        name = f"{registry}/busybox:1"
        docker("tag", "busybox", name)
        assert "1: digest: sha256:" in docker("push", name).stdout
        docker("rmi", name)
        assert f"Status: Downloaded newer image for {name}" in docker("pull", name).stdout
        assert f"Status: Image is up to date for {name}" in docker("pull", name).stdout
        assert docker("images", "--digests", "-q", name).stdout != ""
        status, _, body = docker.api("GET", f"/distribution/{name}/json")
        shown = json.loads(body)
        architecture = docker("inspect", "-f", "{{.Architecture}}", name).stdout.strip()
        assert (status, shown["Platforms"]) == (200, [{"architecture": architecture, "os": "linux"}]), body
        assert shown["Descriptor"]["digest"] in docker("inspect", "-f", "{{.RepoDigests}}", name).stdout
        assert docker.api("GET", f"/distribution/{registry}/nosuch/json")[0] == 404
        missing = docker("pull", f"{registry}/nosuch", check=False)
        assert missing.returncode == 1
        assert "Error response from daemon" in missing.stderr
        assert "An image does not exist locally with the tag" in docker("push", f"{registry}/nosuch", check=False).stderr
        assert docker("run", "--rm", f"{registry}/busybox:1", "echo", "ran").stdout == "ran\n"


def test_search(docker, tmp_path):
    with running_registry(tmp_path) as registry:
        for name in ("tools/first", "tools/second", "other"):
            docker("tag", "busybox", f"{registry}/{name}")
            docker("push", "-q", f"{registry}/{name}")
        found = docker("search", "--format", "{{.Name}} {{.StarCount}}", f"{registry}/tools").stdout.split("\n")
        assert found == [f"{registry}/tools/first 0", f"{registry}/tools/second 0", ""]
        assert docker("search", "--limit", "1", "--format", "{{.Name}}", f"{registry}/tools").stdout.count("\n") == 1
        assert docker("search", "-f", "stars=3", "--format", "{{.Name}}", f"{registry}/tools").stdout == ""
    status, _, body = docker.api("GET", "/images/search?term=x&limit=101")
    assert (status, json.loads(body)["message"]) == (400, "limit 101 is outside the range of [1, 100]")
    assert docker.api("GET", "/images/search?term=127.0.0.1:1/x")[0] == 503


def test_login(docker, tmp_path):
    with running_registry(tmp_path, basic_auth(tmp_path)) as registry:
        wrong = docker("login", "-u", USERNAME, "--password-stdin", registry, input="wrong", check=False)
        assert wrong.returncode == 1
        assert "nauthorized" in wrong.stderr
        assert "Login Succeeded" in docker("login", "-u", USERNAME, "--password-stdin", registry, input=PASSWORD).stdout
        docker("tag", "busybox", f"{registry}/private")
        docker("push", f"{registry}/private")
        docker("logout", registry)
        assert docker("push", f"{registry}/private", check=False).returncode == 1
