import pytest

from podling.api.intstr import scaled


@pytest.mark.parametrize(
    ("value", "total", "up", "count"),
    [
        (3, 10, True, 3),
        ("25%", 10, True, 3),
        ("25%", 10, False, 2),
        ("100%", 3, True, 3),
        ("0%", 9, True, 0),
        ("50%", 0, True, 0),
    ],
)
def test_percentages_are_of_the_total(value, total, up, count):
    assert scaled(value, total, round_up=up) == count


@pytest.mark.parametrize("value", ["x", "5", "%", "x%"])
def test_other_text_is_refused(value):
    with pytest.raises(ValueError, match="string is not a percentage"):
        scaled(value, 10, round_up=True)
