import pytest

from podling.base.errors import InvalidInput
from podling.engine.defaults import check_name, generate_name, hosts_file, merge_env, process_env, with_image
from podling.engine.types import ContainerSpec, Health, Mount
from podling.oci.image import ExecutionConfig

IMAGE: ExecutionConfig = {
    "Entrypoint": ["/entry"],
    "Cmd": ["serve"],
    "Env": ["PATH=/bin", "A=1"],
    "WorkingDir": "/srv",
    "User": "web",
    "Labels": {"a": "image", "b": "image"},
    "ExposedPorts": {"80/tcp": {}},
    "StopSignal": "SIGQUIT",
    "Volumes": {"/data": {}, "/log": {}},
    "Healthcheck": {"Test": ["CMD", "check"], "Interval": 2_000_000_000, "Retries": 4},
}


@pytest.mark.parametrize(
    ("entrypoint", "command", "expected"),
    [
        (None, None, ("/entry", "serve")),
        (None, ("other",), ("/entry", "other")),
        (("/mine",), None, ("/mine",)),
        (("/mine",), ("other",), ("/mine", "other")),
        (("",), ("other",), ("other",)),
        ((), ("other",), ("other",)),
    ],
)
def test_what_is_run(entrypoint: tuple[str, ...] | None, command: tuple[str, ...] | None, expected: tuple[str, ...]) -> None:
    spec = with_image(ContainerSpec("x", entrypoint=entrypoint, command=command), IMAGE)
    assert (*(spec.entrypoint or ()), *(spec.command or ())) == expected


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no command specified"):
        with_image(ContainerSpec("x"), {})


def test_the_caller_wins_over_the_image() -> None:
    asked = ContainerSpec(
        "x", env=("A=2", "B=3"), labels={"b": "mine"}, exposed=("90/tcp",), mounts=(Mount("bind", "/h", "/data"),), user="root"
    )
    spec = with_image(asked, IMAGE)
    assert spec.env == ("PATH=/bin", "A=2", "B=3")
    assert dict(spec.labels) == {"a": "image", "b": "mine"}
    assert (spec.user, spec.working_dir, spec.stop_signal, spec.exposed) == ("root", "/srv", "SIGQUIT", ("80/tcp", "90/tcp"))
    assert [(mount.type, mount.target) for mount in spec.mounts] == [("bind", "/data"), ("volume", "/log")]
    assert spec.health == Health(("CMD", "check"), interval=2, retries=4)


def test_a_health_check_is_inherited_field_by_field() -> None:
    spec = with_image(ContainerSpec("x", health=Health(("CMD", "mine"), timeout=3)), IMAGE)
    assert spec.health == Health(("CMD", "mine"), interval=2, timeout=3, retries=4)


def test_a_bare_name_takes_a_variable_away() -> None:
    assert merge_env(("A=1", "B=2"), ("A", "C=")) == ("B=2", "C=")


def test_the_environment_of_a_process() -> None:
    env = process_env(ContainerSpec("x", env=("HOME=/x",), hostname="web", tty=True), "/root")
    assert env[1:] == ["HOSTNAME=web", "TERM=xterm", "HOME=/x"]


def test_names() -> None:
    assert check_name("/web_1.a-b") == "web_1.a-b"
    assert check_name(generate_name())
    for bad in ("", "/", "a", "a b", "-x", "a/b", "ä1"):
        with pytest.raises(InvalidInput, match="only"):
            check_name(bad)


def test_hosts() -> None:
    text = hosts_file({"10.0.0.2": "", "fd00::2": ""}, ["web.lan", "web"], ["db:10.0.0.9", "up:host-gateway"], "10.0.0.1")
    assert text.splitlines()[-4:] == ["10.0.0.9\tdb", "10.0.0.1\tup", "10.0.0.2\tweb.lan web", "fd00::2\tweb.lan web"]
