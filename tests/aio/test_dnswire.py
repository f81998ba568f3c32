"""DNS messages."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.aio import dnswire
from podling.aio.dnswire import Question, Record, WireError

labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)
names = st.lists(labels, min_size=1, max_size=8).map(".".join)
addresses = st.ip_addresses().map(str)


def query(name="web.", kind=dnswire.A, edns=0):
    data = dnswire.encode_query(7, Question(name, kind))
    if edns:
        data = data[:11] + b"\x01" + data[12:] + b"\0" + struct.pack("!HHIH", dnswire.OPT, edns, 0, 0)
    return dnswire.parse_query(data)


@given(names)
def test_names_come_back(name):
    assert dnswire.decode_name(dnswire.encode_name(name), 0) == (name, len(name) + 2)


@given(names, st.lists(addresses, max_size=5), names, st.integers(0, 65535))
def test_an_answer_comes_back_whole(name, found, target, port):
    records = [dnswire.a(name, 5, address) for address in found]
    records += [dnswire.cname(name, 5, target), dnswire.srv(name, 5, port, target), dnswire.ptr("x." + name, 5, target)]
    asked = query(name)
    message = dnswire.parse_message(dnswire.respond(asked, records, limit=65535))
    assert list(message.answers) == records
    assert [str(dnswire.address_of(r)) for r in message.answers[: len(found)]] == found
    assert dnswire.target_of(message.answers[-2]) == target
    assert (message.id, message.code, message.questions) == (7, 0, (asked.question,))


@given(st.binary(max_size=120))
def test_any_bytes_are_taken_or_refused(data):
    for parse in (dnswire.parse_message, dnswire.parse_query):
        with contextlib.suppress(WireError):
            parse(data)


@given(st.binary(min_size=12, max_size=200), st.integers(0, 199))
def test_a_bent_message_is_taken_or_refused(data, position):
    whole = bytearray(dnswire.respond(query("web.example"), [dnswire.srv("web.example", 1, 80, "a.b")]))
    whole[position % len(whole)] = data[0]
    with contextlib.suppress(WireError):
        dnswire.parse_message(bytes(whole))


def test_the_asked_name_is_sent_back_as_it_was_spelled():
    data = dnswire.encode_query(7, Question("WeB.Example", dnswire.A))
    asked = dnswire.parse_query(data)
    assert asked.question.name == "web.example"
    assert b"\x03WeB\x07Example" in dnswire.respond(asked, [dnswire.a("web.example", 1, "10.0.0.1")])


def test_an_answer_uses_one_pointer_for_its_name():
    data = dnswire.respond(query("web"), [dnswire.a("web", 30, "10.0.0.1")])
    assert data[-16:] == bytes.fromhex("c00c 0001 0001 0000001e 0004 0a000001")


@pytest.mark.parametrize(("edns", "limit"), [(0, 512), (1000, 1000), (100, 512), (60000, 1232)])
def test_what_does_not_fit_is_left_out_and_told(edns, limit):
    records = [dnswire.a("web", 5, f"10.0.{n // 256}.{n % 256}") for n in range(100)]
    data = dnswire.respond(query("web", edns=edns), records)
    message = dnswire.parse_message(data)
    assert limit - 16 < len(data) <= limit
    assert message.flags & dnswire.TC
    assert list(message.answers) == records[: len(message.answers)]
    assert [r.type for r in message.additionals] == ([dnswire.OPT] if edns else [])


@pytest.mark.parametrize(
    "name",
    [b"\xc0\x00", b"\xc0\x05", b"\x05ab", b"\x40a\0", b"\x03a.b\0", b"\xc0", b""],
    ids=["self", "forward", "short", "reserved", "dot", "half a pointer", "empty"],
)
def test_a_hostile_name_is_refused(name):
    with pytest.raises(WireError):
        dnswire.decode_name(name, 0)


def test_a_name_of_too_many_pointers_is_too_long():
    data = b"\x3f" + b"a" * 63 + b"\0"
    for _ in range(5):
        start = len(data)
        data += b"\x3f" + b"a" * 63 + struct.pack("!H", 0xC000 | (0 if start == 65 else start - 66))
    with pytest.raises(WireError):
        dnswire.decode_name(data, len(data) - 66)


@pytest.mark.parametrize("name", ["a..b", "x" * 64, ".".join(["x" * 60] * 5)])
def test_a_bad_name_is_not_sent(name):
    with pytest.raises(WireError):
        dnswire.encode_name(name)


@given(addresses)
def test_reverse_names(address):
    assert dnswire.address_of_reverse_name(dnswire.reverse_name(address)) == address


@pytest.mark.parametrize("name", ["", "1.in-addr.arpa", "x.0.17.172.in-addr.arpa", "300.0.17.172.in-addr.arpa", "web"])
def test_no_reverse_name(name):
    assert dnswire.address_of_reverse_name(name) is None


def test_text_longer_than_a_string():
    assert dnswire.txt("t", 1, "x" * 300).data == b"\xff" + b"x" * 255 + b"\x2d" + b"x" * 45


def test_a_start_of_authority():
    record = dnswire.soa("z", 5, "ns.z", "admin.z", 1, 30)
    assert isinstance(record, Record)
    assert record.data.endswith(struct.pack("!I", 30))
