"""Bandwidth of containers, measured with traffic."""

import socket
import threading
import time

import pytest

from podling.base.errors import InvalidInput
from podling.linux.namespace import run_in
from podling.network.base import Rates
from podling.network.networks import Networks
from podling.network.rates import EGRESS, INGRESS, asked

pytestmark = pytest.mark.root
MEGABIT = 1_000_000
SLOW = 8 * MEGABIT
SIZE = 600_000
LEAST = (SIZE - 100_000) * 8 / SLOW  # seconds; a burst and a queue leave at once


@pytest.fixture
def seconds_to_send():
    """How long SIZE bytes take from one namespace to another."""

    def measure(source, target, address):
        listening = run_in(target, lambda: socket.create_server((address, 9000)))

        def send():
            with run_in(source, lambda: socket.socket()) as sender:
                sender.connect((address, 9000))
                sender.sendall(bytes(SIZE))

        thread = threading.Thread(target=send)
        started = time.monotonic()
        thread.start()
        with listening, listening.accept()[0] as taken:
            left = SIZE
            while left:
                left -= len(taken.recv(65536))
        thread.join()
        return time.monotonic() - started

    return measure


@pytest.fixture
def unlimited(seconds_to_send):
    """Whether SIZE bytes sometimes take less than a limit would let them: what is busy with other things may be slow, too."""
    return lambda *way, seconds=LEAST: any(seconds_to_send(*way) < seconds for _ in range(30))


@pytest.fixture
async def pair(networks, sandbox):
    web, db = sandbox("web"), sandbox("db")
    return (web, await networks.connect("bridge", web)), (db, await networks.connect("bridge", db))


@pytest.mark.parametrize("rates", [Rates(egress=SLOW), Rates(ingress=SLOW)])
async def test_each_direction_has_a_limit_of_its_own(networks, pair, seconds_to_send, unlimited, rates):
    (web, here), (db, there) = pair
    await networks.limit(web.id, rates)
    out, into = (web.netns, db.netns, there.ip), (db.netns, web.netns, here.ip)
    slow, quick = (out, into) if rates.egress else (into, out)
    assert seconds_to_send(*slow) > LEAST
    assert unlimited(*slow, seconds=3 * LEAST)
    assert unlimited(*quick)


async def test_a_limit_is_changed_and_lifted(networks, pair, seconds_to_send, unlimited):
    (web, _), (db, there) = pair
    for rate in (4 * SLOW, SLOW):
        await networks.limit(web.id, Rates(egress=rate))
    assert seconds_to_send(web.netns, db.netns, there.ip) > LEAST
    for _ in range(2):
        await networks.limit(web.id, Rates())
    assert unlimited(web.netns, db.netns, there.ip)
    await networks.limit(web.id, Rates(egress=80_000 * MEGABIT))  # more than 32 bits of bytes
    assert unlimited(web.netns, db.netns, there.ip)


async def test_networks_of_later_are_limited_too_and_after_a_restart(networks, sandbox, netns, tmp_path, seconds_to_send):
    web, db = sandbox("web"), sandbox("db")
    await networks.limit(web.id, Rates(egress=SLOW))
    await networks.connect("bridge", web)
    await networks.connect("bridge", db)
    await networks.close()
    again = Networks(tmp_path / "state", "7e57", netns=netns, upstream=[])
    await again.start({web.id, db.id})
    assert again.rates_of(web.id) == Rates(egress=SLOW)
    await again.create("blue")
    await again.connect("blue", web)
    there = await again.connect("blue", db)
    assert seconds_to_send(web.netns, db.netns, there.ip) > LEAST
    await again.release(web.id)
    assert again.rates_of(web.id) == Rates()
    await again.close()


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({}, Rates()),
        ({EGRESS: "10M"}, Rates(egress=10_000_000)),
        ({EGRESS: "1.5G", INGRESS: "500k"}, Rates(1_500_000_000, 500_000)),
    ],
)
def test_labels_ask_for_rates(labels, wanted):
    assert asked(labels) == wanted


@pytest.mark.parametrize("text", ["fast", "0", "-1M", "10Mbit"])
def test_labels_that_are_no_rates(text):
    with pytest.raises(InvalidInput, match=rf"invalid label {INGRESS}: "):
        asked({INGRESS: text})


async def test_what_cannot_be_limited(networks, sandbox, outside, pair, seconds_to_send, unlimited):
    (web, _), (db, there) = pair
    with pytest.raises(InvalidInput, match="invalid rate: -1 bits per second"):
        await networks.limit(web.id, Rates(egress=-1))
    lan = {"subnet": "198.51.100.0/24", "gateway": "198.51.100.2", "range": "198.51.100.128/25"}
    await networks.create("lan", driver="macvlan", pools=[lan], options={"parent": "uplink"})
    await networks.connect("lan", web)
    with pytest.raises(InvalidInput, match="network lan cannot limit what its containers are sent"):
        await networks.limit(web.id, Rates(egress=SLOW, ingress=SLOW))
    assert networks.rates_of(web.id) == Rates()
    assert unlimited(web.netns, db.netns, there.ip)
    await networks.limit(web.id, Rates(egress=SLOW))
    assert seconds_to_send(web.netns, outside, "198.51.100.2") > LEAST
    alone = sandbox("alone")
    await networks.connect("host", alone)
    with pytest.raises(InvalidInput, match="network host cannot limit"):
        await networks.limit(alone.id, Rates(egress=SLOW))
