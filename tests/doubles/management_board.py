"""A server's management board on 127.0.0.1 over HTTPS, sound or not; and an `ipmitool`."""

from __future__ import annotations

import base64
import datetime
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "reader", "s3cret board"


def write_certificate(folder: Path, name: str = "board.test") -> Path:
    """Write a certificate that nobody signed, with its key, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


class ManagementBoard:
    """Attributes: watts: what it says; garbage: what it says instead, when set; hold: an event
    that answers wait for; is_old: tells power where older boards do; requests, passwords: seen."""

    def __init__(self, certificate: Path, watts: Callable[[], float] = lambda: 431.0) -> None:
        self.watts = watts
        self.garbage: bytes | None = None
        self.hold: threading.Event | None = None
        self.is_old = False
        self.has_power = True
        self.requests: list[str] = []
        self.passwords: list[str] = []
        board = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = board.answer(self.path, self.headers.get("authorization", ""))
                try:
                    self.send_response(status)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    return  # the caller did not wait

            def log_message(self, *_arguments: object) -> None:
                return

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="board"
        )

    @property
    def host(self) -> str:
        """Return what a person types in."""
        return f"127.0.0.1:{self._server.server_port}"

    def answer(self, path: str, authorization: str) -> tuple[int, bytes]:
        """Return status and body for a path."""
        self.requests.append(path)
        if authorization.startswith("Basic "):
            self.passwords.append(base64.b64decode(authorization[6:]).decode())
        if self.hold is not None:
            self.hold.wait(20)
        if self.garbage is not None:
            return 200, self.garbage
        if f"{USER}:{PASSWORD}" != (self.passwords[-1] if authorization else ""):
            return 401, b"{}"
        chassis = "/redfish/v1/Chassis"
        answers: dict[str, object] = {
            chassis: {"Members": [{"@odata.id": f"{chassis}/Rack"}, {"@odata.id": f"{chassis}/1"}]}
        }
        if self.has_power and self.is_old:
            power = [{"PowerConsumedWatts": self.watts()}]
            answers[f"{chassis}/1/Power"] = {"PowerControl": power}
        elif self.has_power:
            answers[f"{chassis}/1/EnvironmentMetrics"] = {"PowerWatts": {"Reading": self.watts()}}
        found = answers.get(path)
        return (404, b"{}") if found is None else (200, json.dumps(found).encode())

    def __enter__(self) -> ManagementBoard:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self.hold is not None:
            self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of callers that refuse the certificate."""


def write_ipmitool(folder: Path, says: str, status: int = 0, wait_s: float = 0) -> Path:
    """Write a program that answers as `ipmitool dcmi power reading` does."""
    path = folder / "ipmitool"
    lines = [
        "#!/bin/sh",
        '[ "$*" = "dcmi power reading" ] || exit 9',
        f"exec sleep {wait_s}" if wait_s else "",
        f"cat <<'END'\n{says}\nEND",
        f"exit {status}",
    ]
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o700)
    return path


IPMI_ANSWER = """
    Instantaneous power reading:                   220 Watts
    Minimum during sampling period:                 18 Watts
    Maximum during sampling period:                512 Watts
    Average power reading over sample period:      214 Watts
    IPMI timestamp:                           Tue Nov 24 09:00:00 2026
    Sampling period:                          00000001 Seconds.
    Power reading state is:                   activated
"""
