"""IntOrString: a number, or a percentage of one. Source: k8s.io/apimachinery util/intstr."""

IntOrString = int | str


def scaled(value: IntOrString, total: int, *, round_up: bool) -> int:
    """`value` as a count; a percentage is taken of `total`. Raises ValueError for a text that is no percentage."""
    if isinstance(value, int):
        return value
    number = value.removesuffix("%")
    if number == value or not number.lstrip("-").isdecimal():
        raise ValueError(f'invalid value for IntOrString: invalid type: string is not a percentage: "{value}"')
    parts = int(number) * total
    return -(-parts // 100) if round_up else parts // 100
