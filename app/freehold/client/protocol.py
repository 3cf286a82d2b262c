"""The `Client` seam: everything a window or command can ask of a server.

Two bodies exist, `client.http.HttpClient` and `tests/doubles/client.py:FakeClient`; one contract
test runs on both. Every method raises `AppError`; an unreachable server is `server_unreachable`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from freehold.client.costs import CostsClient
from freehold.client.documents import DocumentsClient
from freehold.client.files import FilesClient
from freehold.client.machine import MachineClient
from freehold.wire import (
    Chat,
    ChatSummary,
    Download,
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
from freehold.wire_library import (
    CatalogEntry,
    FileChecksum,
    HubAccount,
    HubModel,
    HubPage,
    HubQuery,
    VariantFacts,
)


class Client(Protocol):
    """A server, local or remote."""

    @property
    def base_url(self) -> str:
        """Return the server's address, `http://127.0.0.1:11711`."""
        ...

    @property
    def costs(self) -> CostsClient:
        """Return the part about power and money."""
        ...

    @property
    def documents(self) -> DocumentsClient:
        """Return the part about documents."""
        ...

    @property
    def files(self) -> FilesClient:
        """Return the part about what model files hold."""
        ...

    @property
    def machine(self) -> MachineClient:
        """Return the part about the machine and what fits it."""
        ...

    async def hello(self) -> Hello:
        """Return who answers; proves that the server knows the key before anything is sent."""
        ...

    async def state(self) -> State:
        """Return the snapshot and the place in the event stream it belongs to."""
        ...

    def events(self, after: int) -> AsyncIterator[Envelope]:
        """Yield events after `after`; raises `server_unreachable` when the line breaks."""
        ...

    # models

    async def import_model(self, path: str) -> ModelEntry:
        """Add the GGUF file (first shard of a set) at `path` on the server's machine, in place."""
        ...

    async def remove_model(self, ref: str, *, delete_files: bool = False) -> int:
        """Forget a model; return the bytes freed (0 when its files stay)."""
        ...

    async def load_model(self, ref: str, request: LoadRequest | None = None) -> None:
        """Begin to load a model; progress and the outcome arrive as `EngineChanged`."""
        ...

    async def unload_model(self, ref: str) -> None:
        """End a model's engine process."""
        ...

    # library: the hub and downloads

    async def catalog(self) -> tuple[CatalogEntry, ...]:
        """Return the list of models that comes with Freehold; needs no network."""
        ...

    async def search_hub(self, query: HubQuery) -> tuple[HubModel, ...]:
        """Return repositories of the hub that have GGUF files."""
        ...

    async def hub_page(self, repository: str) -> HubPage:
        """Return a repository's card, conditions and variants."""
        ...

    async def variant_facts(self, repository: str, variant: str) -> VariantFacts:
        """Return what a variant's headers say; they are read from the hub."""
        ...

    async def hub_account(self) -> HubAccount:
        """Return whose token the hub sees, and where it is kept."""
        ...

    async def save_hub_token(self, token: str) -> HubAccount:
        """Keep a token once the hub knows it; "" forgets the one that is kept."""
        ...

    async def downloads(self) -> tuple[Download, ...]:
        """Return the downloads in the order of the queue."""
        ...

    async def start_download(self, repository: str, variant: str = "") -> Download:
        """Put a variant into the queue ("": the recommended one); one that rests goes on."""
        ...

    async def pause_download(self, download_id: str) -> Download:
        """Stop a download; what arrived is kept."""
        ...

    async def resume_download(self, download_id: str) -> Download:
        """Go on with a download that was paused or failed."""
        ...

    async def move_download(self, download_id: str, place: int) -> None:
        """Put a download at a place of the queue, 0 is first."""
        ...

    async def cancel_download(self, download_id: str) -> None:
        """Take a download off the list; what came of an unfinished one is deleted."""
        ...

    async def checksums(self, ref: str) -> tuple[FileChecksum, ...]:
        """Return the hub's checksums of a downloaded model's files; none for another's."""
        ...

    # chats

    async def chats(self, *, trashed: bool = False) -> tuple[ChatSummary, ...]:
        """Return all chats, last changed first."""
        ...

    async def create_chat(self, *, model_ref: str = "", title: str = "") -> Chat:
        """Make an empty chat."""
        ...

    async def chat(
        self, chat_id: str, *, limit: int | None = None, before: str | None = None
    ) -> Chat:
        """Return a chat with the last `limit` messages of its active branch before `before`."""
        ...

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
        ...

    async def save_draft(self, chat_id: str, text: str) -> None:
        """Keep what is typed but not sent."""
        ...

    async def trash_chat(self, chat_id: str) -> None:
        """Move a chat to the trash, where it stays 30 days."""
        ...

    async def restore_chat(self, chat_id: str) -> None:
        """Take a chat out of the trash."""
        ...

    async def delete_chat(self, chat_id: str) -> None:
        """Delete a trashed chat for good."""
        ...

    async def export_chat(
        self, chat_id: str, form: Literal["markdown", "json"] = "markdown"
    ) -> str:
        """Return a chat as Markdown (the active branch) or JSON (every branch)."""
        ...

    async def search_chats(self, query: str, *, limit: int = 50) -> tuple[SearchHit, ...]:
        """Return messages matching `query`, best first."""
        ...

    async def send(self, chat_id: str, text: str, *, parent_id: str | None, token: str) -> Sent:
        """Store a user message under `parent_id` (None: first) and begin its reply.

        `token` is chosen by the caller; sending the same token again returns the same messages,
        so a retry after a broken line never sends twice.
        """
        ...

    async def regenerate(self, message_id: str) -> Sent:
        """Begin another reply beside `message_id`, and make it the active branch."""
        ...

    async def edit(self, message_id: str, text: str, *, token: str) -> Sent:
        """Store `text` as a sibling of the user message `message_id` and begin its reply."""
        ...

    async def select(self, message_id: str) -> Chat:
        """Make the branch through `message_id` the active one."""
        ...

    async def message(self, message_id: str) -> Message:
        """Return one message as stored now."""
        ...

    async def stop_reply(self, message_id: str) -> None:
        """End a reply; what came is kept."""
        ...

    # server

    async def settings(self) -> Settings:
        """Return the settings."""
        ...

    async def save_settings(self, settings: Settings) -> Settings:
        """Store the settings; return them as stored."""
        ...

    async def api_key(self) -> str:
        """Return the key other programs use on this machine (local clients only)."""
        ...

    async def shut_down(self) -> None:
        """Ask the server to end: replies under way are kept as far as they came."""
        ...

    async def close(self) -> None:
        """Close the connections; the server goes on."""
        ...
