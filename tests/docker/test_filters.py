"""What lists and event streams are narrowed to, by the real CLI."""

import json
import time

import pytest

pytestmark = pytest.mark.root


@pytest.fixture
def boxes(docker):
    """A few containers that differ in everything that can be asked for, made in this order."""
    docker("network", "create", "inner")
    docker("run", "-d", "--name", "web", "-l", "tier=front", "-p", "8080:80", "-v", "data:/data", "busybox", "sleep", "1000")
    docker(
        "run", "-d", "--name", "db", "--network", "inner", "--expose", "5432-5433", "-l", "tier=back", "busybox", "sleep", "1000"
    )
    docker("run", "--name", "once", "-v", "/tmp:/host", "busybox", "sh", "-c", "exit 3", check=False)
    docker("run", "-d", "--name", "well", "--health-cmd", "true", "--health-interval", "200ms", "busybox", "sleep", "1000")
    docker("commit", "once", "child:1")
    docker("create", "--name", "made", "child:1")
    docker("pause", "db")


def names(docker, *filters, everything=True):
    flags = [word for text in filters for word in ("-f", text)]
    return set(docker("ps", *(["-a"] if everything else []), "--format", "{{.Names}}", *flags).stdout.split())


def test_every_filter_of_containers(docker, boxes):
    identifier = docker("inspect", "-f", "{{.Id}}", "web").stdout.strip()
    everybody = {"web", "db", "once", "well", "made"}
    for filters, wanted in (
        ((), everybody),
        (("ancestor=busybox",), everybody),
        (("ancestor=child:1",), {"made"}),
        (("before=once",), {"web", "db"}),
        (("since=once",), {"well", "made"}),
        (("exited=3",), {"once"}),
        (("exited=0",), set()),
        (("expose=5433",), {"db"}),
        (("expose=5000-6000/tcp",), {"db"}),
        (("expose=5433/udp",), set()),
        (("publish=80",), {"web"}),
        (("publish=8080",), set()),
        (("health=none",), everybody - {"well"}),
        ((f"id={identifier[:8]}",), {"web"}),
        (("is-task=false",), everybody),
        (("is-task=true",), set()),
        (("isolation=default",), everybody),
        (("label=tier",), {"web", "db"}),
        (("label=tier=back",), {"db"}),
        (("label!=tier=back",), everybody - {"db"}),
        (("name=w.b",), {"web"}),
        (("name=^/?we", "label=tier"), {"web"}),
        (("name=web", "name=db"), {"web", "db"}),
        (("network=inner",), {"db"}),
        (("status=paused",), {"db"}),
        (("status=exited", "status=created"), {"once", "made"}),
        (("volume=data",), {"web"}),
        (("volume=/host",), {"once"}),
    ):
        assert names(docker, *filters) == wanted, filters
    assert names(docker, everything=False) == {"web", "db", "well"}
    events = docker.popen(
        "events", "--since", "1", "-f", "container=well", "-f", "event=health_status", "--format", "{{.Action}}"
    )
    assert events.stdout.readline() == b"health_status: healthy\n"
    events.kill()
    events.communicate()
    assert names(docker, "health=healthy") == {"well"}


def test_every_filter_of_events(docker):
    began = f"{time.time():.9f}"
    docker("volume", "create", "data")
    docker("network", "create", "inner")
    docker("run", "-d", "--name", "web", "-l", "tier=front", "-v", "data:/data", "--network", "inner", "busybox", "sleep", "1000")
    docker("run", "--name", "once", "busybox", "true")
    docker("tag", "busybox", "other:1")
    docker("rm", "-f", "web")
    identifier = json.loads(docker("network", "inspect", "inner").stdout)[0]["Id"]
    image = docker("inspect", "-f", "{{.Id}}", "busybox").stdout.strip()

    def told(*filters):
        flags = [word for text in filters for word in ("-f", text)]
        until = f"{time.time() + 0.2:.9f}"
        lines = docker("events", "--since", began, "--until", until, "--format", "{{.Type}} {{.Action}}", *flags).stdout
        return [line for line in lines.splitlines() if not line.endswith((" attach", " detach"))]

    for filters, wanted in (
        (("type=volume",), ["volume create", "volume mount", "volume unmount"]),
        (("volume=data", "event=create"), ["volume create"]),
        (("network=inner", "event=connect"), ["network connect"]),
        ((f"network={identifier}", "event=disconnect"), ["network disconnect"]),
        (("container=once",), ["container create", "container start", "container die"]),
        (("container=once", "container=web", "event=start"), ["container start"] * 2),
        (("label=tier=front", "event=create"), ["container create"]),
        (("label=tier", "event=destroy", "type=container"), ["container destroy"]),
        (("type=image", "event=tag"), ["image tag"]),
        ((f"image={image}", "type=image"), ["image tag"]),
        (("image=busybox", "event=create"), ["container create"] * 2),
        (("type=daemon",), []),
        (("scope=local", "type=volume", "event=create"), ["volume create"]),
        (("scope=swarm",), []),
    ):
        assert told(*filters) == wanted, filters


def test_filters_of_images_volumes_and_networks(docker):
    docker("build", "-q", "-t", "mine:1", "-", input="FROM busybox\nLABEL kind=tool\n")
    docker("tag", "mine:1", "mine/deep:2")
    docker("volume", "create", "--label", "kind=a", "data")
    docker("volume", "create", "idle")
    docker("network", "create", "--label", "kind=a", "inner")
    docker("create", "--name", "box", "-v", "data:/data", "--network", "inner", "busybox")
    shown = {
        "images": lambda text: docker("images", "--format", "{{.Repository}}:{{.Tag}}", "-f", text),
        "volume": lambda text: docker("volume", "ls", "-q", "-f", text),
        "network": lambda text: docker("network", "ls", "--format", "{{.Name}}", "-f", text),
    }
    for kind, text, wanted in (
        ("images", "reference=mine", {"mine:1"}),
        ("images", "reference=mine/*", {"mine/deep:2"}),
        ("images", "reference=*:1", {"mine:1"}),
        ("images", "label=kind=tool", {"mine:1", "mine/deep:2"}),
        ("images", "dangling=true", set()),
        ("images", "since=busybox", {"mine:1", "mine/deep:2"}),
        ("images", "before=mine:1", {"busybox:latest"}),
        ("volume", "name=dat", {"data"}),
        ("volume", "dangling=true", {"idle"}),
        ("volume", "label=kind", {"data"}),
        ("volume", "driver=local", {"data", "idle"}),
        ("network", "driver=host", {"host"}),
        ("network", "type=custom", {"inner"}),
        ("network", "type=builtin", {"bridge", "host", "none"}),
        ("network", "label=kind=a", {"inner"}),
        ("network", "name=inn", {"inner"}),
        ("network", "scope=swarm", set()),
    ):
        assert set(shown[kind](text).stdout.split()) == wanted, (kind, text)


def test_what_there_is_on_the_disk(docker, boxes):
    shown = docker("system", "df", "-v").stdout
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("busybox ")] == ["4"]
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.strip()}
    assert rows["data"][0] == "1"
    assert rows["child"][0] == "1"
    brief = docker("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}").stdout.splitlines()
    assert brief == ["Images 2 2", "Containers 5 3", "Local Volumes 1 1", "Build Cache 0 0"]


def test_what_an_image_was_made_of(docker):
    docker("build", "-q", "-t", "mine:1", "-", input='FROM busybox\nENV A=b\nRUN echo x > /x\nCMD ["sh"]\n')
    steps = [json.loads(line) for line in docker("history", "--no-trunc", "--format", "{{json .}}", "mine:1").stdout.splitlines()]
    assert [step["CreatedBy"].split("#(nop)")[-1].strip() for step in steps][:3] == [
        'CMD ["sh"]',
        "/bin/sh -c echo x > /x",
        "ENV A=b",
    ]
    assert [step["Size"] == "0B" for step in steps][:3] == [True, False, True]
    quiet = docker("history", "-q", "--no-trunc", "mine:1").stdout.split()
    assert quiet[0] == docker("inspect", "-f", "{{.Id}}", "mine:1").stdout.strip()
