"""Legacy links, volumes of other containers, and namespaces that are shared."""

from pathlib import Path

import pytest

from podling.base.errors import Conflict, InvalidInput
from podling.engine.engine import Engine
from podling.engine.links import Linked, environment, hosts_entry, parse
from podling.engine.types import ContainerSpec, Mount, Namespaces
from podling.testing.engine import output_of, run


@pytest.mark.parametrize(
    ("text", "expected"),
    [("db", ("db", "db")), ("db:store", ("db", "store")), ("/db:/web/store", ("db", "store")), ("db:", ("db", "db"))],
)
def test_a_link_is_read(text: str, expected: tuple[str, str]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", ":", "a:b:c"])
def test_what_is_no_link(text: str) -> None:
    with pytest.raises(InvalidInput, match="links"):
        parse(text)


def test_what_a_link_tells() -> None:
    linked = Linked("my-db", "db", "box", "10.0.0.2", ("8080/tcp", "53/udp"), ("A=1", "PATH=/bin"))
    assert hosts_entry(linked) == ("10.0.0.2", "my-db box db")
    assert list(environment("web", linked)) == [
        "MY_DB_NAME=/web/my-db",
        "MY_DB_PORT=udp://10.0.0.2:53",
        "MY_DB_PORT_53_UDP=udp://10.0.0.2:53",
        "MY_DB_PORT_53_UDP_ADDR=10.0.0.2",
        "MY_DB_PORT_53_UDP_PORT=53",
        "MY_DB_PORT_53_UDP_PROTO=udp",
        "MY_DB_PORT_8080_TCP=tcp://10.0.0.2:8080",
        "MY_DB_PORT_8080_TCP_ADDR=10.0.0.2",
        "MY_DB_PORT_8080_TCP_PORT=8080",
        "MY_DB_PORT_8080_TCP_PROTO=tcp",
        "MY_DB_ENV_A=1",
    ]


@pytest.mark.root
async def test_a_link_follows_the_other_container(engine: Engine) -> None:
    db = await run(engine, "sleep", "100", name="db", env=("COLOUR=red",), exposed=("80/tcp",))
    address = db.endpoints[0].ip
    web = await run(engine, "sh", "-c", "env; cat /etc/hosts; sleep 100", name="web", links=("db:store",))
    wanted = f"STORE_PORT_80_TCP_ADDR={address}"
    seen = ""
    async for record in web.logs(follow=True):
        seen += record.data.decode()
        if f"{web.endpoints[0].ip}\t" in seen:
            break
    assert wanted in seen
    assert "STORE_ENV_COLOUR=red" in seen
    assert f"{address}\tstore {db.id[:12]} db\n" in seen

    await db.stop(grace=0)
    await run(engine, "sleep", "100")  # takes the address, perhaps
    await db.start()
    await web.idle()
    hosts = (engine.root / "containers" / web.id / "hosts").read_text()
    assert f"{db.endpoints[0].ip}\tstore" in hosts


@pytest.mark.root
async def test_what_cannot_be_linked(engine: Engine) -> None:
    db = await engine.containers.create(ContainerSpec("busybox", command=("true",), name="db"))
    web = await engine.containers.create(ContainerSpec("busybox", command=("true",), name="web", links=("db:store",)))
    with pytest.raises(Conflict, match="Cannot link to a non running container: /db AS /web/store"):
        await web.start()
    with pytest.raises(InvalidInput, match="could not get container for nosuch: No such container: nosuch"):
        await engine.containers.create(ContainerSpec("busybox", command=("true",), links=("nosuch",)))
    with pytest.raises(InvalidInput, match="host type networking can't be used with links"):
        spec = ContainerSpec("busybox", command=("true",), links=("db",), namespaces=Namespaces(network="host"))
        await engine.containers.create(spec)
    assert not db.running


@pytest.mark.root
async def test_volumes_from_another_container(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host")
    mounts = (Mount("volume", "data", "/data"), Mount("volume", "", "/any"), Mount("bind", str(tmp_path), "/host"))
    first = await run(engine, "sh", "-c", "echo one > /data/x; echo two > /any/x", mounts=mounts)
    await first.wait()
    script = "cat /data/x /any/x /host/file; touch /data/y || echo refused; touch /host/z"
    own = (Mount("tmpfs", "", "/host"),)
    second = await run(engine, "sh", "-c", script, volumes_from=(f"{first.name}:ro",), mounts=own)
    out, _ = await output_of(second)
    assert out.splitlines()[:2] == ["one", "two"]
    assert "refused" in out
    assert not (tmp_path / "z").exists()  # its own mount at that place wins
    with pytest.raises(InvalidInput, match='invalid mode: "wrong"'):
        await engine.containers.create(ContainerSpec("busybox", command=("true",), volumes_from=(f"{first.name}:wrong",)))
    await first.remove(volumes=True)
    assert len(engine.volumes.list()) == 2  # the second one still refers to them
    await second.remove(volumes=True)
    assert [volume.name for volume in engine.volumes.list()] == ["data"]


@pytest.mark.root
async def test_namespaces_of_another_container(engine: Engine) -> None:
    modes = Namespaces(ipc="shareable")
    first = await run(engine, "sh", "-c", "echo kept > /dev/shm/x; sleep 100", name="first", namespaces=modes)
    joined = Namespaces(network="container:first", pid="container:first", ipc="container:first")
    await first.rename("other")  # the others joined the container, not its name
    script = "hostname; until cat /dev/shm/x; do sleep 0.1; done; cat /proc/1/cmdline | tr '\\0' ' '; grep -c . /etc/hosts"
    with pytest.raises(InvalidInput):
        await engine.containers.create(ContainerSpec("busybox", command=("true",), namespaces=joined))
    joined = Namespaces(network="container:other", pid="container:other", ipc="container:other")
    out, code = await output_of(await run(engine, "sh", "-c", script, namespaces=joined))
    assert code == 0
    assert out.splitlines()[0] == first.hostname
    assert "kept" in out
    assert "sleep 100" in out
    alone = await run(engine, "sleep", "100")
    refused = await engine.containers.create(
        ContainerSpec("busybox", command=("true",), namespaces=Namespaces(ipc=f"container:{alone.id}"))
    )
    with pytest.raises(Conflict, match="non-shareable IPC"):
        await refused.start()
    out, _ = await output_of(await run(engine, "ls", "-d", "/dev/shm", namespaces=Namespaces(ipc="none")))
    assert "No such file" in out


@pytest.mark.root
async def test_sharing_the_network_excludes_settings_of_it(engine: Engine) -> None:
    first = await run(engine, "sleep", "100")
    modes = Namespaces(network=f"container:{first.id}")
    with pytest.raises(InvalidInput, match="conflicting options: hostname and the container type network mode"):
        await engine.containers.create(ContainerSpec("busybox", command=("true",), namespaces=modes, hostname="x"))
    await first.stop(grace=0)
    second = await engine.containers.create(ContainerSpec("busybox", command=("true",), namespaces=modes))
    with pytest.raises(Conflict, match=f"cannot join network of a non running container: {first.id}"):
        await second.start()
