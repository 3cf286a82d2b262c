"""What the Machine page costs: the share of a core of the window and of the server behind it.

    python tests/bench/machine_page.py [--seconds 15]

Eight GPUs, a real server over HTTP with a scripted driver, and the page shown, then hidden. Time of
the processor over time on the wall; other programs do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import qasync
from PySide6.QtWidgets import QApplication

from doubles.nvml import FakeGpu, FakeNvml
from doubles.server import FakeModels, LiveServer, fake_house
from doubles.waiting import until
from freehold.client.http import HttpClient
from freehold.devices.nvml import Nvml
from freehold.machine.service import Places
from freehold.server.wiring import House
from freehold.ui.machine.page import MachinePage
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme

GPUS = 8
BAR = 0.01


def house_with_gpus(folder: Path) -> House:
    """Return a house whose driver is scripted; loads change, as on a machine at work."""
    house = fake_house(folder, FakeModels(), [])
    library = FakeNvml([FakeGpu(load=n) for n in range(GPUS)])
    driver, _ = Nvml.open(library)  # type: ignore[arg-type]
    places = Places(house.paths, driver, "", tuple(f"CUDA{n}" for n in range(GPUS)))

    async def opened() -> Places:
        for gpu in library.gpus:
            gpu.load = (gpu.load + 7) % 100
            gpu.temperature = 40 + gpu.load // 4
        return places

    house.machine.places = opened  # type: ignore[method-assign]
    return house


async def shares(seconds: float) -> tuple[float, float]:
    """Return the shares of a core of the window's thread and of everything else in the process."""
    window, everything, wall = time.thread_time(), time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - wall
    own = (time.thread_time() - window) / took
    return own, (time.process_time() - everything) / took - own


async def measure(seconds: float, folder: Path) -> int:
    server = LiveServer(lambda: house_with_gpus(folder))
    await asyncio.to_thread(server.start)
    client = HttpClient(server.url, server.key)
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    session = Session(client)
    session.start()
    await until(lambda: session.is_connected, timeout_s=20)
    page = MachinePage(session, ModelsState(session, session), Theme(app, setting="light"))
    page.resize(1000, 1200)
    page.show()
    await until(lambda: page.machine.state is not None, timeout_s=20)
    await asyncio.sleep(1)
    shown = await shares(seconds)
    page.hide()
    hidden = await shares(seconds)
    print(f"{'':<8} {'window':>9} {'server':>9} {'together':>9}   share of one core, {GPUS} GPUs")
    for name, (window, rest) in (("shown", shown), ("hidden", hidden)):
        print(f"{name:<8} {window:>9.2%} {rest:>9.2%} {window + rest:>9.2%}")
    cost = sum(shown) - sum(hidden)
    print(f"the page costs {cost:.2%} of a core (bar {BAR:.0%})")
    await session.stop()
    await client.close()
    await asyncio.to_thread(server.stop)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    args = parser.parse_args()
    app = QApplication([])
    app.setQuitOnLastWindowClosed(False)
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)
    with tempfile.TemporaryDirectory(prefix="freehold-bench-") as folder, loop:
        return int(loop.run_until_complete(measure(args.seconds, Path(folder))))


if __name__ == "__main__":
    sys.exit(main())
