"""gzip for large answers to clients that take it."""

import asyncio
import gzip

from podling.aio.http import Request, Response

THRESHOLD = 128 << 10  # bytes, as upstream
LEVEL = 1


async def gzipped(response: Response, request: Request) -> Response:
    """The response, compressed in a thread where it is worth it."""
    body = response.body
    if not isinstance(body, bytes) or len(body) < THRESHOLD or not request.headers.has("accept-encoding", "gzip"):
        return response
    packed = await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)
    return Response(response.status, packed, [*response.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")])
