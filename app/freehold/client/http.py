"""`Client` over HTTP: msgspec values, one connection pool, no proxies, no redirects.

Before the key is sent the first time, the server has to prove that it knows it. A call that can
be repeated without harm is repeated once when the line breaks.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from hashlib import sha256
from typing import Any, Final, Literal, TypeVar

import httpx
import msgspec

from freehold.client.costs import HttpCosts
from freehold.client.files import HttpFiles
from freehold.client.http_documents import HttpDocuments
from freehold.client.http_library import LibraryCalls, path_part
from freehold.client.machine import HttpMachine
from freehold.client.sse import SseParser
from freehold.errors import AppError
from freehold.wire import (
    Chat,
    ChatSummary,
    Envelope,
    Hello,
    LoadRequest,
    Message,
    ModelEntry,
    SearchHit,
    Sent,
    Settings,
    State,
)

PREFIX: Final = "/freehold/v1"
CONNECT_S: Final = 5.0
ANSWER_S: Final = 120.0
# The server says something at least every 15 s.
SILENCE_S: Final = 45.0

T = TypeVar("T")


class HttpClient(LibraryCalls):
    """A server at `base_url`, local or remote."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._silence_s = silence_s
        self._proven = False
        self._proving = asyncio.Lock()
        self._http = httpx.AsyncClient(
            base_url=self._base_url,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=8),
        )
        self.costs = HttpCosts(self._call, self._value)
        self.documents = HttpDocuments(self._call, self._value)
        self.files = HttpFiles(self._call, self._value)
        self.machine = HttpMachine(self._call, self._value)

    @property
    def base_url(self) -> str:
        """Return the server's address."""
        return self._base_url

    async def hello(self) -> Hello:
        """Return who answers; proves that the server knows the key before it is sent.

        Raises: AppError `unauthorized` when something else answers at this address.
        """
        nonce = secrets.token_hex(32)
        try:
            response = await self._http.get(f"{PREFIX}/hello", params={"nonce": nonce})
        except httpx.HTTPError as error:
            raise unreachable(self._base_url, error) from error
        hello = self._value(response, Hello)
        wanted = hmac.new(self._key.encode(), nonce.encode(), sha256).hexdigest()
        if not hmac.compare_digest(hello.proof.encode(), wanted.encode()):
            self._proven = False
            raise AppError(
                "unauthorized",
                f"What answers at {self._base_url} does not know your key.",
                "Check the address and the key; another program or user may hold this port.",
                detail={"base_url": self._base_url},
            )
        self._proven = True
        return hello

    async def state(self) -> State:
        """Return the snapshot and the place in the event stream it belongs to."""
        return await self._get("/state", State)

    async def events(self, after: int) -> AsyncIterator[Envelope]:
        """Yield events after `after`; raises `server_unreachable` when the line breaks."""
        await self._prove()
        parser = SseParser()
        decode = msgspec.json.Decoder(Envelope).decode
        timeout = httpx.Timeout(self._silence_s, connect=CONNECT_S)
        try:
            async with self._http.stream(
                "GET",
                f"{PREFIX}/events",
                params={"after": after},
                headers=self._headers(),
                timeout=timeout,
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise self._failure(response)
                async for chunk in response.aiter_raw():
                    for event in parser.feed(chunk):
                        try:
                            envelope = decode(event.data)
                        except msgspec.ValidationError:
                            # A newer server's event; the gap makes the reader read the state.
                            continue
                        yield envelope
        except httpx.HTTPError as error:
            self._proven = False
            raise unreachable(self._base_url, error) from error
        except (ValueError, msgspec.DecodeError) as error:
            raise _not_understood(self._base_url, str(error)) from error
        self._proven = False
        raise unreachable(self._base_url, None)

    # --- models ------------------------------------------------------------------------------

    async def import_model(self, path: str) -> ModelEntry:
        """Add the GGUF file at `path` on the server's machine, in place."""
        return await self._post("/models/import", ModelEntry, {"path": path})

    async def remove_model(self, ref: str, *, delete_files: bool = False) -> int:
        """Forget a model; return the bytes freed (0 when its files stay)."""
        body = {"ref": ref, "delete_files": delete_files}
        return (await self._post("/models/remove", dict[str, int], body))["freed_bytes"]

    async def load_model(self, ref: str, request: LoadRequest | None = None) -> None:
        """Begin to load a model; progress and the outcome arrive as `EngineChanged`."""
        await self._call("POST", "/models/load", {"ref": ref, "request": request})

    async def unload_model(self, ref: str) -> None:
        """End a model's engine process."""
        await self._call("POST", "/models/unload", {"ref": ref}, repeat=True)

    # --- chats -------------------------------------------------------------------------------

    async def chats(self, *, trashed: bool = False) -> tuple[ChatSummary, ...]:
        """Return all chats, last changed first."""
        params = {"trashed": "true" if trashed else "false"}
        return await self._get("/chats", tuple[ChatSummary, ...], params)

    async def create_chat(self, *, model_ref: str = "", title: str = "") -> Chat:
        """Make an empty chat."""
        return await self._post("/chats", Chat, {"model_ref": model_ref, "title": title})

    async def chat(
        self, chat_id: str, *, limit: int | None = None, before: str | None = None
    ) -> Chat:
        """Return a chat with the last `limit` messages of its active branch before `before`."""
        params: dict[str, str] = {}
        if limit is not None:
            params["limit"] = str(limit)
        if before is not None:
            params["before"] = before
        return await self._get(f"/chats/{path_part(chat_id)}", Chat, params)

    async def update_chat(
        self,
        chat_id: str,
        *,
        title: str | None = None,
        model_ref: str | None = None,
        system_prompt: str | None = None,
        pinned: bool | None = None,
        sampling: dict[str, object] | None = None,
    ) -> ChatSummary:
        """Change what is given."""
        given = {
            "title": title,
            "model_ref": model_ref,
            "system_prompt": system_prompt,
            "pinned": pinned,
            "sampling": sampling,
        }
        body = {name: value for name, value in given.items() if value is not None}
        response = await self._call("PATCH", f"/chats/{path_part(chat_id)}", body, repeat=True)
        return self._value(response, ChatSummary)

    async def save_draft(self, chat_id: str, text: str) -> None:
        """Keep what is typed but not sent."""
        await self._call("PUT", f"/chats/{path_part(chat_id)}/draft", {"text": text}, repeat=True)

    async def trash_chat(self, chat_id: str) -> None:
        """Move a chat to the trash, where it stays 30 days."""
        await self._call("POST", f"/chats/{path_part(chat_id)}/trash", repeat=True)

    async def restore_chat(self, chat_id: str) -> None:
        """Take a chat out of the trash."""
        await self._call("POST", f"/chats/{path_part(chat_id)}/restore", repeat=True)

    async def delete_chat(self, chat_id: str) -> None:
        """Delete a trashed chat for good."""
        await self._call("DELETE", f"/chats/{path_part(chat_id)}")

    async def export_chat(
        self, chat_id: str, form: Literal["markdown", "json"] = "markdown"
    ) -> str:
        """Return a chat as Markdown (the active branch) or JSON (every branch)."""
        path = f"/chats/{path_part(chat_id)}/export"
        return (await self._call("GET", path, params={"format": form}, repeat=True)).text

    async def search_chats(self, query: str, *, limit: int = 50) -> tuple[SearchHit, ...]:
        """Return messages matching `query`, best first."""
        params = {"q": query, "limit": str(limit)}
        return await self._get("/search", tuple[SearchHit, ...], params)

    async def send(self, chat_id: str, text: str, *, parent_id: str | None, token: str) -> Sent:
        """Store a user message under `parent_id` and begin its reply."""
        body = {"text": text, "parent_id": parent_id, "token": token}
        return await self._post(f"/chats/{path_part(chat_id)}/messages", Sent, body, repeat=True)

    async def regenerate(self, message_id: str) -> Sent:
        """Begin another reply beside `message_id`, and make it the active branch."""
        return await self._post(f"/messages/{path_part(message_id)}/regenerate", Sent)

    async def edit(self, message_id: str, text: str, *, token: str) -> Sent:
        """Store `text` as a sibling of the user message `message_id` and begin its reply."""
        body = {"text": text, "token": token}
        return await self._post(f"/messages/{path_part(message_id)}/edit", Sent, body, repeat=True)

    async def select(self, message_id: str) -> Chat:
        """Make the branch through `message_id` the active one."""
        return await self._post(f"/messages/{path_part(message_id)}/select", Chat, repeat=True)

    async def message(self, message_id: str) -> Message:
        """Return one message as stored now."""
        return await self._get(f"/messages/{path_part(message_id)}", Message)

    async def stop_reply(self, message_id: str) -> None:
        """End a reply; what came is kept."""
        await self._call("POST", f"/messages/{path_part(message_id)}/stop", repeat=True)

    # --- server ------------------------------------------------------------------------------

    async def settings(self) -> Settings:
        """Return the settings."""
        return await self._get("/settings", Settings)

    async def save_settings(self, settings: Settings) -> Settings:
        """Store the settings; return them as stored."""
        return self._value(await self._call("PUT", "/settings", settings, repeat=True), Settings)

    async def api_key(self) -> str:
        """Return the key other programs use on this machine (local clients only)."""
        return (await self._get("/key", dict[str, str]))["key"]

    async def shut_down(self) -> None:
        """Ask the server to end: replies under way are kept as far as they came."""
        await self._call("POST", "/shutdown")

    async def close(self) -> None:
        """Close the connections; the server goes on."""
        await self._http.aclose()

    # --- inside ------------------------------------------------------------------------------

    async def _get(self, path: str, kind: type[T], params: Mapping[str, str] | None = None) -> T:
        response = await self._call("GET", path, params=params, repeat=True)
        return self._value(response, kind)

    async def _post(
        self, path: str, kind: type[T], body: object = None, *, repeat: bool = False
    ) -> T:
        return self._value(await self._call("POST", path, body, repeat=repeat), kind)

    async def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, str] | None = None,
        repeat: bool = False,
        content: AsyncIterable[bytes] | None = None,
    ) -> httpx.Response:
        """Send one request; `repeat` says that sending it twice does no harm.

        content: bytes to stream instead of `body` as JSON.
        """
        media_type = "" if body is None else "application/json"
        data: bytes | AsyncIterable[bytes] | None = None if body is None else _encode(body)
        if content is not None:
            media_type, data = "application/octet-stream", content
        for last in (not repeat, True):
            await self._prove()
            try:
                response = await self._http.request(
                    method,
                    PREFIX + path,
                    content=data,
                    params=params,
                    headers=self._headers(media_type),
                )
            except httpx.HTTPError as error:
                self._proven = False
                if last or isinstance(error, (httpx.ConnectError, httpx.TimeoutException)):
                    raise unreachable(self._base_url, error) from error
                continue
            if response.is_success:
                return response
            raise self._failure(response)
        raise AssertionError("unreachable")

    async def _prove(self) -> None:
        if self._proven:
            return
        async with self._proving:
            if not self._proven:
                await self.hello()

    def _headers(self, media_type: str = "") -> dict[str, str]:
        headers = {"authorization": f"Bearer {self._key}"}
        if media_type:
            headers["content-type"] = media_type
        return headers

    def _value(self, response: httpx.Response, kind: type[T]) -> T:
        if not response.is_success:
            raise self._failure(response)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.DecodeError as error:
            raise _not_understood(self._base_url, str(error)) from error

    def _failure(self, response: httpx.Response) -> AppError:
        try:
            data = msgspec.json.decode(response.content, type=dict[str, dict[str, Any]])["error"]
        except (msgspec.DecodeError, KeyError):
            return _not_understood(self._base_url, f"HTTP status {response.status_code}")
        return AppError.from_dict(data)


def unreachable(base_url: str, cause: Exception | None) -> AppError:
    """Return the error for a server that does not answer."""
    return AppError(
        "server_unreachable",
        f"Freehold's server at {base_url} does not answer.",
        "It may have been stopped; start it with `freehold serve`, or open Freehold again.",
        retryable=True,
        detail={"base_url": base_url, "cause": f"{type(cause).__name__}: {cause}" if cause else ""},
    )


def _not_understood(base_url: str, reason: str) -> AppError:
    return AppError(
        "server_unreachable",
        f"What answers at {base_url} is not a Freehold server this version understands.",
        "Check the address, or update Freehold so that both have the same version.",
        detail={"base_url": base_url, "reason": reason[:500]},
    )


def _encode(body: object) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise AppError(
            "invalid_request",
            "The text is not valid Unicode: it holds half of a surrogate pair.",
            "Remove the broken character and try again.",
        ) from error
