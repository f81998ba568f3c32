"""`docker build`, by the real CLI."""

import io
import json
import os
import shutil
import signal
import tarfile
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.root
DEMO = Path(__file__).parents[2] / "demo/web"


@pytest.fixture
def build(docker, tmp_path):
    """Build a Dockerfile over files of a context; gives what `docker build` said, on both streams."""

    def run(dockerfile, *flags, files=None, check=True):
        for name, content in (files or {}).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        (tmp_path / "Dockerfile").write_text(dockerfile)
        return docker("build", *flags, str(tmp_path), check=check)

    return run


def output(docker, image, *command):
    return docker("run", "--rm", image, *command).stdout


def test_the_demo(docker, tmp_path):
    shutil.copytree(DEMO, tmp_path / "web")
    shutil.copy("/bin/busybox", tmp_path / "web")
    docker("build", "-t", "demo", str(tmp_path / "web"))
    docker("run", "-d", "--name", "demo", "demo")
    answer = 'until wget -q -O - http://127.0.0.1:8080/cgi-bin/hello; do sleep 0.1; done; echo "$GREETING"'
    assert docker("exec", "demo", "sh", "-c", answer).stdout.startswith("hello from ")


def test_the_log_is_the_classic_one(build, docker):
    said = build("FROM busybox\nENV A=b\nRUN echo $A\nCMD echo c\n", "-t", "one:1", "-t", "two").stdout.splitlines()
    said = said[said.index("Step 1/4 : FROM busybox") :]
    base, env, ran, made = (line.removeprefix(" ---> ") for line in said if line.startswith(" ---> ") and "Running" not in line)
    assert said == [
        "Step 1/4 : FROM busybox",
        f" ---> {base}",
        "Step 2/4 : ENV A=b",
        f" ---> {env}",
        "Step 3/4 : RUN echo $A",
        next(line for line in said if line.startswith(" ---> Running in ")),
        "b",
        next(line for line in said if line.startswith("Removing intermediate container ")),
        f" ---> {ran}",
        "Step 4/4 : CMD echo c",
        f" ---> {made}",
        f"Successfully built {made}",
        "Successfully tagged one:1",
        "Successfully tagged two:latest",
    ]
    assert docker("images", "-q", "two").stdout.strip() == made
    assert docker("ps", "-aq").stdout == ""


SHAPING = """\
FROM busybox
MAINTAINER me
ARG VERSION=1
ENV HOME=/home/app VERSION=v$VERSION
LABEL tier=web "two words"="a b"
EXPOSE 80 53/udp
VOLUME ["/data"]
WORKDIR /srv
WORKDIR deep
USER nobody:nogroup
STOPSIGNAL SIGINT
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=1m30s --retries=2 CMD ["true"]
ENTRYPOINT ["sh", "-c"]
CMD ["pwd; id -un; echo $VERSION"]
ONBUILD RUN echo triggered > /tmp/mark
"""


def test_instructions_shape_the_image(build, docker):
    build(SHAPING, "-t", "shaped", "--build-arg", "VERSION=2", "--label", "from=outside $x")
    shown = json.loads(docker("inspect", "shaped").stdout)[0]
    config = shown["Config"]
    assert shown["Author"] == "me"
    assert config["Env"][1:] == ["HOME=/home/app", "VERSION=v2"]
    assert config["Labels"] == {"tier": "web", "two words": "a b", "from": "outside $x"}
    assert set(config["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert (config["Volumes"], config["WorkingDir"], config["User"]) == ({"/data": {}}, "/srv/deep", "nobody:nogroup")
    assert (config["StopSignal"], config["Shell"]) == ("SIGINT", ["/bin/sh", "-ec"])
    assert config["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 90_000_000_000, "Retries": 2}
    assert output(docker, "shaped") == "/srv/deep\nnobody\nv2\n"


def test_triggers_run_in_the_child(build, docker):
    build(SHAPING, "-t", "shaped")
    said = build("FROM shaped\nENTRYPOINT []\nCMD cat /tmp/mark\n", "-t", "child").stdout
    assert "# Executing 1 build trigger\n" in said
    assert output(docker, "child") == "triggered\n"
    assert json.loads(docker("inspect", "child").stdout)[0]["Config"].get("OnBuild") is None


STAGES = """\
ARG BASE=busybox
FROM $BASE AS tools
RUN mkdir /out && echo made > /out/file && chown nobody /out/file
FROM scratch AS never
COPY nothing /
FROM tools AS tested
RUN echo tested > /out/tests
FROM busybox
COPY --from=tools /out /in/
COPY --from=0 --chown=3:4 /out/file /owned
COPY --from=busybox /etc/passwd /taken
"""


def test_stages_and_targets(build, docker):
    said = build(STAGES, "-t", "final").stdout
    assert "nothing" not in said
    assert "tested" not in said
    script = "cat /in/file; stat -c %u:%g /in/file /owned; ls /taken"
    assert output(docker, "final", "sh", "-c", script) == "made\n65534:0\n3:4\n/taken\n"
    build(STAGES, "-t", "middle", "--target", "tested")
    assert output(docker, "middle", "cat", "/out/tests") == "tested\n"
    assert "failed to reach build target nosuch" in build(STAGES, "--target", "nosuch", check=False).stderr


def test_copying(build, docker):
    files = {"a.txt": "a", "b.txt": "b", "c.md": "c", "dir/one": "1", "dir/sub/two": "2", "sp ace": "s"}
    dockerfile = """\
FROM busybox
COPY a.txt /plain
COPY *.txt /many/
COPY dir /tree
COPY dir/ a.txt /mixed/
COPY ["sp ace", "/with space/"]
COPY --chown=nobody:nogroup --chmod=640 a.txt /owned/
WORKDIR /rel
COPY a.txt .
COPY a.txt sub/
COPY <<ONE <<'TWO' /docs/
has $HOSTNAME_UNSET words
ONE
has $literal words
TWO
"""
    build(dockerfile, "-t", "copied", files=files)
    places = "/plain /many /tree /mixed '/with space' /owned /rel /docs"
    script = f"find {places} -type f | sort; stat -c '%U:%G %a' /owned /owned/a.txt; cat /docs/*"
    assert output(docker, "copied", "sh", "-c", script).splitlines() == [
        "/docs/ONE", "/docs/TWO", "/many/a.txt", "/many/b.txt", "/mixed/a.txt", "/mixed/one", "/mixed/sub/two", "/owned/a.txt",
        "/plain", "/rel/a.txt", "/rel/sub/a.txt", "/tree/one", "/tree/sub/two", "/with space/sp ace",
        "nobody:nogroup 755", "nobody:nogroup 640", "has  words", "has $literal words",
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_add_unpacks_archives(build, docker, tmp_path, mode):
    with tarfile.open(tmp_path / "archive", mode) as archive:
        entry = tarfile.TarInfo("inner/file")
        entry.size, entry.uid, entry.mode = 4, 5, 0o600
        archive.addfile(entry, io.BytesIO(b"data"))
    build("FROM busybox\nADD archive plain /to/\nCOPY archive /kept\n", "-t", "added", files={"plain": "p"})
    script = "cat /to/inner/file /to/plain; stat -c %u:%a /to/inner/file; ls /kept"
    assert output(docker, "added", "sh", "-c", script) == "datap5:600\n/kept\n"


def test_run_forms(build, docker):
    dockerfile = """\
FROM busybox
ARG WHO=nobody
RUN ["/bin/sh", "-c", "echo exec > /exec"]
RUN <<EOF
echo one > /doc
echo $WHO >> /doc
EOF
RUN cat > /fed <<'EOF' && echo after >> /fed
literal $WHO
EOF
RUN --network=none ls /sys/class/net > /nets
"""
    build(dockerfile, "-t", "ran", "--build-arg", "WHO=you", "--build-arg", "http_proxy=http://proxy:1")
    assert output(docker, "ran", "cat", "/exec", "/doc", "/fed", "/nets") == "exec\none\nyou\nliteral $WHO\nafter\nlo\n"
    assert "proxy" not in docker("history", "--no-trunc", "ran").stdout


def test_the_cache(build):
    dockerfile = "FROM busybox\nARG N=1\nCOPY a /a\nRUN echo $N > /n\n"
    first = build(dockerfile, "-q", files={"a": "1"}).stdout
    assert build(dockerfile).stdout.count("Using cache") == 3
    assert build(dockerfile, "-q").stdout == first
    assert build(dockerfile, "--build-arg", "N=2").stdout.count("Using cache") == 2
    assert build(dockerfile, "--no-cache").stdout.count("Using cache") == 0
    assert build(dockerfile, files={"a": "2"}).stdout.count("Using cache") == 1


def test_the_cache_sees_modes(build, tmp_path):
    build("FROM busybox\nCOPY a /a\n", files={"a": "1"})
    os.utime(tmp_path / "a", (1, 1))
    assert "Using cache" in build("FROM busybox\nCOPY a /a\n").stdout
    os.chmod(tmp_path / "a", 0o755)
    assert "Using cache" not in build("FROM busybox\nCOPY a /a\n").stdout


def test_what_is_ignored_is_not_there(build, docker):
    files = {".dockerignore": "*\n!keep\nkeep/not", "keep/yes": "y", "keep/not": "n", "other": "o"}
    build("FROM busybox\nCOPY . /all/\n", "-t", "some", files=files)
    assert output(docker, "some", "find", "/all", "-type", "f") == "/all/keep/yes\n"


def test_unused_arguments_are_told(build):
    said = build("FROM busybox\nARG A\n", "--build-arg", "NOSUCH=1").stdout
    assert "[Warning] One or more build-args [NOSUCH] were not consumed" in said


@pytest.mark.parametrize(
    ("dockerfile", "code", "message"),
    [
        ("FROM busybox\nRUN exit 5", 5, "The command '/bin/sh -c exit 5' returned a non-zero code: 5"),
        ('FROM busybox\nRUN ["nosuch"]', 1, "executable file not found"),
        ("FROM busybox\nCOPY nosuch /", 1, "excluded by .dockerignore: stat nosuch: file does not exist"),
        ("FROM busybox\nCOPY no*such /", 1, "COPY failed: no source files were specified"),
        ("FROM busybox\nCOPY --from=busybox /nosuch /", 1, "COPY failed: stat nosuch: file does not exist"),
        ("FROM busybox\nCOPY ../x /", 1, "forbidden path outside the build context: ../x"),
        ("FROM busybox\nCOPY Dockerfile Dockerfile /x", 1, "the destination must be a directory and end with a /"),
        ("FROM busybox\nCOPY --chown=nosuch Dockerfile /x", 1, "unable to convert uid/gid chown string to host mapping"),
        ("FROM busybox\nCOPY Dockerfile /etc/passwd/x", 1, "cannot copy to non-directory: /etc/passwd"),
        ("FROM busybox\nADD https://example.com/x.git /", 1, "ADD failed: fetching https://example.com/x.git is not supported"),
        ("FROM busybox\nADD http://127.0.0.1:1/x /", 1, "ADD failed: cannot reach http://127.0.0.1:1"),
        ("FROM busybox\nADD http://127.0.0.1:1/ /x/", 1, "ADD failed: cannot determine filename for source http://127.0.0.1:1/"),
        ("FROM busybox\nCOPY http://127.0.0.1:1/x /", 1, "COPY failed: source can't be a URL for COPY"),
        ("FROM busybox\nADD --checksum=sha256:00 Dockerfile /", 1, "checksum can't be specified for non-HTTP sources"),
        ("FROM busybox\nRUN --mount=type=cache,target=/c true", 1, "the --mount option requires BuildKit"),
        ("FROM busybox\nFOO bar", 1, "dockerfile parse error on line 2: unknown instruction: FOO"),
        ("FROM 127.0.0.1:1/nosuch", 1, "127.0.0.1:1"),
        ("FROM ${NOTHING}", 1, "base name (${NOTHING}) should not be blank"),
        ("FROM busybox\nEXPOSE nonsense", 1, "invalid containerPort: nonsense"),
        ("FROM scratch", 1, "No image was generated"),
        ("FROM busybox\nUSER nosuch\nRUN true", 1, "unable to find user nosuch"),
    ],
)
def test_failures(build, docker, dockerfile, code, message):
    done = build(dockerfile, check=False)
    assert done.returncode == code
    assert message in done.stdout + done.stderr
    assert_nothing_left(docker)


def assert_nothing_left(docker):
    """No container, mount, snapshot or file of a build."""
    assert docker("ps", "-aq").stdout == ""
    assert list((docker.folder / "root/build").iterdir()) == []
    assert not [info for info in docker.engine.snapshots.walk() if info.kind != "committed"]


def test_a_build_ends_with_its_client(docker, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo begun; sleep 100\n")
    held = docker.popen("build", str(tmp_path))
    while held.stdout.readline().strip() != b"begun":
        pass
    held.send_signal(signal.SIGKILL)
    held.communicate()
    until = time.monotonic() + 20
    while docker("ps", "-aq").stdout and time.monotonic() < until:
        time.sleep(0.05)
    assert_nothing_left(docker)


@pytest.mark.parametrize("name", ["../../../escape", "/../../escape", "link/escape"])
def test_hostile_contexts_stay_inside(docker, tmp_path, name):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        dockerfile = b"FROM busybox\nCOPY link/secret /\n"
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        archive.addfile(entry, io.BytesIO(dockerfile))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        evil = tarfile.TarInfo(name)
        evil.size = 4
        archive.addfile(evil, io.BytesIO(b"evil"))
    (tmp_path / "secret").write_text("of the host")
    status, _, body = docker.api("POST", "/build", data.getvalue(), {"Content-Type": "application/x-tar"})
    assert status >= 400 or b"errorDetail" in body
    assert not list(tmp_path.glob("**/escape"))
    assert list((docker.folder / "root/build").iterdir()) == []


@pytest.mark.parametrize(("body", "message"), [(b"", "Cannot locate specified Dockerfile: Dockerfile"), (b"no tar" * 200, "")])
def test_what_is_no_context(docker, body, message):
    status, _, answer = docker.api("POST", "/build", body, {"Content-Type": "application/x-tar"})
    assert status == 400
    assert message in json.loads(answer)["message"]


def test_a_quiet_build_that_fails_tells_why(build):
    done = build("FROM busybox\nRUN echo reason; exit 5", "-q", check=False)
    assert done.returncode == 5
    assert "reason" in done.stdout + done.stderr
