"""Put together what finds, fetches and takes apart models."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from freehold.library.download.queue import Downloads
from freehold.library.duplicate_search import DuplicateSearch
from freehold.library.finding import Finder
from freehold.library.hub import Hub
from freehold.library.hub_token import TokenStore
from freehold.library.inspector import Inspector
from freehold.library.local import MADE
from freehold.library.making.workshop import Workshop
from freehold.paths import Paths
from freehold.server.bus import Bus
from freehold.server.fit_here import FitHere
from freehold.server.header_plan import HeaderPlanner
from freehold.server.model_choice import Models
from freehold.settings import SettingsFile
from freehold.storage.connection import Database


@dataclass(frozen=True, slots=True)
class LibraryRooms:
    """What the routes of the library need beside the models themselves."""

    finder: Finder
    downloads: Downloads
    inspector: Inspector
    workshop: Workshop
    duplicates: DuplicateSearch

    async def start(self) -> None:
        """Put in order what a former server left, and go on with its downloads."""
        await self.workshop.start()
        await self.downloads.start()

    async def close(self) -> None:
        """End what runs; downloads go on at the next start."""
        await self.duplicates.close()
        await self.workshop.close()
        await self.downloads.close()


def join_library(
    paths: Paths,
    database: Database,
    bus: Bus,
    models: Models,
    settings: SettingsFile,
    plan: HeaderPlanner,
) -> LibraryRooms:
    """Return the rooms, joined."""
    tokens = TokenStore(paths.config / "hub_token")
    hub = Hub(tokens)
    finder = Finder(
        hub,
        tokens,
        FitHere(),
        paths.cache / "headers",
        models.entries,
        lambda: shutil.disk_usage(paths.models).free,
        plan,
    )
    downloads = Downloads(
        database,
        paths.models,
        bus.publish,
        lambda path, ref: models.import_file(path, ref=ref, origin="downloaded", owned=True),
        hub.repository,
        limit_bytes_per_s=lambda: settings.current.download_limit_mb_per_s * 1e6,
    )
    workshop = Workshop(
        paths.models,
        paths.cache,
        models.find,
        lambda path, ref: models.import_file(path, ref=ref, origin=MADE, owned=True),
        bus.publish,
    )
    inspector = Inspector(models.find, models.entries, hub)
    duplicates = DuplicateSearch(models.entries, lambda ref: hub_sums(downloads, ref), bus.publish)
    return LibraryRooms(finder, downloads, inspector, workshop, duplicates)


def hub_sums(downloads: Downloads, ref: str) -> dict[str, str]:
    """Return the hub's checksums of a downloaded model's files by their paths."""
    item = downloads.files_of(ref)
    if item is None:
        return {}
    folder = downloads.folder_of(item)
    return {str(folder / file.path): file.sha256 for file in item.files if file.sha256}
