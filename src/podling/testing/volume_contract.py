"""What every volume driver keeps. Subclass it and give `driver`."""

from pathlib import Path

from podling.volumes.base import Driver, Volume


class VolumeContract:
    """Tests of `podling.volumes.base.Driver`; a subclass has a fixture `driver`."""

    def make(self, driver: Driver, name: str = "data") -> Volume:
        return driver.create(Volume(name, Path(), driver.name, labels={"a": "b"}, created=5.0))

    def test_a_volume_holds_data_and_is_listed(self, driver: Driver) -> None:
        volume = self.make(driver)
        (driver.mount(volume) / "file").write_text("kept")
        driver.unmount(volume)
        assert (driver.mount(volume) / "file").read_text() == "kept"
        (listed,) = driver.list()
        assert (listed.name, dict(listed.labels), listed.created) == ("data", {"a": "b"}, 5.0)
        driver.unmount(volume)

    def test_mount_may_be_asked_again(self, driver: Driver) -> None:
        volume = self.make(driver)
        assert driver.mount(volume) == driver.mount(volume)
        driver.unmount(volume)
        driver.unmount(volume)

    def test_a_removed_volume_is_gone_with_its_data(self, driver: Driver) -> None:
        volume = self.make(driver)
        (driver.mount(volume) / "file").write_text("lost")
        driver.unmount(volume)
        driver.remove(volume)
        driver.remove(volume)
        assert driver.list() == []
        again = self.make(driver)
        assert list(driver.mount(again).iterdir()) == []
        driver.unmount(again)
        driver.remove(again)
