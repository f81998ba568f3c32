from collections.abc import Iterator
from pathlib import Path

import pytest

from images.stores import open_images
from podling.images.images import Images


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    opened = open_images(tmp_path / "podling")
    yield opened
    opened.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Images]:
    """A second machine."""
    opened = open_images(tmp_path / "other")
    yield opened
    opened.close()
