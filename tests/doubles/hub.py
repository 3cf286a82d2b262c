"""A model hub on 127.0.0.1 that the real `huggingface_hub` client talks to, and its CDN.

    with running_hub() as hub:
        hub.add(HubRepo("ada/tiny-GGUF", files={"tiny-Q4_K_M.gguf": data}))
        monkeypatch.setenv("HF_ENDPOINT", hub.url)

Files are bytes, a path (sent by sendfile) or a size alone (listed, never sent). Each download is
redirected to a second host, as the hub does, with an address that is valid until `expire_urls`.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path

from doubles.hub_faults import Faults
from doubles.hub_handlers import CdnHandler, ForeignHandler, HubHandler

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository; `content` is its bytes, where they lie, or None for a size alone."""

    size: int
    sha256: str
    content: bytes | Path | None

    @classmethod
    def of(cls, content: bytes | Path | int) -> HubFile:
        if isinstance(content, int):
            return cls(content, hashlib.sha256(str(content).encode()).hexdigest(), None)
        if isinstance(content, Path):
            with content.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(content.stat().st_size, digest, content)
        return cls(len(content), hashlib.sha256(content).hexdigest(), content)


@dataclass(slots=True)
class HubRepo:
    """A repository of the hub.

    gated: "" or "auto" or "manual"; allowed: the tokens that may read a gated or private one;
    refused: tokens whose request was rejected.
    """

    name: str
    files: Mapping[str, bytes | Path | int] = field(default_factory=dict)
    card: str = "# A model\n\nMade for tests."
    license: str = "apache-2.0"
    base_model: str = ""
    task: str = "text-generation"
    tags: tuple[str, ...] = ("gguf",)
    downloads: int = 1000
    likes: int = 10
    trending: int = 0
    created_at: str = "2026-01-01T00:00:00.000Z"
    architecture: str = "llama"
    context: int = 8192
    parameters: int = 0
    gated: str = ""
    private: bool = False
    allowed: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    commit: str = COMMIT
    stored: dict[str, HubFile] = field(default_factory=dict)

    def load(self) -> None:
        self.stored = {path: HubFile.of(content) for path, content in self.files.items()}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request the double answered."""

    host: str
    method: str
    path: str
    range: str
    authorization: str
    status: int


class Hub:
    """The hub, its CDN and a foreign host, each a threaded server on its own port."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.repos: dict[str, HubRepo] = {}
        self.requests: list[Seen] = []
        self.tokens: set[str] = {"hf_good"}
        self.sends_digests = False
        self._guard = threading.Lock()
        self._signatures: dict[str, HubFile] = {}
        self._numbers = itertools.count(1)
        self.released = threading.Event()
        self.hub_server = _Server(HubHandler, self)
        self.cdn_server = _Server(CdnHandler, self)
        self.foreign_server = _Server(ForeignHandler, self)

    @property
    def url(self) -> str:
        return self.hub_server.url

    @property
    def cdn_url(self) -> str:
        return self.cdn_server.url

    @property
    def foreign_url(self) -> str:
        return self.foreign_server.url

    def add(self, repo: HubRepo) -> HubRepo:
        """Put a repository on the hub, in place of one of that name."""
        repo.load()
        self.repos[repo.name] = repo
        return repo

    def sign(self, file: HubFile) -> str:
        """Return an address of the CDN for a file."""
        with self._guard:
            key = f"{next(self._numbers):06d}"
            self._signatures[key] = file
        return f"{self.cdn_url}/blobs/{file.sha256}?Signature={key}"

    def signed(self, key: str) -> HubFile | None:
        with self._guard:
            return self._signatures.get(key)

    def expire_urls(self) -> None:
        """Make every address given so far invalid."""
        with self._guard:
            self._signatures.clear()

    def note(self, seen: Seen) -> None:
        with self._guard:
            self.requests.append(seen)

    def seen(self, host: str = "", method: str = "") -> list[Seen]:
        """Return the requests of a host and method so far."""
        with self._guard:
            return [s for s in self.requests if host in ("", s.host) and method in ("", s.method)]

    def start(self) -> None:
        for server in (self.hub_server, self.cdn_server, self.foreign_server):
            server.start()

    def stop(self) -> None:
        self.released.set()
        for server in (self.hub_server, self.cdn_server, self.foreign_server):
            server.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 64
    allow_reuse_address = True

    def __init__(self, handler: type, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.hub = hub
        self._open: set[socket.socket] = set()
        self._open_guard = threading.Lock()
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._open_guard:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: object) -> None:
        with self._open_guard:
            self._open.discard(request)  # type: ignore[arg-type]
        super().shutdown_request(request)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error here."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        with self._open_guard:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self._thread.join(5)


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    """Run a hub for the length of a `with` block."""
    hub = Hub()
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


def main() -> None:
    """Serve the repositories described on the standard input until it ends; for other processes.

    One JSON document: {"repos": [{"name": …, "files": {path: file on disk}}], "faults": [{…}]}.
    The first line printed is the hub's address; each later line of input is a fault to add.
    """
    import sys

    description = json.loads(sys.stdin.readline())
    with running_hub() as hub:
        for repo in description["repos"]:
            files = {path: Path(place) for path, place in repo["files"].items()}
            hub.add(HubRepo(repo["name"], files))
        print(hub.url, flush=True)  # noqa: T201
        for line in sys.stdin:
            hub.faults.add(**json.loads(line))


if __name__ == "__main__":
    main()
