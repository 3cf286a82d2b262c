"""`HttpClient` when the line breaks: what is repeated, what is not, and what is said."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from typing import Any

import httpx
import msgspec
import pytest

from freehold.client.http import HttpClient
from freehold.errors import AppError
from freehold.wire import Changed, Chat, Envelope, Hello, Message, Sent

KEY = "fh-key"
REPLY = Message(id="r", chat_id="c", parent_id=None, role="assistant", content="")
SENT = msgspec.json.encode(Sent(user_message=None, reply=REPLY))
CHAT = msgspec.json.encode(
    Chat(id="c", title="", created_at=0, updated_at=0, model_ref="", system_prompt="", draft="",
         messages=(), total=0, siblings={})
)  # fmt: skip

Answer = httpx.Response | Exception


class Line:
    """A server double that knows the key; every other request takes the next answer."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.seen: list[httpx.Request] = []
        self.proofs = 0
        self.client = HttpClient(
            "http://127.0.0.1:1", KEY, transport=httpx.MockTransport(self._answer)
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/hello"):
            self.proofs += 1
            proof = hmac.new(KEY.encode(), request.url.params["nonce"].encode(), sha256)
            hello = Hello(api=1, version="1", instance_id="i", pid=1, proof=proof.hexdigest())
            return httpx.Response(200, content=msgspec.json.encode(hello))
        self.seen.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def broken() -> Exception:
    return httpx.RemoteProtocolError("Server disconnected without sending a response.")


async def test_sending_is_repeated_once_with_the_same_token_and_a_new_proof() -> None:
    line = Line(broken(), httpx.Response(200, content=SENT))
    sent = await line.client.send("c", "hi", parent_id=None, token="t")
    await line.client.close()
    assert sent.reply == REPLY
    assert [request.content for request in line.seen] == [line.seen[0].content] * 2
    assert line.proofs == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.create_chat(),
        lambda c: c.regenerate("m"),
        lambda c: c.delete_chat("c"),
        lambda c: c.import_model("/m.gguf"),
    ],
)
async def test_what_would_happen_twice_is_not_repeated(
    call: Callable[[HttpClient], Awaitable[Any]],
) -> None:
    line = Line(broken(), httpx.Response(200, content=CHAT))
    with pytest.raises(AppError) as failed:
        await call(line.client)
    await line.client.close()
    assert failed.value.code == "server_unreachable"
    assert failed.value.retryable
    assert len(line.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"<html>not ours</html>"),
        httpx.Response(500, content=b"<html>proxy error</html>"),
        httpx.Response(302, headers={"location": "http://elsewhere.example/"}),
        httpx.Response(200, content=b'{"id": 5}'),
        httpx.Response(404, content=b'{"error": "text"}'),
    ],
)
async def test_answers_of_something_else_are_named_and_never_followed(
    answer: httpx.Response,
) -> None:
    line = Line(answer)
    with pytest.raises(AppError) as failed:
        await line.client.create_chat()
    await line.client.close()
    assert failed.value.code == "server_unreachable"
    assert failed.value.hint
    assert [request.url.host for request in line.seen] == ["127.0.0.1"]


async def test_an_error_of_the_server_arrives_whole() -> None:
    error = AppError("disk_full", "No room.", "Free some.", retryable=True, detail={"path": "/d"})
    body = msgspec.json.encode({"error": error.to_dict()})
    line = Line(httpx.Response(507, content=body))
    with pytest.raises(AppError) as failed:
        await line.client.create_chat()
    await line.client.close()
    assert failed.value.to_dict() == error.to_dict()


async def test_half_a_surrogate_pair_is_refused_before_it_is_sent() -> None:
    line = Line()
    with pytest.raises(AppError) as refused:
        await line.client.send("c", "\ud83d", parent_id=None, token="t")
    await line.client.close()
    assert refused.value.code == "invalid_request"
    assert line.seen == []


async def test_ids_cannot_leave_their_place_in_the_path() -> None:
    line = Line(httpx.Response(200, content=CHAT), httpx.Response(200, content=CHAT))
    await line.client.chat("../settings?x=1")
    await line.client.chat("")
    await line.client.close()
    assert [request.url.raw_path for request in line.seen] == [
        b"/freehold/v1/chats/..%2Fsettings%3Fx%3D1",
        b"/freehold/v1/chats/-",
    ]


async def follow(line: Line, into: list[Envelope]) -> None:
    async for item in line.client.events(3):
        into.append(item)


async def test_an_event_stream_that_ends_is_a_broken_line() -> None:
    envelope = Envelope(seq=5, event=Changed(topic="chats"))
    data = (
        b': hello\n\nid: 4\ndata: {"seq": 4, "event": {"type": "of_the_future"}}\n\nid: 5\ndata: '
        + msgspec.json.encode(envelope)
        + b"\n\n"
    )

    async def pieces() -> AsyncIterator[bytes]:
        yield data[:30]
        yield data[30:]

    line = Line(httpx.Response(200, content=pieces()))
    seen: list[Envelope] = []
    with pytest.raises(AppError) as ended:
        await follow(line, seen)
    await line.client.close()
    assert seen == [envelope]
    assert ended.value.code == "server_unreachable"
    assert line.seen[0].url.params["after"] == "3"
