"""Names of images: `[domain/]path[:tag][@digest]`, with Docker's familiar short forms and error texts.

Source: the grammar of distribution's reference package, and OCI distribution-spec, "Pulling manifests".
"""

import re
from dataclasses import dataclass, replace
from typing import Self

from podling.base.errors import InvalidInput
from podling.oci import digest as digests

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_LEGACY_DOMAIN = "index.docker.io"
_NAME_LIMIT = 255

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"({_DOMAIN})/({_COMPONENT}(?:/{_COMPONENT})*)(?::({_TAG}))?(?:@({_DIGEST}))?")
_TAG_ONLY = re.compile(_TAG)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """One parsed reference, normalised: `domain` and `path` are always present, `tag` and `digest` may be empty."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The repository in full: `docker.io/library/busybox`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as Docker prints it: `busybox`. In full where the short form would be read as something else."""
        first, slash, _ = self.path.partition("/")
        if self.domain != DEFAULT_DOMAIN or (slash and _is_domain(first)):
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short or _IDENTIFIER.fullmatch(short) else short

    @property
    def familiar(self) -> str:
        """The whole reference as Docker prints it: `busybox:latest`."""
        return self.familiar_name + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix()

    def tagged(self) -> Self:
        """With the tag `latest` where neither tag nor digest is given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_tag(self, tag: str) -> Self:
        """The same repository with `tag`, without a digest."""
        if not _TAG_ONLY.fullmatch(tag):
            raise InvalidInput("invalid tag format")
        return replace(self, tag=tag, digest="")

    def with_digest(self, digest: str) -> Self:
        """The same repository by `digest`, without a tag."""
        digests.parse(digest)
        return replace(self, tag="", digest=digest)


def parse(text: str) -> Reference:
    """Parse and normalise what a person typed. Raises InvalidInput with Docker's words."""
    if _IDENTIFIER.fullmatch(text):
        raise InvalidInput(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, remainder = _split_domain(text)
    path = remainder.partition("@")[0].partition(":")[0]
    if path.lower() != path:
        raise InvalidInput(f"invalid reference format: repository name ({path}) must be lowercase")
    match = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if match is None:
        raise InvalidInput("invalid reference format")
    domain, path, tag, digest = match.groups(default="")
    if len(path) > _NAME_LIMIT:
        raise InvalidInput(f"repository name must not be more than {_NAME_LIMIT} characters")
    if digest:
        digests.parse(digest)
    return Reference(domain, path, tag, digest)


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash or not _is_domain(first):
        domain, rest = DEFAULT_DOMAIN, text
    else:
        domain = DEFAULT_DOMAIN if first == _LEGACY_DOMAIN else first
    if domain == DEFAULT_DOMAIN and "/" not in rest:
        rest = _OFFICIAL + rest
    return domain, rest


def _is_domain(first: str) -> bool:
    """Whether what stands before the first slash is a registry rather than a part of a path on Docker Hub."""
    return bool(set(first) & {".", ":"}) or first == "localhost" or first.lower() != first
