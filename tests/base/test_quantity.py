import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.base import quantity
from podling.base.quantity import NANO, Quantity, QuantityError


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("1000m", "1"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1.", "1"),
        ("+1", "1"),
        ("-1.5", "-1500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("512", "512"),
        ("0.5Ki", "512"),
        ("1.1Ki", "1127"),
        ("1024", "1024"),
        ("1000000", "1M"),
        ("1e3", "1e3"),
        ("12e4", "120e3"),
        ("1E", "1E"),
        ("1E3", "1e3"),
        ("1e-3", "1e-3"),
        ("0.1n", "1n"),
        ("100k", "100k"),
        (2, "2"),
        (0.25, "250m"),
        ("1000000000Ei", "9223372036854775807"),
        ("1e9999", "9223372036854775807"),
    ],
)
def test_a_quantity_is_written_in_its_canonical_form(text, canonical):
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize(
    "text", ["", "m", "1.2.3", "1 Gi", "1gi", "1ki", "1K", "--1", "1e", "1mi", "Gi", "1e3Ki", ".", "٣", "1\n"]
)
def test_what_is_no_quantity_is_refused_in_the_usual_words(text):
    with pytest.raises(QuantityError, match="quantities must match the regular expression"):
        quantity.parse(text)


def test_cpu_counts_in_thousandths_and_memory_in_bytes_rounded_up():
    assert quantity.milli("1.5") == 1500
    assert quantity.milli("1u") == 1
    assert quantity.whole("1Ki") == 1024
    assert quantity.whole("1m") == 1
    assert quantity.whole("-1m") == -1


def test_a_sum_keeps_the_family_of_its_first_term():
    assert str(quantity.parse("1Gi") + quantity.parse("1G")) == "2073741824"
    assert str(quantity.ZERO + quantity.parse("1Gi")) == "1Gi"
    assert str(quantity.parse("2Gi") - quantity.parse("1Gi")) == "1Gi"
    assert str(quantity.parse("100m") * 3) == "300m"
    assert quantity.parse("1Gi") > quantity.parse("1G")


quantities = st.builds(
    Quantity,
    st.integers(-(2**63 - 1) * NANO, (2**63 - 1) * NANO),
    st.sampled_from(["DecimalSI", "DecimalExponent"]),
) | st.builds(Quantity, st.integers(-(2**63 - 1), 2**63 - 1).map(lambda ones: ones * NANO), st.just("BinarySI"))


@given(quantities)
def test_a_quantity_survives_being_written_and_read(amount):
    assert quantity.parse(str(amount)).nanos == amount.nanos


@given(st.from_regex(r"[+-]?[0-9]{1,12}(\.[0-9]{0,12})?([KMGTPE]i|[numkMGTPE]|e[+-]?[0-9])?", fullmatch=True))
def test_the_canonical_form_is_a_fixed_point(text):
    once = quantity.canonical(text)
    assert quantity.canonical(once) == once


@given(quantities, quantities)
def test_order_is_that_of_the_amounts(one, other):
    assert (one < other) == (one.nanos < other.nanos)
    assert (one + other).nanos == one.nanos + other.nanos
