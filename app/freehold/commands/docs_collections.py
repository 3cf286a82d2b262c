"""`freehold docs collections`: named sets of files and watched folders."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Final

import msgspec

from freehold.client.discovery import ensure_server
from freehold.client.documents import DocumentsClient
from freehold.commands.model_access import full_path
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.wire_documents import Collection, CollectionFile

FOLLOW_S: Final = 0.5
PAGE: Final = 1000
OVER: Final = ("ready", "paused", "error")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    kinds = parser.add_subparsers(dest="action", metavar="WHAT")
    _add(kinds, "list", "list the collections")
    made = _add(kinds, "create", "make a collection of files and folders; it is indexed at once")
    made.add_argument("name", metavar="NAME", help="what to call it")
    made.add_argument("sources", nargs="+", metavar="PATH", help="files, and folders to watch")
    made.add_argument("--wait", action="store_true", help="return when it is indexed")
    for action, words in (
        ("show", "list a collection's files, those that could not be read first"),
        ("pause", "stop indexing a collection"),
        ("resume", "go on indexing a collection"),
        ("rebuild", "read every file again and make the index anew"),
        ("remove", "delete a collection with its text and vectors; the files stay"),
    ):
        kind = _add(kinds, action, words)
        kind.add_argument("name", metavar="NAME", help="the collection, by name or id")
        if action in ("resume", "rebuild"):
            kind.add_argument("--wait", action="store_true", help="return when it is indexed")


def _add(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do what is asked and print."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    connection = await ensure_server(user_paths())
    if connection.warning is not None:
        print(connection.warning.sentence, file=sys.stderr)
    try:
        return await _act(args, connection.client.documents)
    finally:
        await connection.client.close()


async def _act(args: argparse.Namespace, documents: DocumentsClient) -> int:
    as_json = getattr(args, "json", False)
    match args.action or "list":
        case "list":
            _print_all(await documents.collections(), as_json)
            return 0
        case "create":
            sources = [str(full_path(source)) for source in args.sources]
            made = await documents.create_collection(args.name, sources)
        case action:
            made = await find(documents, args.name)
            match action:
                case "show":
                    _print_files(made, await _files(documents, made.id), as_json)
                    return 0
                case "pause" | "resume":
                    made = await documents.update_collection(made.id, paused=action == "pause")
                case "rebuild":
                    made = await documents.rebuild_collection(made.id)
                case _:
                    await documents.remove_collection(made.id)
                    print(json.dumps({"removed": made.id}) if as_json else f"Deleted {made.name}.")
                    return 0
    if getattr(args, "wait", False):
        made = await _follow(documents, made)
    _print_all((made,), as_json)
    return 1 if made.phase == "error" else 0


async def find(documents: DocumentsClient, name: str) -> Collection:
    """Return the collection of a name or id. Raises: AppError `not_found`, `invalid_request`."""
    every = await documents.collections()
    found = [one for one in every if one.id == name] or [
        one for one in every if one.name.casefold() == name.casefold()
    ]
    if not found:
        raise AppError(
            "not_found",
            f"There is no collection {name!r}.",
            "See `freehold docs collections`.",
        )
    if len(found) > 1:
        ids = ", ".join(one.id for one in found)
        raise AppError(
            "invalid_request", f"{len(found)} collections are called so.", f"Name one of {ids}."
        )
    return found[0]


async def _files(documents: DocumentsClient, collection_id: str) -> list[CollectionFile]:
    files: list[CollectionFile] = []
    while page := await documents.collection_files(collection_id, limit=PAGE, offset=len(files)):
        files += page
    return files


async def _follow(documents: DocumentsClient, made: Collection) -> Collection:
    while made.phase not in OVER:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{_how(made)}\r", end="", file=sys.stderr, flush=True)
        await asyncio.sleep(FOLLOW_S)
        made = await documents.collection(made.id)
    return made


def _print_all(collections: tuple[Collection, ...], as_json: bool) -> None:
    if as_json:
        print(json.dumps(msgspec.to_builtins(collections), ensure_ascii=False))
        return
    if not collections:
        print("There are no collections. Make one: freehold docs collections create NAME FOLDER")
    for one in collections:
        print(f"{one.name}: {_how(one)}")
        for source in one.sources:
            print(f"  {source}")
        for note in (*one.notes, *filter(None, [one.stale])):
            print(f"  {note}")
        if one.error is not None:
            print(f"  {one.error.message} {one.error.hint}")


def _print_files(collection: Collection, files: list[CollectionFile], as_json: bool) -> None:
    if as_json:
        print(json.dumps(msgspec.to_builtins(files), ensure_ascii=False))
        return
    print(f"{collection.name}: {_how(collection)}")
    for file in files:
        reason = f": {file.error.message}" if file.error is not None else ""
        print(f"  {file.phase:8} {file.path}{reason}")


def _how(collection: Collection) -> str:
    progress = (
        f" {collection.done:,} of {collection.total:,}"
        if collection.phase in ("reading", "embedding") and collection.total
        else ""
    )
    failed = f", {collection.failed:,} not read" if collection.failed else ""
    return (
        f"{collection.phase}{progress} ({_counted(collection.files, 'file')}{failed},"
        f" {_counted(collection.passages, 'passage')}, {collection.embedded:,} with vectors)"
    )


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
