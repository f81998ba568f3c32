from collections.abc import Iterator
from pathlib import Path

import pytest

from podling.base.errors import Failed, InvalidInput
from podling.linux.mount import MS_NOATIME, MS_RDONLY, is_mountpoint, unmount_if_mounted
from podling.testing.volume_contract import VolumeContract
from podling.volumes.base import Volume
from podling.volumes.local import LocalDriver, resolve_address, split_options


@pytest.fixture
def driver(tmp_path: Path) -> LocalDriver:
    return LocalDriver(tmp_path)


class TestLocal(VolumeContract):
    pass


@pytest.mark.root
class TestMountedVolumes:
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Path]:
        yield tmp_path / "v2" / "_data"
        unmount_if_mounted(tmp_path / "v2" / "_data")

    def test_a_tmpfs_is_there_while_it_is_used(self, driver: LocalDriver, place: Path) -> None:
        options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7,nodev"}
        volume = driver.create(Volume("v2", Path(), options=options))
        assert driver.mount(volume) == place
        assert driver.mount(volume) == place
        assert is_mountpoint(place)
        assert place.stat().st_uid == 7
        driver.unmount(volume)
        assert not is_mountpoint(place)

    def test_a_bind_shows_a_host_directory(self, driver: LocalDriver, place: Path, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.mkdir()
        volume = driver.create(Volume("v2", Path(), options={"type": "none", "device": str(source), "o": "bind,ro"}))
        driver.mount(volume)
        with pytest.raises(OSError, match="Read-only"):
            (place / "x").touch()
        driver.remove(volume)
        assert source.is_dir()
        assert not place.exists()

    def test_what_cannot_be_mounted_is_named(self, driver: LocalDriver) -> None:
        volume = driver.create(Volume("v2", Path(), options={"type": "none", "device": "/nowhere", "o": "bind"}))
        with pytest.raises(Failed, match=r"mount /nowhere:.*, flags: 0x1000: no such file"):
            driver.mount(volume)

    def test_a_server_that_is_none_is_asked_by_mount(self, driver: LocalDriver) -> None:
        """The kernel is given type, device and data, and its answer is told, whichever it is where there is no such server."""
        options = {"type": "nfs", "device": ":/export", "o": "addr=127.0.0.1,vers=4,password=secret,timeo=1,retrans=1,soft,ro"}
        volume = driver.create(Volume("v2", Path(), options=options))
        wanted = r"mount :/export:.*/_data, flags: 0x1, data: addr=127.0.0.1,vers=4,password=\*\*\*\*,timeo=1,retrans=1,soft: \w+"
        with pytest.raises(Failed, match=wanted):
            driver.mount(volume)
        unknown = driver.create(Volume("v3", Path(), options={**options, "o": "addr=no.such.host.invalid"}))
        with pytest.raises(Failed, match=r"error resolving passed in network volume address: no\.such\.host\.invalid"):
            driver.mount(unknown)


@pytest.mark.parametrize("options", [{"bad": "1"}, {"device": "/x"}, {"o": "ro"}])
def test_senseless_options_are_refused(driver: LocalDriver, options: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        driver.create(Volume("v1", Path(), options=options))
    assert driver.list() == []


@pytest.mark.parametrize("name", ["a", "../x", "a/b", ".x", ""])
def test_a_name_stays_below_the_root(driver: LocalDriver, name: str) -> None:
    with pytest.raises(InvalidInput, match="includes invalid characters for a local volume name"):
        driver.create(Volume(name, Path()))


def test_the_words_of_a_mount_become_flags_and_data() -> None:
    assert split_options("ro,noatime,async,vers=4.1,soft") == (MS_RDONLY | MS_NOATIME, "vers=4.1,soft")


def test_the_kernel_is_given_the_number_of_a_server() -> None:
    assert resolve_address("vers=4,addr=127.0.0.1,soft") == "vers=4,addr=127.0.0.1,soft"
    assert resolve_address("addr=localhost") in ("addr=127.0.0.1", "addr=::1")
