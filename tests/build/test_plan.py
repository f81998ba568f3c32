"""Which stages a build needs, and what their steps are."""

import pytest

from podling.base.errors import InvalidInput, Unsupported
from podling.build import plan
from podling.build.dockerfile import parse


def names(text, target="", given=None):
    return [stage.text for stage in plan.stages(parse(text), target, given or {})]


def steps(text, given=None, config=None):
    """The steps of a single stage over a base with `config`."""
    file = parse(f"FROM base\n{text}")
    scope = plan.Scope(config or {}, given or {}, {}, [])
    return list(plan.steps(file.stages[0].instructions, scope))


def test_only_what_the_target_needs():
    text = "FROM a AS one\nFROM b AS two\nFROM one AS three\nCOPY --from=two /x /\nFROM c AS four\nFROM one"
    assert names(text) == ["FROM a AS one", "FROM one"]
    assert names(text, "three") == ["FROM a AS one", "FROM b AS two", "FROM one AS three"]
    assert names(text, "1") == ["FROM b AS two"]


def test_a_stage_copies_from_earlier_ones_alone():
    text = "FROM a\nCOPY --from=later /x /\nCOPY --from=0 /x /\nFROM b AS later"
    assert names(text, "0") == ["FROM a"]


def test_bases_take_global_arguments():
    text = "ARG A=alpine\nARG B=$A:3\nFROM $B\nFROM ${C:-none}"
    assert [stage.base for stage in plan.stages(parse(text), "0", {})] == ["alpine:3"]
    assert [stage.base for stage in plan.stages(parse(text), "0", {"A": "busybox"})] == ["busybox:3"]
    assert [stage.base for stage in plan.stages(parse(text), "", {})] == ["none"]


def test_env_is_seen_from_the_next_instruction_on():
    made = steps("ENV a=1\nENV a=2 b=$a\nENV c=$b")
    assert made[-1].config["Env"] == ["a=2", "b=1", "c=1"]


def test_arguments_and_who_wins():
    run = steps("ARG a=1\nARG b\nARG c=c\nENV c=env\nRUN x", given={"b": "given", "HTTP_PROXY": "p", "stray": "s"})[-1]
    assert run.work.env == ("HTTP_PROXY=p", "a=1", "b=given")
    assert run.history == "|2 a=1 b=given /bin/sh -c x"


def test_an_argument_of_before_the_first_stage_is_taken_up():
    file = parse("ARG V=7\nFROM base\nARG V\nENV W=$V")
    scope = plan.Scope({}, {}, plan.global_arguments(file, {}), [])
    assert list(plan.steps(file.stages[0].instructions, scope))[-1].config["Env"] == ["W=7"]


def test_entrypoint_takes_an_inherited_command_away():
    assert steps('ENTRYPOINT ["a"]', config={"Cmd": ["b"]})[-1].config == {"Cmd": None, "Entrypoint": ["a"]}
    assert steps('CMD ["c"]\nENTRYPOINT ["a"]')[-1].config == {"Cmd": ["c"], "Entrypoint": ["a"]}


def test_the_shell_of_later_instructions():
    made = steps('SHELL ["/bin/ash", "-ec"]\nRUN x\nCMD y')
    assert made[1].work.words == ("/bin/ash", "-ec", "x")
    assert made[2].config["Cmd"] == ["/bin/ash", "-ec", "y"]


def test_working_directories_add_up():
    made = steps("WORKDIR a\nWORKDIR ../b\nCOPY x .\nCOPY x y\nCOPY x /z/")
    assert [made[1].work.path, *(step.work.destination for step in made[2:])] == ["/b", "/b/", "/b/y", "/z/"]


def test_heredocs():
    alone, fed = steps("RUN <<A\nx $y\nA\nRUN cat <<'A'\nz\nA")
    assert alone.work.words == ("/bin/sh", "-c", "x $y\n")
    own = steps("RUN <<A\n#!/bin/awk -f\nA")[-1].work
    assert (own.words, own.script) == (("/dev/pipes/script",), "#!/bin/awk -f\n")
    assert fed.work.words == ("/bin/sh", "-c", "cat <<'A'\nz\nA\n")
    copied = steps("ARG v=1\nCOPY <<A plain <<'B' /d/\n$v\nA\n$v\nB")[-1].work
    assert (copied.sources, [file.content for file in copied.files]) == (("plain",), ["1\n", "$v\n"])


def test_triggers():
    found, rest = plan.triggers({"OnBuild": ["RUN x", "ENV a=b"], "User": "u"})
    assert ([instruction.name for instruction in found], rest) == (["RUN", "ENV"], {"User": "u"})


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("COPY x", InvalidInput, "requires at least two arguments"),
        ("COPY a b /c", InvalidInput, "must be a directory and end with a /"),
        ("COPY --chmod=9 a b", InvalidInput, "invalid chmod parameter: '9'"),
        ("COPY --parents a b", Unsupported, "the --parents option requires BuildKit"),
        ("RUN --mount=type=secret x", Unsupported, "the --mount option requires BuildKit"),
        ("RUN --network=other x", InvalidInput, 'invalid value "other"'),
        ("EXPOSE 70000", InvalidInput, "invalid containerPort: 70000"),
        ("HEALTHCHECK nonsense", InvalidInput, 'Unknown type "nonsense" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK --interval=1 CMD x", InvalidInput, 'invalid duration "1"'),
        ("HEALTHCHECK --timeout=1us CMD x", InvalidInput, "cannot be less than 1ms"),
        ("ONBUILD ONBUILD RUN x", InvalidInput, "Chaining ONBUILD"),
        ("ONBUILD FROM x", InvalidInput, "FROM isn't allowed as an ONBUILD trigger"),
        ("SHELL sh", InvalidInput, "SHELL requires the arguments to be in JSON form"),
        ("STOPSIGNAL a b", InvalidInput, "STOPSIGNAL requires exactly one argument"),
        ('VOLUME [""]', InvalidInput, "VOLUME specified can not be an empty string"),
    ],
)
def test_what_cannot_be_planned(text, error, message):
    with pytest.raises(error) as raised:
        steps(text)
    assert message in raised.value.message


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("FROM $X", "", "base name ($X) should not be blank"),
        ("FROM a", "b", "failed to reach build target b in Dockerfile"),
    ],
)
def test_stages_that_are_not_there(text, target, message):
    with pytest.raises(InvalidInput) as raised:
        names(text, target)
    assert raised.value.message == message
