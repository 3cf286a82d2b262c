"""The model hub: searching it, reading a repository's page, and listing its files.

Everything blocks; the service calls it in threads. Nothing here downloads models.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import truststore

from freehold.errors import AppError
from freehold.library.download.origin import Repository
from freehold.library.download.places import check_repository
from freehold.library.hub_errors import offline, refused_access
from freehold.library.hub_token import TokenStore
from freehold.library.variants import Listing, RepoFile, group_variants
from freehold.wire_library import HubModel, HubQuery

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import RepoFile as ListedFile

log = logging.getLogger(__name__)

T = TypeVar("T")

ENDPOINT: Final = "https://huggingface.co"
ANSWER_S: Final = 30.0
MOST_FOUND: Final = 200
MOST_FILES: Final = 20_000
LARGEST_CARD_BYTES: Final = 400_000
SORTS: Final = {
    "trending": "trending_score",
    "downloads": "downloads",
    "likes": "likes",
    "newest": "created_at",
}
EXPANDED: Final = [
    "author", "cardData", "createdAt", "downloads", "gated", "gguf", "lastModified", "likes",
    "pipeline_tag", "tags",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class RepositoryPage:
    """What a repository's page shows; `revision` is the commit all of it belongs to."""

    model: HubModel
    revision: str
    card: str
    private: bool
    listing: Listing


class Hub:
    """One hub (HF_ENDPOINT, or Hugging Face), seen with this person's token."""

    def __init__(self, tokens: TokenStore, environment: Mapping[str, str] = os.environ) -> None:
        self._tokens = tokens
        self._environment = environment

    @property
    def endpoint(self) -> str:
        """Return the hub's address."""
        return (self._environment.get("HF_ENDPOINT", "").strip() or ENDPOINT).rstrip("/")

    @property
    def is_offline(self) -> bool:
        """Return whether the person wants nothing asked of the network."""
        value = self._environment.get("HF_HUB_OFFLINE", "").strip().casefold()
        return value in ("1", "true", "yes", "on")

    def search(self, query: HubQuery) -> list[HubModel]:
        """Return repositories with GGUF files.

        Raises: AppError `network_failed`, `rate_limited`, `unauthorized`.
        """
        wanted = query.architecture.strip().casefold()
        limit = max(1, min(query.limit, MOST_FOUND))
        filters = ["gguf"]
        if query.licence.strip():
            filters.append(f"license:{query.licence.strip().casefold()}")

        def ask(api: HfApi) -> list[HubModel]:
            found = api.list_models(
                search=query.text.strip() or None,
                author=query.author.strip() or None,
                pipeline_tag=query.task.strip() or None,
                filter=filters,
                sort=SORTS[query.sort],
                limit=limit if not wanted else MOST_FOUND,
                expand=EXPANDED,
            )
            return [_to_model(info) for info in found]

        models = self._ask(ask, "")
        if wanted:
            models = [m for m in models if wanted in m.architecture.casefold()]
        return models[:limit]

    def read_page(self, repository: str) -> RepositoryPage:
        """Return a repository's card and files at its newest commit.

        Raises: AppError: as `search`, `invalid_request`, `not_found`, `forbidden`.
        """
        check_repository(repository)
        from huggingface_hub.hf_api import RepoFile as ListedFile

        def ask(api: HfApi) -> RepositoryPage:
            info = api.model_info(
                repository, timeout=ANSWER_S, expand=[*EXPANDED, "sha", "private"]
            )
            revision = _commit(info.sha)
            files = []
            for item in api.list_repo_tree(repository, recursive=True, revision=revision):
                if isinstance(item, ListedFile):
                    files.append(item)
                if len(files) > MOST_FILES:
                    break
            return RepositoryPage(
                model=_to_model(info),
                revision=revision,
                card=self._read_card(repository, revision, files),
                private=bool(info.private),
                listing=group_variants(_to_file(file) for file in files),
            )

        return self._ask(ask, repository)

    def chat_template(self, repository: str) -> str:
        """Return the chat template a repository publishes for its model.

        Raises: AppError: as `read_page`; `not_found` where it publishes none.
        """
        check_repository(repository)

        def ask(_api: HfApi) -> str:
            response, text = self._read_text(f"{repository}/resolve/main/chat_template.jinja")
            if response.status_code == 404:
                response, text = self._read_text(f"{repository}/resolve/main/tokenizer_config.json")
                text = template_of(text)
            if response.status_code in (401, 403):
                code = response.headers.get("x-error-code", "")
                said = response.headers.get("x-error-message", "")
                known = bool(self._tokens.read().value)
                raise refused_access(repository, response.status_code, code, said, has_token=known)
            if response.status_code not in (200, 404):
                raise _unreachable(self.endpoint)
            return text

        found = self._ask(ask, repository)
        if not found:
            raise AppError(
                "not_found",
                f"{repository} publishes no chat template.",
                "Compare with another model of your library.",
            )
        return found

    def repository(self, name: str, revision: str) -> Repository:
        """Return where the downloader fetches from."""
        return Repository(self.endpoint, name, revision, lambda: self._tokens.read().value)

    def who(self) -> str:
        """Return the name of the account that the token belongs to.

        Raises: AppError `unauthorized` when the hub does not know the token.
        """
        return str(self._ask(lambda api: api.whoami(), "").get("name", ""))

    # --- inside ------------------------------------------------------------------------------

    def _read_card(self, repository: str, revision: str, files: list[ListedFile]) -> str:
        size = next((file.size for file in files if file.path == "README.md"), 0)
        if not size:
            return ""
        # A gated card is left out; the page still shows what the listing says.
        _, card = self._read_text(f"{repository}/resolve/{revision}/README.md")
        return without_front_matter(card)

    def _read_text(self, path: str) -> tuple[httpx2.Response, str]:
        """Return the answer for a small file, and its text where that was 200."""
        import httpx2

        token = self._tokens.read().value
        headers = {"authorization": f"Bearer {token}"} if token else {}
        with (
            httpx2.Client(
                timeout=ANSWER_S, follow_redirects=True, verify=_certificates()
            ) as client,
            client.stream("GET", f"{self.endpoint}/{path}", headers=headers) as response,
        ):
            if response.status_code != 200:
                return response, ""
            data = b""
            for piece in response.iter_bytes():
                data += piece
                if len(data) > LARGEST_CARD_BYTES:
                    break
        return response, data[:LARGEST_CARD_BYTES].decode("utf-8", "replace")

    def _ask(self, ask: Callable[[HfApi], T], repository: str) -> T:
        if self.is_offline:
            raise offline()
        # Here: the server starts half a second sooner, and most starts never ask the hub.
        import httpx2
        from huggingface_hub import HfApi
        from huggingface_hub import errors as hub_failures

        _configure()
        token = self._tokens.read().value
        api = HfApi(endpoint=self.endpoint, token=token or False)
        try:
            return ask(api)
        except hub_failures.HfHubHTTPError as error:
            raise self._explain(error, repository, has_token=bool(token)) from error
        except hub_failures.OfflineModeIsEnabled as error:
            raise offline() from error
        except (httpx2.HTTPError, OSError) as error:
            raise _unreachable(self.endpoint) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # The client library trusts the shape of answers; a sign-in page has none.
            raise _not_a_hub(self.endpoint) from error

    def _explain(self, error: HfHubHTTPError, repository: str, *, has_token: bool) -> AppError:
        from huggingface_hub.errors import RepositoryNotFoundError

        response = error.response
        status = response.status_code
        code = response.headers.get("x-error-code", "")
        text = response.headers.get("x-error-message", "")
        if status == 429:
            return AppError(
                "rate_limited",
                "The hub asks to slow down.",
                "Wait a minute and try again; a token raises the limit.",
                retryable=True,
            )
        if isinstance(error, RepositoryNotFoundError) and code != "GatedRepo":
            return AppError(
                "not_found",
                f"There is no repository called {repository} on the hub, or it is private.",
                "Check the name; for a private one give Freehold a token that may read it.",
                detail={"reason": "not_found", "repository": repository},
            )
        if status in (401, 403):
            if not repository:
                return AppError(
                    "unauthorized",
                    "The hub does not know this token.",
                    "Make a new one at huggingface.co/settings/tokens and give it to Freehold.",
                    detail={"reason": "bad_token"},
                )
            return refused_access(repository, status, code, text, has_token=has_token)
        return AppError(
            "network_failed",
            f"The hub answered with an error (status {status}).",
            "Try again in a minute.",
            retryable=True,
        )


def without_front_matter(card: str) -> str:
    """Return a card's text without the YAML block at its head."""
    if not card.startswith("---"):
        return card
    end = card.find("\n---", 3)
    return card if end < 0 else card[end + 4 :].lstrip("-").lstrip()


def template_of(config: str) -> str:
    """Return the chat template in a `tokenizer_config.json`, the one called default of several."""
    try:
        found = json.loads(config)["chat_template"]
        if isinstance(found, list):
            named = {item["name"]: item["template"] for item in found}
            found = named.get("default") or next(iter(named.values()), "")
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def _to_model(info: Any) -> HubModel:
    gguf = info.gguf if isinstance(getattr(info, "gguf", None), dict) else {}
    tags = [str(tag) for tag in (info.tags or ())]
    gated: Literal["", "auto", "manual"] = "manual" if info.gated else ""
    if info.gated == "auto":
        gated = "auto"
    updated = info.last_modified or info.created_at
    return HubModel(
        repository=str(info.id),
        downloads=int(info.downloads or 0),
        likes=int(info.likes or 0),
        updated_at=updated.isoformat() if updated is not None else "",
        gated=gated,
        architecture=_text(gguf.get("architecture")),
        parameters=_count(gguf.get("total")),
        context_tokens=_count(gguf.get("context_length")),
        licence=_tag(tags, "license:"),
        task=_text(info.pipeline_tag),
        base_model=_tag(tags, "base_model:").rpartition(":")[2],
    )


def _to_file(file: ListedFile) -> RepoFile:
    return RepoFile(str(file.path), int(file.size or 0), file.lfs.sha256 if file.lfs else None)


def _tag(tags: list[str], prefix: str) -> str:
    return next((tag.removeprefix(prefix)[:200] for tag in tags if tag.startswith(prefix)), "")


def _text(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 53 else 0


def _commit(value: object) -> str:
    if isinstance(value, str) and 7 <= len(value) <= 64 and value.isalnum() and value.isascii():
        return value
    return "main"


@functools.cache
def _configure() -> None:
    """Set the client library up, once."""
    import huggingface_hub
    from huggingface_hub.utils import logging as hub_logging

    huggingface_hub.set_client_factory(_make_client)
    # What goes wrong is told as an AppError; its log would repeat addresses.
    hub_logging.set_verbosity_error()


def _certificates() -> ssl.SSLContext:
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _make_client() -> httpx2.Client:
    import httpx2

    # The library's own waits for ever and brings its own list of certificates.
    return httpx2.Client(verify=_certificates(), follow_redirects=True, timeout=ANSWER_S)


def _unreachable(endpoint: str) -> AppError:
    return AppError(
        "network_failed",
        f"{urlsplit(endpoint).hostname} cannot be reached.",
        "Check your network; the models on this machine and the short list go on working.",
        retryable=True,
    )


def _not_a_hub(endpoint: str) -> AppError:
    return AppError(
        "network_failed",
        f"What answers as {urlsplit(endpoint).hostname} is not the model hub.",
        "A network's sign-in page may be in between: open a browser, sign in, and try again.",
        retryable=True,
    )
