"""Optional field selection, `a.?b` and `a[?b]`, said with functions: the evaluator has the type and not the syntax.

Source: cel-spec, "Optional values" (OptionalTypes of the CEL environment of Kubernetes).
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

# strings are kept whole; of the rest the marks of options, names that follow a dot, and single characters
_TOKENS = re.compile(
    r"""(?P<text>[rRbB]{0,2}(?:'''(?s:.)*?'''|\"\"\"(?s:.)*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"))"""
    r"""|(?P<option>\.\?\s*)(?P<name>[A-Za-z_]\w*)|(?P<index>\[\?)|(?P<member>\.\s*[A-Za-z_]\w*)(?P<call>\s*\()?|(?s:.)"""
)
SELECT, ELEMENT = "_optionalMember", "_optionalElement"


def spell_out(text: str) -> str:
    """The expression without the marks; as it is where there are none."""
    if ".?" not in text and "[?" not in text:
        return text
    return "".join(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    """Members that follow an optional one in its chain are optional too: until a call ends it."""
    optional = False
    closing: list[str] = []  # what each open bracket ends with
    for found in _TOKENS.finditer(text):
        piece = found[0]
        if found["option"]:
            yield f'.{SELECT}("{found["name"]}")'
            optional = True
        elif found["index"]:
            yield f".{ELEMENT}("
            closing.append(")")
        elif found["member"]:
            if found["call"]:
                closing.append(")")
                optional = False
                yield piece
            else:
                yield f'.{SELECT}("{piece[1:].strip()}")' if optional else piece
        elif piece in "([":
            closing.append({"(": ")", "[": "]"}[piece])
            optional = False
            yield piece
        elif piece in ")]" and closing:
            ended = closing.pop()
            optional = ended == ")" and piece == "]"  # an optional element has ended
            yield ended
        else:
            if not piece.isspace() and not found["text"]:
                optional = False
            yield piece


def _optional() -> Any:
    """Only called where the evaluator is."""
    from cel import OptionalValue

    return OptionalValue


def _member(of: Any, name: Any) -> Any:
    """What stands in a map, a list or an optional one of those; none where nothing does."""
    kind = _optional()
    if isinstance(of, kind):
        if not of.has_value():
            return of
        of = of.value()
    if isinstance(of, list):
        return kind.of(of[name]) if 0 <= name < len(of) else kind.none()
    return kind.of(of[name]) if name in of else kind.none()


FUNCTIONS: dict[str, Callable[..., Any]] = {SELECT: _member, ELEMENT: _member}
