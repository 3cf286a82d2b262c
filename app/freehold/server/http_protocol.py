"""uvicorn's HTTP/1.1 protocol with bounds on the time and size of a request's head.

uvicorn itself waits for ever for the end of the headers and keeps whatever arrives.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from freehold.server.gate import ABORT, ABSOLUTE_FORM, MAX_HEADER_BYTES

HEAD_LIMIT_S = 15.0
_SLACK_BYTES = 16_384  # request line, and the separators that the gate does not count


class BoundedProtocol(HttpToolsProtocol):
    """One connection; closed when a request's head is not there in time or too large."""

    head_limit_s = HEAD_LIMIT_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._head_open = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the head's bytes, then parse."""
        if self.transport.is_closing():
            return
        if self._head_open:
            self._head_bytes += len(data)
            head_end = data.find(b"\r\n\r\n")
            counted = self._head_bytes - (len(data) - head_end if head_end >= 0 else 0)
            if counted > MAX_HEADER_BYTES + _SLACK_BYTES:
                self._refuse(431, "The request's headers are too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin to time a request's head."""
        super().on_message_begin()
        if self._head_timer is None:
            self._arm()
        self._head_open = True

    def on_headers_complete(self) -> None:
        """Note the form of the target, which uvicorn drops, and stop the clock."""
        self._disarm()
        self._head_open, self._head_bytes = False, 0
        extensions: dict[str, Any] = {ABORT: self.transport.abort}
        if not self.url.startswith(b"/"):
            extensions[ABSOLUTE_FORM] = True
        self.scope["extensions"] = extensions
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP request, in the shape of every other error."""
        self._refuse(400, "This is not a valid HTTP request.")

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: an upgrade is simply not taken."""

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(self.head_limit_s, self._on_time_over)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_time_over(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self._refuse(408, "The request did not arrive in time.")

    def _refuse(self, status: int, message: str) -> None:
        body = json.dumps(
            {
                "error": {
                    "message": message,
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "invalid_request",
                }
            }
        ).encode()
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()
