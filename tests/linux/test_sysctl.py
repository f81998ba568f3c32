"""Kernel parameters, in a network namespace of the test."""

import pytest

from podling.linux import sysctl


@pytest.mark.root
def test_a_parameter_of_a_namespace(netns):
    before = sysctl.read("net.ipv4.ip_forward")
    sysctl.write("net.ipv4.ip_forward", 1, netns)
    assert sysctl.read("net.ipv4.ip_forward", netns) == "1"
    sysctl.write("net.ipv4.ip_forward", 0, netns)
    assert sysctl.read("net.ipv4.ip_forward", netns) == "0"
    assert sysctl.read("net.ipv4.ip_forward") == before


def test_a_name_with_a_slash_keeps_its_dots():
    assert str(sysctl.path_of("net/ipv4/conf/eth0.1/forwarding")) == "/proc/sys/net/ipv4/conf/eth0.1/forwarding"


@pytest.mark.parametrize("name", ["", "..", "net/../../etc", "a//b", "net..x", "/etc/passwd"])
def test_a_name_never_leaves_its_tree(name):
    with pytest.raises(ValueError, match="not a kernel parameter"):
        sysctl.path_of(name)


def test_an_unknown_name_is_named():
    with pytest.raises(FileNotFoundError, match="none/such"):
        sysctl.read("none.such")
