"""Where a webhook is: a URL or a Service. Source: API reference "WebhookClientConfig"; k8s.io/apiserver util/webhook."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from podling.api.field import Cursor, FieldError
from podling.api.kind import Object
from podling.api.rules import present

_SHAPE = "; desired format: https://host[/path]"


def default(client: Object | None) -> None:
    service = (client or {}).get("service")
    if service is not None:
        service.setdefault("port", 443)


def validate(client: Cursor) -> Iterator[FieldError]:
    url, service = client / "url", client / "service"
    if (url.value is None) == (service.value is None):
        yield client.required("exactly one of url or service is required")
    elif url.value is not None:
        yield from _url(url)
    else:
        yield from _service(service)


def _url(url: Cursor) -> Iterator[FieldError]:
    try:
        parts = urlsplit(url.value)
    except ValueError as error:
        yield url.required(f"url must be a valid URL: {error}{_SHAPE}")
        return
    if parts.scheme != "https":
        yield url.invalid(f"'https' is the only allowed URL scheme{_SHAPE}", parts.scheme)
    if not parts.netloc:
        yield url.invalid(f"host must be specified{_SHAPE}", parts.netloc)
    if "@" in parts.netloc:
        yield url.invalid("user information is not permitted in the URL", parts.netloc.rpartition("@")[0])
    if parts.fragment:
        yield url.invalid("fragments are not permitted in the URL", parts.fragment)
    if parts.query:
        yield url.invalid("query parameters are not permitted in the URL", parts.query)


def _service(service: Cursor) -> Iterator[FieldError]:
    yield from present(service / "name", "service name is required")
    yield from present(service / "namespace", "service namespace is required")
    port, path = service.get("port", 443), service / "path"
    if not 1 <= port <= 65535:
        yield (service / "port").invalid("port is not valid: must be between 1 and 65535, inclusive")
    text = path.value
    if text is None or text == "/":
        return
    if not text.startswith("/"):
        yield path.invalid("must start with a '/'")
    elif "//" in text or not text.strip("/"):
        yield path.invalid("segment[0] may not be empty")
