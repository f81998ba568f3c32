"""Links in HTML that passes the proxy. What is absolute on its server leads through the proxy again."""

import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from html import escape, unescape

HELD = 64 << 10  # bytes of an open tag that are waited for

_tags = re.compile(rb"""<[a-zA-Z](?:[^<>"']++|"[^"]*+"|'[^']*+')*+>""").sub
_attributes = re.compile(
    rb"""(?i)(?<=[\s"'])((?:action|background|cite|classid|codebase|data|formaction|href|icon|longdesc|manifest|poster|profile|src"""
    rb"""|usemap)\s*=\s*)(?:"([^"]*+)"|'([^']*+)')"""
).sub


class LinkRewriter:
    """`rewrite` says where a link leads now."""

    def __init__(self, rewrite: Callable[[str], str]) -> None:
        self.rewrite = rewrite

    async def stream(self, pieces: AsyncIterator[bytes], *, compressed: bool) -> AsyncIterator[bytes]:
        """The document, with its links rewritten, as it comes; what is `compressed` (gzip) leaves unpacked."""
        unpack = zlib.decompressobj(wbits=31) if compressed else None
        held = b""
        async for piece in pieces:
            for part in _unpacked(unpack, piece):
                held += part
                cut = held.rfind(b"<")
                if cut < 0 or len(held) - cut > HELD:
                    cut = len(held)
                yield self.html(held[:cut])
                held = held[cut:]
        yield self.html(held)

    def html(self, text: bytes) -> bytes:
        """Whole tags with their links rewritten."""
        return _tags(lambda tag: _attributes(self._attribute, tag[0]), text)

    def _attribute(self, found: re.Match[bytes]) -> bytes:
        before = found[2] if found[2] is not None else found[3]
        link = unescape(before.decode("utf-8", "surrogateescape"))
        after = self.rewrite(link)
        return found[0] if after == link else found[1] + b'"' + escape(after).encode("utf-8", "surrogateescape") + b'"'


def _unpacked(unpack: "zlib._Decompress | None", piece: bytes) -> Iterator[bytes]:
    """What a piece holds, a bounded part at a time."""
    while unpack is not None and piece:
        yield unpack.decompress(piece, HELD)
        piece = unpack.unconsumed_tail
    if unpack is None:
        yield piece
