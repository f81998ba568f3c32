"""Volumes on a real file system."""

import base64
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from podling.base.errors import InvalidInput
from podling.linux.mount import is_mountpoint
from podling.node.volumes.base import Context, Placed
from podling.node.volumes.payload import File, write
from podling.node.volumes.volumes import Failure, Volumes, mounts_of, references

pytestmark = pytest.mark.root


class World:
    """What volumes are made of, to be changed by the test."""

    def __init__(self, root: Path) -> None:
        self.volumes = Volumes(root)
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.asked: list[tuple[tuple[str, ...], int]] = []

    async def token(self, pod: Any, audiences: tuple[str, ...], seconds: int) -> tuple[str, float]:
        self.asked.append((audiences, seconds))
        return f"token-{len(self.asked)}", 1000.0 + len(self.asked)

    async def place(self, *volumes: dict[str, Any], **spec: Any) -> dict[str, Placed]:
        pod = {
            "metadata": {"name": "web", "namespace": "default", "uid": "u1", "labels": {"app": "web"}},
            "spec": {"volumes": list(volumes), "containers": [{"name": "app"}], **spec},
        }
        lookup = lambda kind, name: self.objects.get((kind, name))  # noqa: E731
        return await self.volumes.set_up(Context(pod, lookup, self.token, {"memory": str(1 << 30)}))


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    made = World(tmp_path / "pods")
    yield made
    await made.volumes.remove("u1")
    assert not (tmp_path / "pods" / "u1").exists()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_an_empty_directory_is_kept_between_set_ups(world: World) -> None:
    path = (await world.place({"name": "a", "emptyDir": {}}))["a"].path
    (path / "file").write_text("x")
    assert mode_of(path) == 0o777
    assert (await world.place({"name": "a", "emptyDir": {}}))["a"].path == path
    assert (path / "file").read_text() == "x"


async def test_an_empty_directory_in_memory_has_its_size(world: World) -> None:
    path = (await world.place({"name": "a", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}))["a"].path
    assert is_mountpoint(path)
    with pytest.raises(OSError, match="No space left"):
        (path / "file").write_bytes(bytes(2 << 20))
    await world.volumes.tear_down("u1")
    assert not path.exists()


async def test_the_pods_group_owns_its_directories(world: World) -> None:
    path = (await world.place({"name": "a"}, securityContext={"fsGroup": 3000}))["a"].path
    assert (path.stat().st_gid, mode_of(path)) == (3000, 0o2777)


@pytest.mark.parametrize(
    ("kind", "make", "words"),
    [
        ("Directory", "", "is not a directory"),
        ("File", "", "is not a file"),
        ("Socket", "file", "is not a socket file"),
        ("Directory", "file", "is not a directory"),
    ],
)
async def test_a_host_path_of_the_wrong_type(world: World, tmp_path: Path, kind: str, make: str, words: str) -> None:
    path = tmp_path / "there"
    if make:
        path.touch()
    with pytest.raises(Failure, match=f'MountVolume.SetUp failed for volume "a" : hostPath type check failed: {path} {words}'):
        await world.place({"name": "a", "hostPath": {"path": str(path), "type": kind}})


async def test_host_paths_are_made_where_asked(world: World, tmp_path: Path) -> None:
    for kind, check in (("DirectoryOrCreate", Path.is_dir), ("FileOrCreate", Path.is_file)):
        path = tmp_path / kind
        placed = await world.place({"name": "a", "hostPath": {"path": str(path), "type": kind}})
        assert placed["a"].path == path
        assert check(path)


def config(**data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "data": data, "binaryData": {"raw": base64.b64encode(b"\x00\xff").decode()}}


async def test_a_config_map_is_files_that_change_at_once(world: World) -> None:
    world.objects["ConfigMap", "c"] = config(a="1", b="2")
    volume = {"name": "v", "configMap": {"name": "c"}}
    path = (await world.place(volume))["v"].path
    assert sorted(os.listdir(path))[2:] == ["a", "b", "raw"]
    assert ((path / "a").read_text(), (path / "raw").read_bytes()) == ("1", b"\x00\xff")
    assert os.readlink(path / "a") == "..data/a"
    old = os.readlink(path / "..data")
    assert (await world.place(volume))["v"].path == path
    assert os.readlink(path / "..data") == old, "nothing changed, and yet it was written"
    world.objects["ConfigMap", "c"] = config(a="new", c="3")
    await world.place(volume)
    assert (path / "a").read_text() == "new"
    assert not (path / "b").is_symlink()
    assert not (path / old).exists()


async def test_chosen_keys_with_their_paths_and_modes(world: World) -> None:
    world.objects["ConfigMap", "c"] = config(a="1", b="2")
    items = [{"key": "a", "path": "deep/er/a", "mode": 0o400}]
    path = (await world.place({"name": "v", "configMap": {"name": "c", "items": items, "defaultMode": 0o600}}))["v"].path
    assert sorted(p for p in os.listdir(path) if not p.startswith("..")) == ["deep"]
    assert mode_of(path / "deep/er/a") == 0o400


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"name": "gone"}, 'configmap "gone" not found'),
        ({"name": "c", "items": [{"key": "z", "path": "z"}]}, "references non-existent configmap key: z"),
        ({"name": "c", "items": [{"key": "a", "path": "../../etc/passwd"}]}, "invalid path"),
        ({"name": "c", "items": [{"key": "a", "path": "/etc/passwd"}]}, "invalid path"),
    ],
)
async def test_what_a_config_map_lacks(world: World, source: dict[str, Any], words: str) -> None:
    world.objects["ConfigMap", "c"] = config(a="1")
    with pytest.raises(Failure, match=words):
        await world.place({"name": "v", "configMap": source})
    if "invalid" not in words:
        await world.place({"name": "v", "configMap": {**source, "optional": True}})


async def test_a_secret_is_in_memory_and_of_the_pods_group(world: World) -> None:
    world.objects["Secret", "s"] = {"kind": "Secret", "data": {"key": base64.b64encode(b"s3cret").decode()}}
    volume = {"name": "v", "secret": {"secretName": "s", "defaultMode": 0o400}}
    path = (await world.place(volume, securityContext={"fsGroup": 3000}))["v"].path
    assert is_mountpoint(path)
    assert (path / "key").read_text() == "s3cret"
    assert ((path / "key").stat().st_gid, mode_of(path / "key")) == (3000, 0o440)


async def test_a_projection_of_everything(world: World) -> None:
    world.objects["ConfigMap", "kube-root-ca.crt"] = {"kind": "ConfigMap", "data": {"ca.crt": "PEM"}}
    limit = {"containerName": "app", "resource": "limits.memory"}
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        {"downwardAPI": {"items": [{"path": "memory", "resourceFieldRef": limit}]}},
    ]
    volume = {"name": "v", "projected": {"sources": sources}}
    placed = (await world.place(volume))["v"]
    contents = {name: (placed.path / name).read_text() for name in ("token", "ca.crt", "namespace", "memory")}
    assert contents == {"token": "token-1", "ca.crt": "PEM", "namespace": "default", "memory": str(1 << 30)}
    assert placed.refresh_at == 1001.0
    assert world.asked == [((), 3607)]
    assert mode_of((await world.place(volume, securityContext={"runAsUser": 7}))["v"].path / "token") == 0o600


async def test_unknown_kinds_are_named(world: World) -> None:
    with pytest.raises(Failure, match="volumes of kind nfs are not supported"):
        await world.place({"name": "v", "nfs": {"server": "x"}})


def test_what_volumes_refer_to() -> None:
    volumes = [
        {"name": "a", "configMap": {"name": "c"}},
        {"name": "b", "secret": {"secretName": "s"}},
        {"name": "d", "projected": {"sources": [{"configMap": {"name": "p"}}, {"serviceAccountToken": {"path": "t"}}]}},
        {"name": "e", "emptyDir": {}},
    ]
    assert references({"spec": {"volumes": volumes}}) == {("ConfigMap", "c"), ("Secret", "s"), ("ConfigMap", "p")}


def test_mounts_and_sub_paths(tmp_path: Path) -> None:
    placed = {"v": Placed(tmp_path)}
    container = {
        "volumeMounts": [
            {"name": "v", "mountPath": "/all", "readOnly": True, "mountPropagation": "HostToContainer"},
            {"name": "v", "mountPath": "/part", "subPathExpr": "$(POD)/data"},
        ]
    }
    whole, part = mounts_of(container, placed, {"POD": "web-0"})
    assert (whole.source, whole.target, whole.read_only, whole.propagation) == (str(tmp_path), "/all", True, "rslave")
    assert part.source == str(tmp_path / "web-0/data")
    assert (tmp_path / "web-0/data").is_dir()


def test_no_sub_path_leads_out_of_its_volume(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "link").symlink_to("/etc")
    for sub_path in ("link", "link/passwd", "../other"):
        with pytest.raises(InvalidInput, match="leads out of the volume"):
            mounts_of(
                {"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": sub_path}]}, {"v": Placed(tmp_path / "v")}, {}
            )


def test_readers_never_see_a_mixture(tmp_path: Path) -> None:
    write(tmp_path, {"a": File(b"1"), "b": File(b"1")})
    held = os.open(tmp_path / "..data", os.O_RDONLY | os.O_DIRECTORY)
    try:
        write(tmp_path, {"a": File(b"2"), "b": File(b"2")})
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"2"
    finally:
        os.close(held)
