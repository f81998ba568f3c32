"""What a Dockerfile says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.base.errors import InvalidInput
from podling.build.dockerfile import parse


def test_stages_flags_and_forms():
    file = parse(
        """\
# syntax=docker/dockerfile:1
ARG VERSION=1
FROM --platform=linux/amd64 base:$VERSION AS Build
RUN make \\
    # a comment between
    all

CMD ["serve", "--all"]
FROM scratch
COPY --from=build --chown=1:2 /a "/b c" /d/
"""
    )
    assert file.arguments[0].pairs == (("VERSION", "1"),)
    build, final = file.stages
    assert (build.base, build.name, build.platform) == ("base:$VERSION", "build", "linux/amd64")
    run, command = build.instructions
    assert run.text == "make     all"
    assert command.exec_form
    assert command.arguments == ("serve", "--all")
    copy = final.instructions[0]
    assert copy.flag("from") == "build"
    assert copy.arguments == ("/a", '"/b c"', "/d/")


def test_pairs_old_and_new():
    instructions = parse('FROM x\nENV a=1 b="two words"\nENV old form of it\nLABEL k=v\nARG n').stages[0].instructions
    assert [item.pairs for item in instructions] == [
        (("a", "1"), ("b", '"two words"')),
        (("old", "form of it"),),
        (("k", "v"),),
        (("n", None),),
    ]


def test_heredocs():
    run, copy = parse("FROM x\nRUN <<EOF cat\necho $A\nEOF\nCOPY <<-'A' <<B /d/\n\ttext\n\tA\nb\nB\n").stages[0].instructions
    assert run.heredocs[0].content == "echo $A\n"
    assert [(doc.name, doc.content, doc.expand) for doc in copy.heredocs] == [("A", "text\n", False), ("B", "b\n", True)]


def test_the_escape_directive():
    file = parse("# escape=`\nFROM x\nRUN dir `\n  c:\\\nUSER me")
    assert [item.text for item in file.stages[0].instructions] == ["dir   c:\\", "me"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the Dockerfile cannot be empty"),
        ("# only\n", "file with no instructions"),
        ("FROM x\nFOO y", "dockerfile parse error on line 2: unknown instruction: FOO"),
        ("RUN x", "dockerfile parse error on line 1: no build stage in current context"),
        ("FROM a b", "dockerfile parse error on line 1: FROM requires either one or three arguments"),
        ("FROM x\nCOPY --form=a b c", "dockerfile parse error on line 2: unknown flag: --form"),
        ("FROM x\nRUN", "dockerfile parse error on line 2: RUN requires at least one argument"),
        ("FROM x\nENV a", "dockerfile parse error on line 2: ENV must have two arguments"),
        ("FROM x\nRUN <<EOF\nnever ends", "dockerfile parse error on line 2: unterminated heredoc EOF"),
    ],
)
def test_errors_name_the_line(text, message):
    with pytest.raises(InvalidInput) as error:
        parse(text)
    assert error.value.message.startswith(message)


@given(st.text(alphabet=st.sampled_from("FROMRUNCPYEV abc\n\\#<\"'[]=$-,1")))
def test_any_text_parses_or_is_refused(text):
    try:
        assert parse(text).stages
    except InvalidInput as error:
        refused = error
    else:
        return
    assert "line" in refused.message or "Dockerfile" in refused.message or "no instructions" in refused.message
