"""TLS over a plain connection, with a half close: close_notify ends one direction and the other goes on (RFC 8446 section 6.1).

asyncio's own TLS closes both directions when either ends, which cuts the output of `docker run -i` and `kubectl exec -i` off at
the end of their input.
"""

import asyncio
import contextlib
import ssl
from typing import Any, cast

RECORD = 16 << 10
"""The most plaintext one record holds."""
SLICE = 256 << 10
"""Plaintext that is encrypted before it is handed on."""


class Tls(asyncio.Protocol, asyncio.Transport):
    """One connection: the protocol of the socket's transport below, the transport of the protocol above.

    `above` hears of the connection when the handshake is done, `ready` (a client's) of its success or its error.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        above: asyncio.Protocol,
        *,
        server_name: str | None = None,
        ready: "asyncio.Future[None] | None" = None,
        handshake_seconds: float | None = None,
    ) -> None:
        super().__init__()
        self._above = above
        self._ready = ready
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, ready is None, server_name)
        self._handshake_seconds = handshake_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._below: asyncio.Transport | None = None
        self._established = False
        self._read_eof = False
        self._keep = False  # our half is still wanted when the other one has ended
        self._wrote_eof = False
        self._error: Exception | None = None

    # --- what the transport below calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast(asyncio.Transport, transport)
        if self._handshake_seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(self._handshake_seconds, self.abort)
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if not self._established:
            self._shake_hands()
        if self._established:
            self._decrypt()

    def eof_received(self) -> bool:
        """The other side's FIN; without a close_notify before, it is taken as one: what we carry knows where it ends."""
        if self._established:
            self._end_reading()
        return self._keep

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_timer()
        error = self._error or error
        if self._established:
            self._above.connection_lost(error)
        elif self._ready is not None and not self._ready.done():
            self._ready.set_exception(error or ConnectionResetError("the connection was closed during the TLS handshake"))

    def pause_writing(self) -> None:
        if self._established:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._established:
            self._above.resume_writing()

    # --- records

    @property
    def below(self) -> asyncio.Transport:
        assert self._below is not None, "the connection isn't made yet"
        return self._below

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._fail(error)
            return
        self._stop_timer()
        self._flush()
        self._established = True
        self._above.connection_made(self)
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _decrypt(self) -> None:
        """Hand on what has come. A record that is not whole yet stays within the TLS object."""
        try:
            while self._incoming.pending and not self._read_eof:
                data = self._object.read(RECORD)
                if data:
                    self._above.data_received(data)
                else:
                    self._end_reading()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._end_reading()
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()

    def _end_reading(self) -> None:
        if not self._read_eof:
            self._read_eof = True
            self._keep = bool(self._above.eof_received())
            if not self._keep:
                self.close()

    def _flush(self) -> None:
        if self._outgoing.pending and not self.below.is_closing():
            self.below.write(self._outgoing.read())

    def _fail(self, error: Exception) -> None:
        """Send the alert that says what is wrong, and close."""
        self._error = error
        self._flush()
        self.below.close()

    # --- what the protocol above calls

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._wrote_eof or self.below.is_closing():
            return
        rest = memoryview(data)
        while rest:
            rest = rest[self._object.write(rest[:SLICE]) :]
            self._flush()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Say that no more comes from us, in TLS and in TCP; reading goes on."""
        if not self._wrote_eof:
            self._notify_close()
            if not self.below.is_closing():
                self.below.write_eof()

    def _notify_close(self) -> None:
        """Queue the close_notify alert. The TLS object also looks for the other side's, which nobody has to have sent."""
        self._wrote_eof = True
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()
        self._flush()

    def close(self) -> None:
        if self._established and not self._wrote_eof:
            self._notify_close()
        self.below.close()

    def abort(self) -> None:
        self.below.abort()

    def is_closing(self) -> bool:
        return self.below.is_closing()

    def pause_reading(self) -> None:
        self.below.pause_reading()

    def resume_reading(self) -> None:
        self.below.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self.below.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._object if name == "ssl_object" else self.below.get_extra_info(name, default)
