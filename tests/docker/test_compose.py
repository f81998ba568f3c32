"""docker-compose, Debian's 1.29, against the daemon: one application with most of what a file can say."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from podling.testing.docker import Docker

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed"),
]

FILE = """
version: "3.9"
services:
  store:
    image: busybox
    command: ["sh", "-c", "mkdir /www; echo stored > /www/index.html; echo marked > /data/mark; exec httpd -f -p 8080 -h /www"]
    stop_grace_period: 0s
    networks:
      back:
        aliases: [storage]
        ipv4_address: 10.199.77.10
    volumes: ["data:/data"]
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/index.html"]
      interval: 200ms
      timeout: 2s
      retries: 50
  web:
    build:
      context: web
      args: {GREETING: hello}
      labels: {built.by: compose}
    depends_on:
      store: {condition: service_healthy}
    environment:
      FIXED: "1"
    env_file: web.env
    labels: {tier: front}
    secrets: [password]
    networks: [front, back]
    volumes: ["data:/seen:ro", "./web:/source:ro"]
    stop_grace_period: 0s
    restart: unless-stopped
    ports: ["127.0.0.1::80"]
  worker:
    image: busybox
    command: sleep 1000
    init: true
    networks: [back]
    tmpfs: /scratch
    stop_grace_period: 0s
networks:
  front:
    labels: {kind: outer}
  back:
    internal: true
    ipam:
      config: [{subnet: 10.199.77.0/24}]
volumes:
  data:
    labels: {kept: "yes"}
secrets:
  password:
    file: password.txt
"""
DOCKERFILE = """
FROM busybox
ARG GREETING
RUN mkdir /www && echo $GREETING > /www/index.html
CMD echo serving; exec httpd -f -p 80 -h /www
"""


class Project:
    """A folder with the file above, and docker-compose in it."""

    def __init__(self, docker: Docker, folder: Path) -> None:
        self.docker, self.folder = docker, folder
        (folder / "web").mkdir()
        (folder / "docker-compose.yml").write_text(FILE)
        (folder / "web/Dockerfile").write_text(DOCKERFILE)
        (folder / "web.env").write_text("FROM_FILE=two words\n")
        (folder / "password.txt").write_text("s3cret")

    def __call__(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            self.docker.command("docker-compose", "-p", "app", *arguments),
            cwd=self.folder,
            env=self.docker.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def inside(self, service: str, line: str) -> str:
        return self("exec", "-T", service, "sh", "-c", line)


def test_an_application(docker, tmp_path):
    compose = Project(docker, tmp_path)
    said = compose("up", "-d", "--scale", "worker=2")
    assert "Building web" in said
    assert json.loads(docker("inspect", "app_store_1").stdout)[0]["State"]["Health"]["Status"] == "healthy"

    shown = compose("ps")
    assert shown.count(" Up ") == 4
    assert len(compose("ps", "-q", "worker").split()) == 2
    assert "127.0.0.1:" in compose("port", "web", "80")

    assert compose.inside("web", "cat /run/secrets/password; echo $FIXED $FROM_FILE; cat /seen/mark; ls /source") == (
        "s3cret1 two words\nmarked\nDockerfile\n"
    )
    assert compose.inside("web", "wget -q -O - http://storage:8080/index.html") == "stored\n"
    assert compose.inside("worker", "wget -q -O - http://web/index.html; ls -d /scratch") == "hello\n/scratch\n"
    assert compose("exec", "-T", "worker", "nslookup", "worker").count("10.199.77.") >= 2
    image = json.loads(docker("image", "inspect", "app_web").stdout)[0]
    assert image["Config"]["Labels"]["built.by"] == "compose"

    assert compose("logs", "--no-color", "web") == "Attaching to app_web_1\nweb_1     | serving\n"
    compose("restart", "web")
    assert compose("logs", "--no-color", "web").count("serving") == 2
    assert "sleep 1000" in compose("top", "worker")
    compose("pause", "worker")
    assert "Paused" in compose("ps", "worker")
    compose("unpause", "worker")
    assert "app_web_1 is up-to-date" in compose("up", "-d", "--scale", "worker=2")
    assert compose("run", "--rm", "-T", "--no-deps", "worker", "sh", "-c", "echo once").endswith("once\n")
    assert len(json.loads(docker("inspect", "app_web_1").stdout)[0]["NetworkSettings"]["Networks"]) == 2

    compose("down", "-v", "--rmi", "local")
    assert docker("ps", "-aq").stdout == ""
    assert docker("volume", "ls", "-q").stdout == ""
    assert docker("network", "ls", "-q", "-f", "type=custom").stdout == ""
    assert docker("images", "-q", "app_web").stdout == ""


def test_a_changed_service_is_made_anew(docker, tmp_path):
    compose = Project(docker, tmp_path)
    compose("up", "-d", "--no-deps", "store")
    before = compose("ps", "-q", "store")
    (tmp_path / "docker-compose.yml").write_text(FILE.replace("echo stored", "echo changed"))
    assert "Recreating" in compose("up", "-d", "--no-deps", "store")
    assert compose("ps", "-q", "store") != before
    assert compose.inside("store", "cat /www/index.html; ls /data") == "changed\nmark\n"
    compose("up", "-d", "--scale", "worker=3", "--no-deps", "worker")
    assert len(compose("ps", "-q", "worker").split()) == 3
    compose("up", "-d", "--scale", "worker=1", "--no-deps", "worker")
    assert len(compose("ps", "-q", "worker").split()) == 1
    compose("kill", "worker")
    assert "Exit 137" in compose("ps", "worker")
    compose("rm", "-f", "worker")
    compose("down", "-v", "-t", "1")
