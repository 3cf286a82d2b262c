"""Meters: GPU counters, the powercap tree, plugs on the network, and the estimate."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from doubles.nvml import FakeGpu, FakeNvml
from freehold.devices.nvml import Nvml
from freehold.errors import AppError
from freehold.power.discovery import ProcessLoad
from freehold.power.plugs import PlugSource, check_host, parse_plug
from freehold.power.readings import Energy, Gap, energy_between
from freehold.power.sources import EstimateSource, GpuSource, RaplSource, find_rapl, gpu_sources


def test_scripted_watts_come_back_as_energy() -> None:
    library = FakeNvml([FakeGpu(watts=lambda t: 100.0 if t < 10 else 300.0)])
    nvml, _ = Nvml.open(library)  # type: ignore[arg-type]
    assert nvml is not None
    source = GpuSource(nvml.read, 0, "H100", 350.0, library.clock)
    readings = [source.read()]
    for _ in range(4):
        library.advance(5)
        readings.append(source.read())
    found = [energy_between(source.meter, a, b) for a, b in itertools.pairwise(readings)]
    assert [e.watts for e in found if isinstance(e, Energy)] == [100, 100, 300, 300]


def test_a_vanished_gpu_is_a_gap_and_its_return_a_reset() -> None:
    library = FakeNvml([FakeGpu()])
    nvml, _ = Nvml.open(library)  # type: ignore[arg-type]
    assert nvml is not None
    source = GpuSource(nvml.read, 0, "H100", 350.0, library.clock)
    library.advance(100)
    before = source.read()
    library.advance(1)
    library.gpus[0].lost = True
    away = source.read()
    assert energy_between(source.meter, before, away) == Gap(100, 101, "no reading")
    library.gpus[0].lost = False
    library.gpus[0].counter_millijoules = 0
    library.advance(1)
    back = source.read()
    assert energy_between(source.meter, before, back) == Gap(100, 102, "counter reset")


def test_one_source_for_each_gpu() -> None:
    nvml, _ = Nvml.open(FakeNvml([FakeGpu(), FakeGpu()]))  # type: ignore[arg-type]
    assert nvml is not None
    assert len({source.meter.source for source in gpu_sources(nvml)}) == 2


def zone(root: Path, name: str, label: str, microjoules: int) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(label + "\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text("262143328850\n")
    return folder


def test_rapl_counts_packages_and_memory_but_not_cores_inside(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 10)
    zone(tmp_path, "intel-rapl:0:0", "core", 5)
    zone(tmp_path, "intel-rapl:0:1", "dram", 3)
    names = [(z / "name").read_text().strip() for z in find_rapl(tmp_path).zones]
    assert names == ["package-0", "dram"]


def test_rapl_takes_the_whole_board_alone_where_there_is_one(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 10)
    whole = zone(tmp_path, "intel-rapl:1", "psys", 30)
    assert find_rapl(tmp_path).zones == (whole,)


def test_rapl_that_may_not_be_read_is_said_with_the_rule(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 10)
    (folder / "energy_uj").unlink()
    access = find_rapl(tmp_path)
    assert access.zones == ()
    assert access.denied == (folder,)
    assert "powercap" in access.udev_rule
    assert find_rapl(tmp_path / "nowhere").denied == ()


def test_rapl_wraps_without_a_jump(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 262_143_328_000)
    moments = iter([0.0, 1.0])
    source = RaplSource(folder, lambda: next(moments))
    before = source.read()
    (folder / "energy_uj").write_text("49999150\n")
    found = energy_between(source.meter, before, source.read())
    assert found == Energy(0.0, 1.0, 50_000_000)


SHELLY_2 = {"id": 0, "apower": 431.7, "aenergy": {"total": 1234.5}}
SHELLY_1 = {"meters": [{"power": 431.7, "total": 74070}]}
TASMOTA = {"StatusSNS": {"ENERGY": {"Power": 431.7, "Total": 1.2345}}}


@pytest.mark.parametrize(
    ("kind", "answer"), [("shelly-2", SHELLY_2), ("shelly-1", SHELLY_1), ("tasmota", TASMOTA)]
)
def test_all_plugs_say_the_same_thing(kind: str, answer: object) -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json=answer)

    with httpx.Client(transport=httpx.MockTransport(handler)) as client:
        reading = PlugSource(kind, "192.168.1.40", client, lambda: 7.0).read()  # type: ignore[arg-type]
    assert reading.watts == 431.7
    # A coarse counter would stand still and jump; only the fine one is used.
    assert reading.microjoules == (4_444_200_000_000 if kind == "shelly-2" else None)
    assert seen[0].startswith("http://192.168.1.40/")


def redirect(_: httpx.Request) -> httpx.Response:
    return httpx.Response(302, headers={"location": "http://evil.example/"})


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)


@pytest.mark.parametrize(
    "handler",
    [
        refuse,
        redirect,
        lambda _: httpx.Response(500),
        lambda _: httpx.Response(200, text="<html>login</html>"),
        lambda _: httpx.Response(200, content=b"{" * 1_000_000),
        lambda _: httpx.Response(200, json=[1, 2]),
        lambda _: httpx.Response(200, json={"apower": "lots", "aenergy": {"total": -4}}),
        lambda _: httpx.Response(200, json={"apower": True, "aenergy": None}),
    ],
)
def test_a_plug_that_is_away_or_talks_rubbish_gives_no_reading(
    handler: Callable[[httpx.Request], httpx.Response],
) -> None:
    with httpx.Client(transport=httpx.MockTransport(handler)) as client:
        reading = PlugSource("shelly-2", "plug.local:8080", client, lambda: 7.0).read()
    assert (reading.microjoules, reading.watts) == (None, None)
    assert reading.at_s == 7.0


@pytest.mark.parametrize("host", ["", "a b", "x/y", "http://x", "a@b", "..", "x?y", "a\n", "[::1"])
def test_only_a_host_is_a_host(host: str) -> None:
    with pytest.raises(AppError):
        check_host(host)


@pytest.mark.parametrize("host", ["192.168.1.40", "plug.local", "plug:8080", "[fe80::1]:80"])
def test_hosts_are_taken(host: str) -> None:
    check_host(host)


@pytest.mark.parametrize("text", ["null", "[]", "{}", '"x"', "3", '{"meters": []}'])
@pytest.mark.parametrize("kind", ["shelly-2", "shelly-1", "tasmota"])
def test_any_json_is_survived(kind: str, text: str) -> None:
    assert parse_plug(kind, json.loads(text)) == (None, None)  # type: ignore[arg-type]


def test_the_estimate_says_that_it_is_one() -> None:
    source = EstimateSource(lambda: 0.5, 100, 300, lambda: 0.0)
    assert source.read().watts == 200
    assert source.meter.level == "estimate"
    assert source.meter.error_share == 0.5
    assert EstimateSource(lambda: 7.0, 100, 300).read().watts == 300


def test_the_estimate_counts_this_program_alone() -> None:
    now = [0.0]
    load = ProcessLoad(lambda: now[0])
    burned = time.process_time()
    while time.process_time() - burned < 0.2:
        pass
    now[0] = 1.0
    cores = os.cpu_count() or 1
    assert 0.1 / cores < load() < 2.0 / cores
    assert load() == 0.0  # no time has passed
