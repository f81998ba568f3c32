"""What this process may do."""

import pytest

from podling.linux import capabilities


def test_bits_have_names():
    assert capabilities.parse(1 | 1 << 21 | 1 << 50) == {"CHOWN", "SYS_ADMIN", "50"}


@pytest.mark.root
def test_root_lacks_nothing_that_is_needed():
    assert capabilities.missing() == []
    assert capabilities.effective() <= capabilities.bounding()


def test_what_is_missing_is_named_in_order():
    assert capabilities.missing(("NO_SUCH", "CHOWN", "NEITHER"))[0] == "NO_SUCH"


def test_proc_is_a_known_file_system():
    assert "proc" in capabilities.filesystems()
