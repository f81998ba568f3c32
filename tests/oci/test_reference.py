import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.base.errors import InvalidInput
from podling.oci import reference
from podling.oci.reference import Reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.35", "docker.io/library/busybox:1.35", "busybox:1.35"),
        ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox", "busybox"),
        ("user/app", "docker.io/user/app", "user/app"),
        ("docker.io/user/app", "docker.io/user/app", "user/app"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("quay.io/a/b/c", "quay.io/a/b/c", "quay.io/a/b/c"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        ("Upper/app", "Upper/app", "Upper/app"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox:1@{DIGEST}", f"busybox:1@{DIGEST}"),
        ("a__b/c-d.e", "docker.io/a__b/c-d.e", "a__b/c-d.e"),
    ],
)
def test_what_people_write(text: str, full: str, familiar: str) -> None:
    parsed = reference.parse(text)
    assert (str(parsed), parsed.familiar) == (full, familiar)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("busybox:", "invalid reference format"),
        ("busybox:-x", "invalid reference format"),
        ("-busybox", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a/../b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("busybox\n", "invalid reference format"),
        ("busybox:" + "x" * 129, "invalid reference format"),
        ("https://example.com/app", "invalid reference format"),
        ("BusyBox", "invalid reference format: repository name (library/BusyBox) must be lowercase"),
        ("quay.io/App:x", "invalid reference format: repository name (App) must be lowercase"),
        ("a" * 64, f"invalid repository name ({'a' * 64}), cannot specify 64-byte hexadecimal strings"),
        ("x/" + "a" * 256, "repository name must not be more than 255 characters"),
        ("busybox@sha256:" + "a" * 63, "invalid checksum digest length"),
        ("busybox@md5:" + "a" * 32, "unsupported digest algorithm"),
    ],
)
def test_what_is_wrong_is_said_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        reference.parse(text)
    assert error.value.message == message


component = st.from_regex(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*", fullmatch=True).filter(lambda text: len(text) < 40)
domain = st.one_of(
    st.just("docker.io"),
    st.just("localhost"),
    st.from_regex(r"[a-z0-9]{1,9}\.[a-z]{2,5}(?::[0-9]{1,5})?", fullmatch=True),
    st.from_regex(r"[a-z0-9]{1,9}:[0-9]{1,5}", fullmatch=True),
)
tag = st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True))
digest = st.one_of(st.just(""), st.from_regex(r"sha256:[a-f0-9]{64}", fullmatch=True))


@given(domain, st.lists(component, min_size=1, max_size=4), tag, digest)
def test_each_name_of_the_grammar_comes_back_as_it_went_in(host: str, parts: list[str], label: str, hashed: str) -> None:
    path = "/".join(parts)
    made = Reference(host, path if "/" in path or host != "docker.io" else f"library/{path}", label, hashed)
    assert reference.parse(str(made)) == made
    assert reference.parse(made.familiar) == made


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parsed = reference.parse(text)
    except InvalidInput:
        return
    assert reference.parse(str(parsed)) == parsed


def test_tags_and_digests_are_changed() -> None:
    name = reference.parse("busybox")
    assert name.tagged().tag == "latest"
    assert reference.parse(f"busybox@{DIGEST}").tagged().tag == ""
    assert name.with_tag("x").familiar == "busybox:x"
    assert name.tagged().with_digest(DIGEST).familiar == f"busybox@{DIGEST}"
    with pytest.raises(InvalidInput, match="invalid tag format"):
        name.with_tag("a b")
