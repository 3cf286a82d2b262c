"""`freehold chat`: chat with a model in the terminal.

Chats begun here are stored like those of the window and show up there. A single question (`-q`,
or text on standard input) leaves nothing behind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable

import msgspec

from freehold.client.discovery import ensure_server
from freehold.client.protocol import Client
from freehold.commands.model_access import find_ref
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.wire import AnyEvent, Message, ReplyDelta, ReplyFinished, ReplyProgress, Resync

Write = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--model", metavar="REF", help="the model, or a GGUF file")
    parser.add_argument(
        "-q",
        "--question",
        nargs="?",
        const="-",
        metavar="TEXT",
        help="ask this and print the answer; without TEXT the question is read from standard input",
    )
    parser.add_argument("--system", default="", metavar="TEXT", help="the system prompt")
    parser.add_argument(
        "--json", action="store_true", help="print the answer to a single question as JSON"
    )


def run(args: argparse.Namespace) -> int:
    """Chat until the end of input, or answer one question."""
    question: str | None = args.question
    if question == "-" or (question is None and not sys.stdin.isatty()):
        question = sys.stdin.read()
    if question is None and args.json:
        raise AppError("invalid_request", "--json needs a question.", "Give one with -q TEXT.")
    if question is not None and not question.strip():
        raise AppError("invalid_request", "The question is empty.", "Give one with -q TEXT.")
    with asyncio.Runner() as runner:
        client = runner.run(_connect())
        try:
            ref = runner.run(find_ref(client, args.model)) if args.model else ""
            if question is not None:
                return runner.run(_ask_once(client, ref, args, question))
            return _converse(runner, client, ref, args.system)
        finally:
            runner.run(client.close())


async def _connect() -> Client:
    connection = await ensure_server(user_paths())
    if connection.warning is not None:
        print(connection.warning.sentence, file=sys.stderr)
    return connection.client


async def _ask_once(client: Client, ref: str, args: argparse.Namespace, question: str) -> int:
    chat = await client.create_chat(model_ref=ref)
    try:
        if args.system:
            await client.update_chat(chat.id, system_prompt=args.system)
        write = _nothing if args.json else _write
        reply = await ask(client, chat.id, question, parent_id=None, write=write)
    finally:
        await client.trash_chat(chat.id)
        await client.delete_chat(chat.id)
    if args.json:
        print(
            json.dumps(
                {
                    "model": reply.model_ref,
                    "answer": reply.content,
                    "reasoning": reply.reasoning,
                    "status": reply.status,
                    "stats": msgspec.to_builtins(reply.stats),
                }
            )
        )
    else:
        print()
    return 0


def _converse(runner: asyncio.Runner, client: Client, ref: str, system: str) -> int:
    chat = runner.run(client.create_chat(model_ref=ref))
    if system:
        runner.run(client.update_chat(chat.id, system_prompt=system))
    print("Ctrl-C stops an answer; Ctrl-D ends the chat.", file=sys.stderr)
    parent_id: str | None = None
    while True:
        try:
            text = input("> ")
        except EOFError:
            print()
            break
        except KeyboardInterrupt:  # pressed as the answer ended: drop the line, not the chat
            print()
            continue
        if not text.strip():
            continue
        try:
            reply = runner.run(ask(client, chat.id, text, parent_id=parent_id, write=_write))
            parent_id = reply.id
        except (AppError, KeyboardInterrupt) as error:
            if isinstance(error, AppError):
                print(f"freehold: {error.sentence}", file=sys.stderr)
            parent_id = runner.run(_last_message(client, chat.id))
        print()
    if parent_id is None:  # nothing was said
        runner.run(client.trash_chat(chat.id))
        runner.run(client.delete_chat(chat.id))
    return 0


async def _last_message(client: Client, chat_id: str) -> str | None:
    messages = (await client.chat(chat_id, limit=1)).messages
    return messages[-1].id if messages else None


async def ask(
    client: Client, chat_id: str, text: str, *, parent_id: str | None, write: Write
) -> Message:
    """Send a question, write the answer's text as it comes, and return the whole reply.

    Ctrl-C ends the answer; what came of it is kept. Raises: AppError when the answer failed.
    """
    async with _stops_on_interrupt(client) as interrupt:
        after = (await client.state()).seq
        sent = await client.send(chat_id, text, parent_id=parent_id, token=secrets.token_hex(16))
        interrupt.begin(sent.reply.id)
        reply = await _follow(client, sent.reply, after, write)
    if reply.error is not None:
        raise AppError.from_dict(msgspec.to_builtins(reply.error))
    return reply


async def _follow(client: Client, reply: Message, after: int, write: Write) -> Message:
    written = 0
    async for event in _events(client, after):
        match event:
            case ReplyDelta(message_id=reply.id, part="content", offset=offset):
                if offset == written:
                    write(event.text)
                    written += len(event.text)
                    continue
            case ReplyProgress(message_id=reply.id):
                _tell_progress(event)
                continue
            case ReplyFinished():
                if event.message.id != reply.id:
                    continue
            case Resync():
                pass
            case _:
                continue
        reply = await client.message(reply.id)  # the end, or something was missed
        write(reply.content[written:])
        written = max(written, len(reply.content))
        if reply.status not in ("waiting", "streaming"):
            break
    return reply


async def _events(client: Client, after: int) -> AsyncIterator[AnyEvent]:
    async for envelope in client.events(after):
        yield envelope.event


class Interrupt:
    """Turns Ctrl-C into the end of the answer, also when pressed before the answer began."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._message_id: str | None = None
        self._pressed = False
        self._stopping: set[asyncio.Task[None]] = set()

    def press(self) -> None:
        """Note that the person wants no more of it."""
        self._pressed = True
        if self._message_id is not None:
            self._stopping.add(asyncio.ensure_future(self._stop(self._message_id)))

    def begin(self, message_id: str) -> None:
        """Say which answer an interrupt ends."""
        self._message_id = message_id
        if self._pressed:
            self.press()

    async def finish(self) -> None:
        """Wait for what was begun."""
        await asyncio.gather(*self._stopping)

    async def _stop(self, message_id: str) -> None:
        with contextlib.suppress(AppError):
            await self._client.stop_reply(message_id)


@contextlib.asynccontextmanager
async def _stops_on_interrupt(client: Client) -> AsyncIterator[Interrupt]:
    loop = asyncio.get_running_loop()
    interrupt = Interrupt(client)
    try:
        loop.add_signal_handler(signal.SIGINT, interrupt.press)
    except (NotImplementedError, RuntimeError):  # not the main thread, or Windows
        yield interrupt
        return
    try:
        yield interrupt
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        await interrupt.finish()


def _tell_progress(progress: ReplyProgress) -> None:
    if sys.stderr.isatty():
        share = f" {progress.done / progress.total:.0%}" if progress.total else ""
        print(f"\r\x1b[K{progress.phase}{share}\r", end="", file=sys.stderr, flush=True)


def _write(text: str) -> None:
    if sys.stderr.isatty() and text:
        print("\x1b[K", end="", file=sys.stderr, flush=True)
    print(text, end="", flush=True)


def _nothing(_text: str) -> None:
    """Write nothing: the whole answer is printed at its end."""
