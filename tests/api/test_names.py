import pytest

from podling.api import names

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
NAME_PART = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.mark.parametrize(
    ("check", "value", "complaints"),
    [
        (names.label, "my-name", []),
        (names.label, "My-name", [LABEL]),
        (names.label, "", [LABEL]),
        (names.label, "a\n", [LABEL]),
        (names.label, "a.b", ["must not contain dots"]),
        (names.label, "a" * 64, ["must be no more than 63 characters"]),
        (names.subdomain, "a.b-c.d", []),
        (names.subdomain, "a" * 254, ["must be no more than 253 characters"]),
        (names.qualified, "app", []),
        (names.qualified, "example.com/App_1", []),
        (names.qualified, "/app", ["prefix part must be non-empty"]),
        (names.qualified, "example.com/", ["name part must be non-empty", f"name part {NAME_PART}"]),
        (names.qualified, "a" * 64, ["name part must be no more than 63 bytes"]),
        (
            names.qualified,
            "a/b/c",
            [f"a valid label key {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"],
        ),
        (names.label_value, "", []),
        (names.label_value, "a" * 64, ["must be no more than 63 bytes"]),
        (names.config_key, "ca.crt", []),
        (names.config_key, "..", ["must not be '..'"]),
        (names.config_key, "..data", ["must not start with '..'"]),
        (names.env_name, "a b", []),
        (names.env_name, "", ["environment variable name must be non-empty"]),
        (
            names.env_name,
            "a=b",
            ["a valid environment variable name must consist only of printable ASCII characters other than '='"],
        ),
        (names.port_name, "http", []),
        (names.port_name, "-a--b", ["must not contain consecutive hyphens", "must not begin or end with a hyphen"]),
        (names.port_name, "80", ["must contain at least one letter (a-z)"]),
        (names.port_number, 0, ["must be between 1 and 65535, inclusive"]),
        (names.path_segment, "system:node", []),
        (names.path_segment, "a/b", ["may not contain '/'"]),
        (names.path_segment, "..", ["may not be '..'"]),
    ],
)
def test_names_are_refused_in_upstreams_words(check, value, complaints):
    assert check(value) == complaints


def test_a_generated_name_may_end_with_a_hyphen():
    assert names.prefix_of(names.subdomain)("web-") == []
    assert names.prefix_of(names.subdomain)("Web-") != []
