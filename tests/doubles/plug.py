"""A smart plug on 127.0.0.1 that answers as Shelly and Tasmota do, or not as it should."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

from freehold.power.plugs import PATHS, Kind


class PlugServer:
    """Attributes: watts, joules: what it says; garbage: what it says instead, when set."""

    def __init__(self, kind: Kind, watts: Callable[[], float] = lambda: 200.0) -> None:
        self.kind = kind
        self.watts = watts
        self.joules = 0.0
        self.garbage: bytes | None = None
        plug = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = plug.answer(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("content-length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="plug"
        )

    @property
    def host(self) -> str:
        """Return what a person types in."""
        return f"127.0.0.1:{self._server.server_port}"

    def answer(self, path: str) -> bytes | None:
        """Return the body for a path, None for one this plug does not know."""
        if self.garbage is not None:
            return self.garbage
        if urlsplit(path).path != urlsplit(PATHS[self.kind]).path:
            return None
        watts, joules = self.watts(), self.joules
        said = {
            "shelly-2": {"id": 0, "apower": watts, "aenergy": {"total": joules / 3600}},
            "shelly-1": {"meters": [{"power": watts, "total": joules // 60}]},
            "tasmota": {"StatusSNS": {"ENERGY": {"Power": watts, "Total": joules / 3.6e6}}},
        }
        return json.dumps(said[self.kind]).encode()

    def close(self) -> None:
        """Close the socket of a plug that was never entered."""
        self._server.server_close()

    def __enter__(self) -> PlugServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
