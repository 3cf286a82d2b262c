"""The one place where the server's objects are put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from freehold.chats.conversations import Conversations
from freehold.chats.turns import Turns
from freehold.devices.nvml import Nvml
from freehold.engine.process import ProcessEngine
from freehold.errors import AppError
from freehold.ledger.book import Ledger
from freehold.library.local import Library
from freehold.paths import Paths, resources
from freehold.power.discovery import find_sources
from freehold.power.sources import Source
from freehold.secrets import LocalKey, ensure_key
from freehold.server.allow_list import LOOPBACK_NAMES, AllowList, is_loopback, machine_names
from freehold.server.bus import Bus, first_number
from freehold.server.cost_desk import CostDesk
from freehold.server.cost_power import PowerDesk
from freehold.server.costs_file import CostsFile
from freehold.server.counters import Counters
from freehold.server.document_room import DocumentRoom, join_documents
from freehold.server.engine_slot import to_error_info
from freehold.server.engines import EngineSupervisor
from freehold.server.folder_watch import FolderWatch
from freehold.server.gpu_watch import GpuWatch
from freehold.server.header_plan import HeaderPlanner
from freehold.server.learning import Learner
from freehold.server.library_rooms import LibraryRooms, join_library
from freehold.server.load_guard import PlanGuard
from freehold.server.load_options import LoadMemory
from freehold.server.machine_desk import MachineDesk
from freehold.server.metered_engine import MeteredEngine, SteppingEngine
from freehold.server.metering import Metering
from freehold.server.model_choice import ModelChoice, Models
from freehold.server.power_rooms import PowerTrials, join_meters, join_trials
from freehold.server.schemas import SCHEMAS
from freehold.server.tariff_in_force import TariffInForce
from freehold.server.tune_desk import TuneDesk
from freehold.server.worker_pids import WorkerPids
from freehold.settings import SettingsFile
from freehold.storage.connection import Database
from freehold.wire import Notice

log = logging.getLogger(__name__)

WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104
UPKEEP_INTERVAL_S = 3600.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens."""

    host: str
    port: int

    @property
    def base_url(self) -> str:
        """Return the address to call from this machine."""
        host = "127.0.0.1" if self.host in WILDCARDS else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def allow_list(self) -> AllowList:
        """Return the hosts and origins a server at this address answers to."""
        names: tuple[str, ...] = LOOPBACK_NAMES
        if not is_loopback(self.host):
            names = (*names, *machine_names())
        if self.host not in WILDCARDS:  # no program means "every address" when it calls one
            names = (*names, f"[{self.host}]" if ":" in self.host else self.host.lower())
        return AllowList.of(names, self.port)


async def _nothing() -> None:
    """Take in no models."""


@dataclass(slots=True)
class House:
    """Everything the routes need, joined once.

    address: None until the socket is bound. stop: asks the process to end. unsaid: what a person
    should know and no window has heard yet.
    """

    paths: Paths
    settings: SettingsFile
    key: LocalKey
    database: Database
    bus: Bus
    library: Models
    rooms: LibraryRooms
    engines: EngineSupervisor
    machine: MachineDesk
    tuning: TuneDesk
    learner: Learner
    gpu_watch: GpuWatch
    models: ModelChoice
    conversations: Conversations
    turns: Turns
    metering: Metering
    costs: CostDesk
    power: PowerDesk
    trials: PowerTrials
    documents: DocumentRoom
    counters: Counters = field(default_factory=Counters)
    instance_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started_at: float = field(default_factory=time.time)
    address: Address | None = None
    stop: Callable[[], None] = lambda: None
    take_bundled: Callable[[], Awaitable[object]] = _nothing
    folders: FolderWatch | None = None
    unsaid: list[AppError] = field(default_factory=list)
    is_ending: bool = False
    _upkeep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Put in order what a former server left, and begin what runs in the background."""
        for problem in (self.settings.problem, self.costs.own.problem, _recovered(self.database)):
            if problem is not None:
                self.warn(problem)
        await self.conversations.recover()
        await self.take_bundled()
        await self.engines.start()
        self.gpu_watch.start()
        await self.documents.start()
        await self.rooms.start()
        if self.folders is not None:
            self.folders.start()
        await self.costs.note_tariff()
        await self.metering.start()
        self._upkeep = asyncio.create_task(self._keep_up(), name="upkeep")

    def warn(self, problem: AppError) -> None:
        """Tell a person of a problem: now, or when the first window listens."""
        self.unsaid.append(problem)
        if self.bus.readers:
            self.say_unsaid()

    def say_unsaid(self) -> None:
        """Tell what nobody has heard yet; called when a window begins to listen."""
        while self.unsaid:
            self.bus.publish(Notice(level="warning", error=to_error_info(self.unsaid.pop(0))))

    async def close(self) -> None:
        """End replies, streams and engine processes; what came of running replies is kept."""
        self.is_ending = True
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        await self.turns.close()
        await self.documents.close()
        if self.folders is not None:
            await self.folders.close()
        await self.rooms.close()
        await self.trials.close()
        await self.engines.close()
        await self.gpu_watch.close()
        await self.learner.close()
        await self.machine.close()
        await self.metering.close()
        self.power.close()
        self.bus.close()
        await asyncio.to_thread(self.database.close)

    async def _keep_up(self) -> None:
        checked = False
        while True:
            try:
                if not checked:
                    checked = True
                    damage = await self.database.check()
                    if damage is not None:
                        self.warn(damage)
                await self.conversations.purge()
                await self.database.back_up()
            except AppError as error:
                log.warning("upkeep of the database failed: %s", error.message)
                self.warn(error)
            await asyncio.sleep(UPKEEP_INTERVAL_S)


def build_house(
    paths: Paths,
    *,
    make_engine: Callable[[], SteppingEngine],
    library: Models | None = None,
    sources: Sequence[Source] = (),
    nvml: Nvml | None = None,
) -> House:
    """Put a server together; nothing runs before `House.start`. Blocks on the disk.

    library: the models to use instead of those in the database; for tests.
    sources, nvml: this machine's meters and GPUs; without them nothing is metered or compared.
    Raises: AppError when a folder, the key or the database cannot be used.
    """
    paths.create()
    settings = SettingsFile(paths.settings_file)
    bus = Bus(start=first_number())
    database = Database.open(paths, SCHEMAS)
    models: Models = library or Library(database, bus.publish)
    costs = _cost_desk(paths, settings, database)
    history, metering, power = join_meters(paths, database, costs, sources)
    machine = MachineDesk(paths, models.resolve)
    plan = HeaderPlanner(machine.places, paths.models)
    rooms = join_library(paths, database, bus, models, settings, plan)
    guard = PlanGuard(machine.places, models.entries)
    learner = Learner(machine.places, guard.in_force)

    def metered(ref: str) -> MeteredEngine:
        return MeteredEngine(make_engine(), ref, metering, learner.note)

    engines = _supervisor(paths, settings, models, bus, metered, guard)
    choice = ModelChoice(models, engines, lambda: settings.current.default_model_ref)
    docs = join_documents(database, paths, engines, models, choice.chat, bus.publish)
    return House(
        paths=paths,
        settings=settings,
        key=ensure_key(paths.key_file),
        database=database,
        bus=bus,
        library=models,
        rooms=rooms,
        engines=engines,
        machine=machine,
        tuning=TuneDesk(machine.places, models.resolve, engines),
        learner=learner,
        gpu_watch=GpuWatch(machine.places, engines, paths.models),
        models=choice,
        conversations=Conversations(database, bus.publish),
        turns=Turns(database, engines, bus.publish, docs.grounding, choose_model=choice.default),
        metering=metering,
        costs=costs,
        power=power,
        trials=join_trials(power, history, nvml, engines, engines.states, choice.default),
        documents=docs,
    )


def _supervisor(
    paths: Paths,
    settings: SettingsFile,
    models: Models,
    bus: Bus,
    make_engine: Callable[[str], MeteredEngine],
    guard: PlanGuard,
) -> EngineSupervisor:
    return EngineSupervisor(
        resolve=models.resolve,
        make_engine=make_engine,
        publish=bus.publish,
        memory=LoadMemory(paths.config / "load_options.json"),
        pids=WorkerPids(paths.state / "workers.json"),
        idle_minutes=lambda: settings.current.idle_unload_minutes,
        guard=guard,
    )


def open_house(paths: Paths) -> House:
    """Put the real server together."""
    nvml, _ = Nvml.open()
    house = build_house(paths, make_engine=ProcessEngine, sources=find_sources(nvml), nvml=nvml)
    library = house.library
    if isinstance(library, Library):
        house.take_bundled = lambda: library.take_bundled(bundled_models())
        house.folders = FolderWatch(library, lambda: house.settings.current.model_folders)
    return house


def bundled_models() -> Path:
    """Return the folder of the models that come with Freehold."""
    return resources() / "models"


@contextlib.asynccontextmanager
async def open_library(paths: Paths) -> AsyncIterator[Library]:
    """Yield the library alone, for commands while no server runs."""
    database = await asyncio.to_thread(Database.open, paths, SCHEMAS)
    try:
        library = Library(database, lambda _event: None)
        await library.take_bundled(bundled_models())
        yield library
    finally:
        database.close()


@contextlib.contextmanager
def open_costs(paths: Paths) -> Iterator[CostDesk]:
    """Yield the ledger's figures alone, for commands while no server runs. Blocks on the disk."""
    settings = SettingsFile(paths.settings_file)
    database = Database.open(paths, SCHEMAS)
    try:
        yield _cost_desk(paths, settings, database)
    finally:
        database.close()


def _cost_desk(paths: Paths, settings: SettingsFile, database: Database) -> CostDesk:
    tariff = TariffInForce(paths.config / "tariff.toml", lambda: settings.current)
    own = CostsFile(paths.config / "costs.toml")
    return CostDesk(paths, Ledger(database), settings, tariff, own)


def _recovered(database: Database) -> AppError | None:
    return database.recovery.as_error() if database.recovery is not None else None
