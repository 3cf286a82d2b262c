"""How long a listing of 1 TB in 33 files takes to be planned and shown: goal 1 s for each row.

    make bench-listing

The files are sparse: true headers of Kimi K2 at 1 TB, read over HTTP ranges from a hub on loopback.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
REPO = "ada/Kimi-K2-GGUF"
FILES = 33
VARIANT = "Q8_0"


def write_shards(folder: Path) -> list[Path]:
    """Write Kimi K2's header in `FILES` files whose weights are holes, about 1 TB in all."""
    from doubles.big_models import BY_NAME, K2, K2_VOCABULARY, _Sizer, write_header
    from freehold.gguf.writer import MetadataValue
    from freehold.library.model_maker import kimi
    from freehold.library.model_maker.vocabulary import Vocabulary

    kind = BY_NAME["Q8_0"]
    shape = replace(K2, expert_kind=kind, expert_down_kind=kind)
    words = kimi.vocabulary()
    more = (f"<|extra_{n}|>" for n in range(K2_VOCABULARY - len(words)))
    words = Vocabulary((*words.tokens, *more), words.merges, words.specials, words.spoken)
    first: dict[str, MetadataValue] = {
        "general.architecture": "deepseek2",
        "general.type": "model",
        "general.name": "Kimi K2",
        "general.alignment": 32,
        **kimi.metadata(shape, "deepseek2", shape.context_tokens),
        "deepseek2.expert_count": kimi.EXPERTS,
        "deepseek2.expert_used_count": 8,
        **kimi.tokenizer_metadata(words),
    }
    tensors = list(kimi.tensors(shape, words, _Sizer(kimi.EXPERTS)))  # type: ignore[arg-type]
    paths = []
    for number in range(FILES):
        part = tensors[number * len(tensors) // FILES : (number + 1) * len(tensors) // FILES]
        own: dict[str, MetadataValue] = {"split.no": number, "split.count": FILES}
        path = folder / f"Kimi-K2-{VARIANT}-{number + 1:05}-of-{FILES:05}.gguf"
        paths.append(write_header(path, first | own if number == 0 else own, part))
    return paths


async def timed(title: str, ask: Callable[[], Awaitable[object]]) -> object:
    """Run a step and print how long it took."""
    began, cpu = time.perf_counter(), time.process_time()
    found = await ask()
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    print(f"{title:<58}{wall_s * 1000:>8.0f} ms{cpu_s * 1000:>8.0f} ms")
    return found


async def measure(folder: Path) -> None:
    """Print the rows of the server and those of the window."""
    from doubles.hub import HubFile, HubRepo, running_hub
    from freehold.commands.hub_access import open_finder
    from freehold.paths import user_paths

    paths = write_shards(folder)
    with running_hub() as hub:
        repo = HubRepo(REPO, parameters=1_026_000_000_000, architecture="deepseek2")
        hub.add(repo)
        for path in paths:
            name_sum = hashlib.sha256(path.name.encode()).hexdigest()
            repo.stored[path.name] = HubFile(path.stat().st_size, name_sum, path)
        os.environ["HF_ENDPOINT"] = hub.url
        finder = open_finder(user_paths())
        total = sum(path.stat().st_size for path in paths)
        print(f"{total / 1e12:.2f} TB in {FILES} files; {os.cpu_count()} processors")
        print(f"{'':<58}{'wall':>11}{'processor':>11}")
        page = await timed("listing, variants and fit from sizes", lambda: finder.page(REPO))
        await timed(
            "the variant to download, with its alternatives", lambda: finder.choose(REPO, "")
        )
        await timed("headers of all files and the planner's fit (first time)",
                    lambda: finder.facts(REPO, VARIANT))  # fmt: skip
        await timed("headers and fit again (kept as sparse files)",
                    lambda: finder.facts(REPO, VARIANT))  # fmt: skip
    await show(page)


async def show(page: object) -> None:
    """Print how long the window takes to show the page."""
    from PySide6.QtWidgets import QApplication

    from doubles.client import FakeClient
    from doubles.waiting import until
    from freehold.ui.library.repository_view import RepositoryView
    from freehold.ui.state.downloads import DownloadsState
    from freehold.ui.state.session import Session
    from freehold.ui.theme import Theme

    app = QApplication.instance()
    assert isinstance(app, QApplication)
    client = FakeClient()
    client.shelf.pages[REPO] = page  # type: ignore[assignment]
    session = Session(client)
    session.start()
    await until(lambda: session.is_connected)
    theme = Theme(app, setting="light")
    view = RepositoryView(session, DownloadsState(session), theme)
    view.resize(1000, 800)
    view.show()

    async def open_page() -> None:
        view.open(REPO)
        await until(lambda: view.rows)
        view.grab()

    await timed("its page in the window, drawn", open_page)
    view.close()
    await session.stop()
    await client.close()


def main() -> int:
    """Measure and print; return the exit status."""
    import qasync
    from PySide6.QtWidgets import QApplication

    with tempfile.TemporaryDirectory() as name:
        os.environ["FREEHOLD_DATA"] = str(Path(name) / "data")
        app = QApplication([])
        app.setQuitOnLastWindowClosed(False)
        loop = qasync.QEventLoop(app)
        asyncio.set_event_loop(loop)
        with loop:
            loop.run_until_complete(measure(Path(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
