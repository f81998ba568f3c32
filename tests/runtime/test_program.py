import pytest

from podling.base.errors import InvalidInput
from podling.runtime.program import adapt, explain, find

RUNC = 'time="2026-01-01T00:00:00Z" level=error msg="{}"'


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (
            "executable file `x` not found in $PATH: No such file or directory\n",
            'exec: "x": executable file not found in $PATH',
            127,
        ),
        (
            RUNC.format(
                'runc create failed: unable to start container process: exec: \\"x\\": executable file not found in $PATH'
            ),
            'exec: "x": executable file not found in $PATH',
            127,
        ),
        ("open executable: Operation not permitted\n", 'exec: "x": permission denied', 126),
        (
            RUNC.format('exec failed: unable to start container process: exec: \\"x\\": permission denied'),
            'exec: "x": permission denied',
            126,
        ),
        (
            "chdir `/nodir`: No such file or directory",
            'chdir to cwd ("/nodir") set in config.json failed: no such file or directory',
            126,
        ),
        ("error stat'ing file `/x`: No such file or directory", "error stat'ing file `/x`: No such file or directory", 128),
    ],
)
def test_the_words_of_both_runtimes_become_dockers(words: str, message: str, code: int) -> None:
    assert explain(words, "x") == (message, code)


def test_an_unknown_runtime_is_named() -> None:
    with pytest.raises(InvalidInput, match="unknown or invalid runtime name: kata"):
        find("kata")


def test_only_crun_gets_a_compiled_filter() -> None:
    spec = {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}, "annotations": {"a": "b"}}
    adapted = adapt(find("crun"), spec)
    assert adapted["annotations"].keys() == {"a", "run.oci.seccomp_bpf_data"}
    assert adapt(find("runc"), spec) == spec
    assert adapt(find("crun"), {"linux": {}}) == {"linux": {}}
