"""The netlink codec."""

import contextlib
import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.linux import netlink
from podling.linux.netlink import Message


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=50))))
def test_attributes_come_back(pairs):
    data = b"".join(netlink.attribute(kind, value) for kind, value in pairs)
    assert list(netlink.attributes(data)) == pairs


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=40).filter(lambda b: len(b) % 4 == 0)))
)
def test_messages_come_back(parts):
    messages = [Message(kind, flags, body, 7) for kind, flags, body in parts]
    assert list(netlink.decode(b"".join(netlink.encode(m, 7) for m in messages))) == messages


@given(st.binary(max_size=80))
def test_any_bytes_are_taken_or_refused(data):
    for parse in (netlink.attributes, netlink.decode):
        with contextlib.suppress(ValueError):
            list(parse(data))


@pytest.mark.root
def test_an_error_carries_errno_the_name_and_the_kernels_words(net):
    with pytest.raises(OSError, match="Unknown device type") as caught:
        net.ask(16, bytes(16) + netlink.nested(18, netlink.text(1, "nonsense")), netlink.NLM_F_CREATE, about="thing")
    assert caught.value.errno == errno.EOPNOTSUPP
    assert caught.value.filename == "thing"
