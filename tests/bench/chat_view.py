"""Print what the chat view costs: `QT_QPA_PLATFORM=offscreen python tests/bench/chat_view.py`.

Wall-clock figures of this machine as it is now; other programs make them larger.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "app")]

import qasync  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402

from doubles.chat_desk import open_desk  # noqa: E402
from doubles.markdown_answers import mixed_answer, tokens  # noqa: E402
from doubles.waiting import until  # noqa: E402
from freehold.ui.chats.markdown import markdown_document  # noqa: E402
from freehold.ui.chats.segmenter import Segmenter  # noqa: E402

RATES = (100, 1_000, 4_000)


def segmenter_cost(pieces: list[str]) -> float:
    """Return microseconds per token of cutting an answer."""
    segmenter = Segmenter()
    began = time.perf_counter()
    for piece in pieces:
        segmenter.feed(piece)
    return (time.perf_counter() - began) / len(pieces) * 1e6


async def measure() -> None:
    """Measure and print."""
    text = mixed_answer(80_000)
    pieces = tokens(text)
    print(
        f"answer: {len(pieces):,} tokens, {len(text):,} characters; load {os.getloadavg()[0]:.1f}"
    )
    print(f"segmenter: {segmenter_cost(pieces):.1f} us per token")
    async with open_desk(1280, 860) as desk:
        began = time.perf_counter()
        document = markdown_document(text, desk.page._theme)
        document.setTextWidth(780)
        document.size()
        print(f"whole answer drawn at once: {(time.perf_counter() - began) * 1000:.0f} ms")
        print("| messages above | tokens/s | gap p50 | p99 | max | CPU max (ms) |")
        print("|--:|--:|--:|--:|--:|--:|")
        for rate in RATES:
            part = pieces if rate > 100 else pieces[:1_500]
            chat_id = desk.store_chat(["A question?", mixed_answer(1_500)] * 15)
            desk.page.show_chat(chat_id)
            await until(lambda: len(desk.page.transcript.views) == 30)
            await desk.idle()
            probe = await desk.stream(part, rate)
            print(
                f"| 30 | {rate:,} | {probe.share(0.5):.1f} | {probe.share(0.99):.1f} |"
                f" {probe.longest_ms:.1f} | {max(probe.cpu_ms):.1f} |"
            )
        print("| opening 2,000 messages | seen after ms | 30 built after ms |")
        print("|--:|--:|--:|")
        for turn in range(3):
            chat_id = desk.store_chat(["A question?", mixed_answer(1_500, turn)] * 1_000)
            began = time.perf_counter()
            desk.page.show_chat(chat_id)
            await until(lambda chat_id=chat_id: desk.page.conversation.chat.id == chat_id)
            await until(lambda: desk.page.transcript.is_filled)
            seen = time.perf_counter()
            await desk.idle()
            done = time.perf_counter()
            print(f"| {turn + 1} | {(seen - began) * 1000:.0f} | {(done - began) * 1000:.0f} |")


def main() -> None:
    """Run the measurement on a Qt loop."""
    app = QApplication([])
    app.setQuitOnLastWindowClosed(False)
    with qasync.QEventLoop(app) as loop:
        loop.run_until_complete(measure())


if __name__ == "__main__":
    main()
