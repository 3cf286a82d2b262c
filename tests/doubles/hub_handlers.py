"""The answers of the hub double: API, addresses of files, and the CDN that sends them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import socket
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from doubles.hub_faults import Fault

if TYPE_CHECKING:
    from doubles.hub import Hub, HubFile, HubRepo

PIECE_BYTES = 64 * 1024
CAPTIVE = b"<html><body><h1>Welcome to Hotel WiFi</h1>Please sign in.</body></html>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host_name = ""

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._note_and_answer("GET")

    def do_HEAD(self) -> None:
        self._note_and_answer("HEAD")

    def _note_and_answer(self, method: str) -> None:
        self.method = method
        with contextlib.suppress(OSError):
            self.answer(urlsplit(self.path).path, parse_qs(urlsplit(self.path).query))

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        raise NotImplementedError

    def note(self, status: int) -> None:
        from doubles.hub import Seen

        self.hub.note(
            Seen(
                self.host_name,
                self.method,
                self.path,
                self.headers.get("Range", ""),
                self.headers.get("Authorization", ""),
                status,
            )
        )

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.note(status)
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.method != "HEAD":
            self.wfile.write(body)

    def send_json(self, value: Any, headers: dict[str, str] | None = None) -> None:
        self.send(
            200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}
        )

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def fail(self, fault: Fault | None) -> bool:
        """Answer with a fault that needs no file; return whether one was sent."""
        if fault is None:
            return False
        if fault.kind == "rate_limit":
            self.send(429, b"slow down", {"Retry-After": fault.retry_after})
        elif fault.kind == "server_error":
            self.send(503, b"try later")
        elif fault.kind == "captive":
            self.send(200, CAPTIVE, {"Content-Type": "text/html"})
        elif fault.kind == "refuse":
            self.note(0)
            self.hang_up()
        elif fault.kind == "leak":
            self.send(302, b"", {"Location": f"{self.hub.foreign_url}/steal"})
        else:
            return False
        return True


class HubHandler(_Handler):
    """The hub itself."""

    host_name = "hub"

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        if self.fail(self.hub.faults.take("hub", path, 0)):
            return
        if path == "/api/models":
            self._search(query)
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)(/.*)?", path):
            self._tree(unquote(match[1]))
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+)?", path):
            self._info(unquote(match[1]))
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(unquote(match[1]), unquote(match[3]))
        elif path == "/api/whoami-v2":
            self._who()
        else:
            self.send(404, b"{}")

    def _who(self) -> None:
        if self._token() in self.hub.tokens:
            self.send_json({"type": "user", "name": "ada", "fullname": "Ada", "auth": {}})
        else:
            self.send(401, b'{"error":"Invalid user token."}')

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _search(self, query: dict[str, list[str]]) -> None:
        words = query.get("search", [""])[0].casefold().split()
        author = query.get("author", [""])[0].casefold()
        filters = [f for text in query.get("filter", []) for f in text.split(",")]
        found = [
            repo
            for repo in self.hub.repos.values()
            if all(word in repo.name.casefold() for word in words)
            and (not author or repo.name.casefold().startswith(f"{author}/"))
            and all(f in _tags(repo) for f in filters)
            and not repo.private
        ]
        keys = {
            "downloads": lambda r: r.downloads,
            "likes": lambda r: r.likes,
            "trendingScore": lambda r: r.trending,
            "createdAt": lambda r: r.created_at,
            "lastModified": lambda r: r.created_at,
        }
        sort = query.get("sort", ["trendingScore"])[0]
        found.sort(key=keys.get(sort, keys["trendingScore"]), reverse=True)
        limit = int(query.get("limit", ["1000"])[0])
        self.send_json([_describe(repo) for repo in found[:limit]])

    def _info(self, name: str) -> None:
        repo = self._repo(name)
        if repo is not None:
            self.send_json(_describe(repo, files=True))

    def _tree(self, name: str) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        items = [
            {
                "type": "file",
                "oid": file.sha256[:40],
                "size": file.size,
                "path": path,
                "lfs": {"oid": file.sha256, "size": file.size, "pointerSize": 135},
            }
            for path, file in repo.stored.items()
        ]
        card = {"type": "file", "oid": "a" * 40, "size": len(repo.card), "path": "README.md"}
        self.send_json([card, *items])

    def _resolve(self, name: str, path: str) -> None:
        repo = self._repo(name)
        if repo is None or not self._may_read(repo):
            return
        if path == "README.md":
            text = repo.card.encode()
            self.send(200, text, {"ETag": '"card"', "X-Repo-Commit": repo.commit})
            return
        file = repo.stored.get(path)
        if file is None:
            self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        fault = self.hub.faults.take("resolve", path, file.size)
        etag = "f" * 64 if fault is not None and fault.kind == "etag" else file.sha256
        self.send(
            302,
            b"",
            {
                "Location": self.hub.sign(file),
                "X-Repo-Commit": repo.commit,
                "X-Linked-Size": str(file.size),
                "X-Linked-ETag": f'"{etag}"',
                "ETag": f'"{etag}"',
                "Accept-Ranges": "bytes",
            },
        )

    def _repo(self, name: str) -> HubRepo | None:
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and self._token() not in repo.allowed):
            body = b'{"error":"Repository not found"}'
            self.send(
                404 if self._token() in self.hub.tokens else 401,
                body,
                {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"},
            )
            return None
        return repo

    def _may_read(self, repo: HubRepo) -> bool:
        token = self._token()
        if not repo.gated or token in repo.allowed:
            return True
        if token not in self.hub.tokens:
            text, status = f"Access to model {repo.name} is restricted. You must log in.", 401
        elif token in repo.refused:
            text, status = (
                f"Your request to access model {repo.name} has been rejected by the repo's"
                " authors.",
                403,
            )
        else:
            text, status = (
                f"Access to model {repo.name} is restricted and you are not in the authorized"
                f" list. Visit {self.hub.url}/{repo.name} to ask for access.",
                403,
            )
        self.send(status, text.encode(), {"X-Error-Code": "GatedRepo", "X-Error-Message": text})
        return False


class CdnHandler(_Handler):
    """The second host, which sends the bytes."""

    host_name = "cdn"

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        file = self.hub.signed(query.get("Signature", [""])[0])
        start, end = _range(self.headers.get("Range", ""), file.size if file else 0)
        fault = self.hub.faults.take("cdn", path, end - start)
        if file is None or (fault is not None and fault.kind == "expired"):
            self.send(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        if self.fail(fault):
            return
        if start >= file.size > 0:
            self.send(416, b"", {"Content-Range": f"bytes */{file.size}"})
            return
        kind = fault.kind if fault else ""
        partial = bool(self.headers.get("Range")) and kind != "whole"
        if not partial:
            start, end = 0, file.size
        self._head(file, start, end, partial=partial, kind=kind)
        if self.method != "HEAD":
            self._body(file, start, end, fault)

    def _head(self, file: HubFile, start: int, end: int, *, partial: bool, kind: str) -> None:
        self.note(206 if partial else 200)
        self.send_response(206 if partial else 200)
        length = end - start
        if kind == "short":
            length = max(1, length // 2)
        if partial:
            shift = 4096 if kind == "wrong_range" else 0
            self.send_header(
                "Content-Range", f"bytes {start + shift}-{end - 1 + shift}/{file.size}"
            )
        if self.hub.sends_digests and file.content is not None:
            digest = hashlib.sha256(_read(file.content, start, end - start)).digest()
            self.send_header("Content-Digest", f"sha-256=:{base64.b64encode(digest).decode()}:")
        self.send_header("Content-Length", str(length))
        self.send_header("Content-Type", "application/octet-stream")
        etag = "e" * 64 if kind == "etag" else file.sha256
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def _body(self, file: HubFile, start: int, end: int, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        after = start + min(fault.after, end - start) if fault else end
        content = file.content
        assert content is not None, "this file is listed only"
        if kind in ("cut", "stall"):
            self._copy(content, start, after)
            if kind == "stall":
                self.hub.released.wait(60)
            self.hang_up()
        elif kind == "slow" and fault is not None:
            for place in range(start, end, max(1, fault.rate // 10)):
                if self.hub.released.is_set():
                    return
                self.wfile.write(_read(content, place, min(fault.rate // 10, end - place)))
                time.sleep(0.1)
        elif kind == "flip":
            place = min(after, end - 1)
            self._copy(content, start, place)
            self.wfile.write(bytes([_read(content, place, 1)[0] ^ 0x10]))
            self._copy(content, place + 1, end)
        elif kind == "short":
            self._copy(content, start, start + max(1, (end - start) // 2))
        else:
            self._copy(content, start, end)

    def _copy(self, content: bytes | Path, start: int, end: int) -> None:
        if isinstance(content, bytes):
            self.wfile.write(content[start:end])
            return
        with content.open("rb") as file:
            while start < end:
                sent = os.sendfile(self.connection.fileno(), file.fileno(), start, end - start)
                if sent == 0:
                    return
                start += sent


class ForeignHandler(_Handler):
    """A host that should never see a token."""

    host_name = "foreign"

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        self.send(404, b"nothing here")


def _read(content: bytes | Path, start: int, count: int) -> bytes:
    if isinstance(content, bytes):
        return content[start : start + count]
    with content.open("rb") as file:
        return os.pread(file.fileno(), count, start)


def _range(text: str, size: int) -> tuple[int, int]:
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", text)
    if match is None:
        return 0, size
    end = int(match[2]) + 1 if match[2] else size
    return int(match[1]), min(end, size)


def _tags(repo: HubRepo) -> list[str]:
    base = [f"base_model:{repo.base_model}"] if repo.base_model else []
    return [*repo.tags, repo.task, f"license:{repo.license}", *base]


def _describe(repo: HubRepo, *, files: bool = False) -> dict[str, Any]:
    value: dict[str, Any] = {
        "_id": hashlib.sha256(repo.name.encode()).hexdigest()[:24],
        "id": repo.name,
        "modelId": repo.name,
        "author": repo.name.partition("/")[0],
        "sha": repo.commit,
        "private": repo.private,
        "gated": repo.gated or False,
        "disabled": False,
        "downloads": repo.downloads,
        "likes": repo.likes,
        "trendingScore": repo.trending,
        "createdAt": repo.created_at,
        "lastModified": repo.created_at,
        "pipeline_tag": repo.task,
        "tags": _tags(repo),
        "cardData": {"license": repo.license, "base_model": repo.base_model or None},
        "gguf": {
            "total": repo.parameters,
            "architecture": repo.architecture,
            "context_length": repo.context,
        },
    }
    if files:
        value["siblings"] = [{"rfilename": path} for path in repo.stored]
    return value
