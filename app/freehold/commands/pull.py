"""`freehold pull`: download a model through the background server and follow it to its end."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable

import msgspec

from freehold.client.discovery import ensure_server
from freehold.client.protocol import Client
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.units import format_bytes, format_duration
from freehold.wire import Download, DownloadChanged, ErrorInfo, Resync

Show = Callable[[Download], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "name",
        metavar="OWNER/REPO[:VARIANT]",
        help="without a variant, the one recommended for this machine",
    )
    parser.add_argument("--json", action="store_true", help="print progress as JSON, one per line")


def run(args: argparse.Namespace) -> int:
    """Download and wait; Ctrl-C pauses."""
    return asyncio.run(_pull(args))


def split_name(name: str) -> tuple[str, str]:
    """Return repository and variant of OWNER/REPO[:VARIANT]; an address of a page works too."""
    text = name.strip()
    for prefix in ("https://huggingface.co/", "huggingface.co/", "hf.co/"):
        text = text.removeprefix(prefix)
    repository, _, variant = text.partition(":")
    return repository.rstrip("/"), variant


async def _pull(args: argparse.Namespace) -> int:
    repository, variant = split_name(args.name)
    show = _show_json if args.json else _Line()
    connection = await ensure_server(user_paths())
    client = connection.client
    try:
        after = (await client.state()).seq
        begun = await client.start_download(repository, variant)
        if not args.json and begun.state != "done":
            print(plan_line(begun), file=sys.stderr)
        try:
            ended = await follow(client, begun, after, show)
        except asyncio.CancelledError:
            await asyncio.shield(client.pause_download(begun.id))
            print("\nPaused; the same command goes on with it.", file=sys.stderr)
            raise
    finally:
        await client.close()
    if args.json:
        _show_json(ended)
    else:
        print(f"{ended.ref} is ready in {ended.folder}.")
    return 0


async def follow(client: Client, begun: Download, after: int, show: Show) -> Download:
    """Return the download once it is done.

    Raises: AppError with the cause when it fails, `cancelled` when it is paused or taken away.
    """
    current: Download | None = begun
    while True:
        if _is_over(current):
            return _checked(current, begun)
        assert current is not None
        show(current)
        async for envelope in client.events(after):
            after = envelope.seq
            event = envelope.event
            if isinstance(event, Resync):
                break
            if isinstance(event, DownloadChanged) and event.id == begun.id:
                current = event.download
                if _is_over(current):
                    return _checked(current, begun)
                assert current is not None
                show(current)
        current = next((d for d in await client.downloads() if d.id == begun.id), None)


def _is_over(download: Download | None) -> bool:
    return download is None or download.state in ("done", "failed", "paused")


def _checked(download: Download | None, begun: Download) -> Download:
    if download is None or download.state == "paused":
        raise AppError(
            "cancelled",
            f"The download of {begun.repository} was {'paused' if download else 'taken away'}.",
            "The same command goes on with it.",
            retryable=True,
        )
    if download.state == "failed":
        error = download.error or ErrorInfo(code="internal", message="It failed.")
        raise AppError.from_dict(msgspec.to_builtins(error))
    return download


def plan_line(download: Download) -> str:
    """Return what is about to be fetched, in a sentence."""
    left = download.total_bytes - download.done_bytes
    kept = f", {format_bytes(download.done_bytes)} are here" if download.done_bytes else ""
    return (
        f"{download.repository}:{download.variant}: {format_bytes(left)} to fetch{kept},"
        f" into {download.folder}"
    )


def progress_words(download: Download, now_s: float) -> str:
    """Return progress as a line: bytes, speed, time left and when it is done."""
    done, total = format_bytes(download.done_bytes), format_bytes(download.total_bytes)
    if download.state == "queued":
        return f"{done} of {total}, waiting for its turn"
    if download.state == "verifying":
        share = download.verified_bytes / max(1, download.total_bytes)
        return f"{total} here, checking {share:.0%}"
    words = f"{done} of {total}, {format_bytes(round(download.bytes_per_s))}/s"
    if download.eta_s is not None and download.bytes_per_s > 0:
        at = time.strftime("%H:%M", time.localtime(now_s + download.eta_s))
        words += f", {format_duration(download.eta_s)} left, done about {at}"
    return f"{words}. {download.note}" if download.note else words


def _show_json(download: Download) -> None:
    print(
        json.dumps(
            {
                "phase": download.state,
                "file": download.file,
                "done_bytes": download.done_bytes,
                "total_bytes": download.total_bytes,
                "bytes_per_s": round(download.bytes_per_s, 1),
                "eta_s": download.eta_s,
                "ref": download.ref,
            }
        ),
        flush=True,
    )


class _Line:
    """Shows progress on one line of a terminal, and now and then elsewhere."""

    def __init__(self) -> None:
        self._shown_at_s = 0.0

    def __call__(self, download: Download) -> None:
        now_s = time.time()
        if sys.stderr.isatty():
            print(f"\r\x1b[K{progress_words(download, now_s)}", end="", file=sys.stderr, flush=True)
            if download.state == "done":
                print(file=sys.stderr)
        elif now_s - self._shown_at_s >= 10:
            self._shown_at_s = now_s
            print(progress_words(download, now_s), file=sys.stderr, flush=True)
