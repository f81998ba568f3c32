"""Volume plugins: a tiny one of the test's own, behind Docker's protocol."""

import json
import shutil
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from podling.aio.clock import SystemClock
from podling.base.errors import AlreadyExists, Conflict, Failed, NotFound, Unavailable
from podling.testing.volume_contract import VolumeContract
from podling.volumes.base import Driver
from podling.volumes.plugin import Plugins
from podling.volumes.volumes import Volumes


class Plugin:
    """A plugin that keeps volumes as directories below `root`, and all that it was told in `calls`."""

    def __init__(self, root: Path, socket: Path) -> None:
        self.root = root
        self.calls: list[tuple[str, dict[str, object]]] = []
        self.broken = ""
        plugin = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                answer = plugin.answer(self.path.lstrip("/"), json.loads(self.rfile.read(length)))
                body = json.dumps(answer).encode()
                self.send_response(500 if answer.get("Err") else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def address_string(self) -> str:
                return "engine"

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = socketserver.ThreadingUnixStreamServer(str(socket), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, method: str, body: dict[str, str]) -> dict[str, object]:
        self.calls.append((method, dict(body)))
        place = self.root / body.get("Name", "")
        match method:
            case "Plugin.Activate":
                return {"Implements": ["VolumeDriver"]}
            case _ if self.broken:
                return {"Err": self.broken}
            case "VolumeDriver.Create":
                place.mkdir(exist_ok=True)
            case "VolumeDriver.Remove":
                shutil.rmtree(place)
            case "VolumeDriver.Mount":
                return {"Mountpoint": str(place)}
            case "VolumeDriver.Path":
                return {"Mountpoint": ""}
        return {"Err": ""}

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls if method != "Plugin.Activate"]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    for name in ("data", "sockets", "specs"):
        (tmp_path / name).mkdir()
    made = Plugin(tmp_path / "data", tmp_path / "sockets/tiny.sock")
    yield made
    made.stop()


@pytest.fixture
def plugins(plugin: Plugin, tmp_path: Path) -> Plugins:
    return Plugins(tmp_path / "facts", [tmp_path / "sockets"], [tmp_path / "specs"])


class TestPlugin(VolumeContract):
    @pytest.fixture
    def driver(self, plugins: Plugins) -> Driver:
        return plugins.find("tiny")


def volumes(tmp_path: Path, plugins: Plugins) -> Volumes:
    return Volumes(tmp_path / "volumes", SystemClock(), plugins=plugins)


async def test_a_volume_of_a_plugin_lives_and_goes(plugin: Plugin, plugins: Plugins, tmp_path: Path) -> None:
    held = volumes(tmp_path, plugins)
    volume = await held.create("web", driver="tiny", options={"size": "1"}, labels={"a": "b"})
    assert ("VolumeDriver.Create", {"Name": "web", "Opts": {"size": "1"}}) in plugin.calls
    for container in ("one", "two"):
        held.use("web", container)
        assert await held.mount("web", container) == tmp_path / "data/web"
    assert held.find("web").path == tmp_path / "data/web"

    again = volumes(tmp_path, plugins)  # the engine was started anew
    assert (again.find("web").driver, dict(again.find("web").labels)) == ("tiny", {"a": "b"})
    assert (await again.create("web")).name == volume.name  # without a driver it is whatever has the name
    with pytest.raises(AlreadyExists):
        await again.create("web", driver="local")

    await held.unmount("web", "one")
    assert "VolumeDriver.Unmount" not in plugin.methods()
    await held.unmount("web", "two")
    assert plugin.methods()[-1] == "VolumeDriver.Unmount"
    assert await held.usage("web") == -1
    with pytest.raises(Conflict):
        await held.remove("web")
    for container in ("one", "two"):
        held.forget("web", container)
    await held.remove("web")
    assert plugin.methods()[-1] == "VolumeDriver.Remove"
    assert volumes(tmp_path, plugins).list() == []


async def test_what_a_plugin_refuses_is_told(plugin: Plugin, plugins: Plugins, tmp_path: Path) -> None:
    held = volumes(tmp_path, plugins)
    plugin.broken = "no space"
    with pytest.raises(Failed, match=r"create web: VolumeDriver\.Create: no space"):
        await held.create("web", driver="tiny")
    assert held.list() == []
    with pytest.raises(NotFound, match='error looking up volume plugin other: plugin "other" not found'):
        await held.create("web", driver="other")


async def test_a_plugin_that_is_gone(plugin: Plugin, plugins: Plugins, tmp_path: Path) -> None:
    held = volumes(tmp_path, plugins)
    await held.create("web", driver="tiny")
    plugin.stop()
    (tmp_path / "specs/tiny.spec").write_text("tcp://127.0.0.1:9\n")
    (tmp_path / "sockets/tiny.sock").unlink(missing_ok=True)
    with pytest.raises(Unavailable, match='error while calling plugin "tiny"'):
        await held.mount("web", "one")
    assert volumes(tmp_path, plugins).find("web").driver == "tiny"


def test_where_plugins_are_looked_for(plugin: Plugin, plugins: Plugins, tmp_path: Path) -> None:
    socket = tmp_path / "sockets/tiny.sock"
    (tmp_path / "specs/spec.spec").write_text(f"unix://{socket}\n")
    (tmp_path / "specs/json.json").write_text(json.dumps({"Name": "json", "Addr": f"unix://{socket}"}))
    (tmp_path / "sockets/deep").mkdir()
    (tmp_path / "sockets/deep/deep.sock").symlink_to(socket)
    for name in ("tiny", "spec", "json", "deep"):
        assert plugins.find(name).name == name
    for name in ("../sockets/tiny", ".tiny", "nosuch"):
        with pytest.raises(NotFound):
            plugins.find(name)
