"""Where a proxied request goes, and where the links of its answer lead."""

from typing import Any

import pytest

from podling.api.status import ApiError
from podling.apiserver import locations
from podling.apiserver.links import LinkRewriter
from podling.apiserver.locations import Location, Wanted

Object = dict[str, Any]
POD: Object = {
    "spec": {"containers": [{"name": "a"}, {"name": "b", "ports": [{"containerPort": 8080}]}]},
    "status": {"podIP": "10.0.0.5"},
}
SERVICE: Object = {"spec": {"ports": [{"name": "web", "port": 80}, {"name": "more", "port": 81}]}}
PODS_BEHIND = [
    {"ip": "10.0.0.5", "targetRef": {"kind": "Pod"}},
    {"ip": "10.0.0.6", "targetRef": {"kind": "Pod"}},
    {"ip": "10.0.0.9"},
]
ENDPOINTS: Object = {"subsets": [{"addresses": PODS_BEHIND, "ports": [{"name": "web", "port": 8080}]}]}
NODE: Object = {
    "metadata": {"name": "n"},
    "status": {
        "addresses": [{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "192.0.2.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
    },
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("web", Wanted("", "web", "")), ("web:80", Wanted("", "web", "80")), ("https:web:x", Wanted("https", "web", "x")),
     ("https:web:", Wanted("https", "web", ""))],
)  # fmt: skip
def test_split(text: str, wanted: Wanted) -> None:
    assert locations.split(text, "pod") == wanted


@pytest.mark.parametrize("text", ["", ":80", "ftp:web:80", "a:b:c:d"])
def test_split_refuses(text: str) -> None:
    with pytest.raises(ApiError, match=f'invalid service request "{text}"'):
        locations.split(text, "service")


@pytest.mark.parametrize(
    ("text", "url"),
    [("p", "http://10.0.0.5:8080"), ("p:9", "http://10.0.0.5:9"), ("https:p:", "https://10.0.0.5:8080")],
)
def test_of_pod(text: str, url: str) -> None:
    assert locations.of_pod(locations.split(text, "pod"), POD).url == url


@pytest.mark.parametrize("address", ["", "127.0.0.1", "169.254.169.254", "::1", "0.0.0.0", "nonsense"])
def test_the_servers_own_machine_is_nobodys_pod(address: str) -> None:
    with pytest.raises(ApiError, match="address not allowed"):
        locations.of_pod(Wanted("", "p", ""), {**POD, "status": {"podIP": address}})


@pytest.mark.parametrize(("text", "turn", "url"), [
    ("s:web", 0, "http://10.0.0.5:8080"), ("s:80", 1, "http://10.0.0.6:8080"), ("https:s:web", 0, "https://10.0.0.5:8080"),
])  # fmt: skip
def test_of_service(text: str, turn: int, url: str) -> None:
    found = locations.of_service(locations.split(text, "service"), SERVICE, [ENDPOINTS], lambda count: turn % count)
    assert found.url == url


@pytest.mark.parametrize(("text", "message"), [
    ("s:82", 'no service port 82 found for service "s"'),
    ("s:more", 'no endpoints available for service "s"'),
    ("s", 'no endpoints available for service "s"'),
])  # fmt: skip
def test_of_service_without(text: str, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        locations.of_service(locations.split(text, "service"), SERVICE, [ENDPOINTS], lambda _: 0)
    assert (refused.value.code, refused.value.message) == (503, message)


def test_of_node() -> None:
    assert locations.of_node(Wanted("", "n", ""), NODE) == Location("https", "192.0.2.1", 10250, agent=True)
    assert locations.of_node(Wanted("", "n", "10250"), NODE).agent
    assert locations.of_node(Wanted("", "n", "9100"), NODE) == Location("http", "192.0.2.1", 9100)


PREFIX = "/api/v1/namespaces/default/pods/p/proxy"
HOSTS = ("10.0.0.5:8080", "api:6443")


@pytest.mark.parametrize(("link", "leads"), [
    ("/a/b/", f"{PREFIX}/a/b/"),
    ("/", f"{PREFIX}/"),
    ("a/b", "a/b"),
    ("../b", "../b"),
    ("?a=/b", "?a=/b"),
    ("#x", "#x"),
    ("http://elsewhere/a", "http://elsewhere/a"),
    ("//elsewhere/a", "//elsewhere/a"),
    ("http://10.0.0.5:8080/a?b=c", f"{PREFIX}/a?b=c"),
    ("https://api:6443/a", f"{PREFIX}/a"),
    (f"{PREFIX}/a", f"{PREFIX}/a"),
    ("mailto:someone", "mailto:someone"),
])  # fmt: skip
def test_links(link: str, leads: str) -> None:
    assert locations.rewritten(link, PREFIX, HOSTS) == leads


@pytest.mark.parametrize(("html", "shown"), [
    ('<a href="/x">/x</a>', '<a href="/P/x">/x</a>'),
    ("<img alt='a > b' src='/x?a=1&amp;b=2'>", "<img alt='a > b' src=\"/P/x?a=1&amp;b=2\">"),
    ('<form action="/x" data-href="/y">', '<form action="/P/x" data-href="/y">'),
    ("<script>location.href='/x'</script>", "<script>location.href='/x'</script>"),
    ('<a href="x">href="/y"</a>', '<a href="x">href="/y"</a>'),
    ("a < b and <broken href='/x", "a < b and <broken href='/x"),
])  # fmt: skip
async def test_documents(html: str, shown: str) -> None:
    rewriter = LinkRewriter(lambda link: f"/P{link}" if link.startswith("/") else link)
    assert rewriter.html(html.encode()).decode() == shown
    pieces = [html[n : n + 3].encode() for n in range(0, len(html), 3)]

    async def arriving():
        for piece in pieces:
            yield piece

    assert b"".join([part async for part in rewriter.stream(arriving(), compressed=False)]).decode() == shown
