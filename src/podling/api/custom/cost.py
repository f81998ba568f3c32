"""What evaluating an expression may cost, guessed before it is done: the evaluator counts nothing and can't be stopped.

An iteration costs about what a few comparisons do; iterations inside of iterations multiply. Source: Kubernetes documentation
"Validation rules", "Resource use by validation functions"; the per-call limit of k8s.io/apiextensions-apiserver.
"""

import re
from typing import Any

LIMIT = 1_000_000
OF_ITERATION = 4

_STEPS = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\.\s*(all|exists|exists_one|existsOne|map|filter)\s*\(|\(|\)""")


def depth(text: str) -> int:
    """How many loops of an expression stand inside of each other."""
    open_: list[bool] = []
    most = 0
    for found in _STEPS.finditer(text):
        if found[0] == ")":
            if open_:
                open_.pop()
        elif found[1] or found[0] == "(":
            open_.append(bool(found[1]))
            most = max(most, sum(open_))
    return most


def longest(value: Any) -> int:
    """The number of members of the largest list or map in a value."""
    most, level = 0, [value]
    while level:
        of_level = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, (dict, list))]
        most = max([most, *map(len, of_level)])
        level = [child for each in of_level for child in each]
    return most


def too_much(loops: int, value: Any) -> bool:
    """Whether `loops` nested ones over what is in `value` may cost more than a call may."""
    return loops > 0 and OF_ITERATION * longest(value) ** loops > LIMIT
