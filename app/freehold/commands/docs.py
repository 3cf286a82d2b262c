"""`freehold docs`: answers from files, with their proof.

`ask` leaves nothing behind: what the server kept of the files is deleted after the answer.
`collections` keeps named sets of files and folders, indexed in the background.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys

from freehold.client.discovery import ensure_server
from freehold.client.documents import until_answered, until_read
from freehold.client.protocol import Client
from freehold.commands import docs_collections
from freehold.commands.model_access import find_ref, full_path
from freehold.errors import AppError
from freehold.paths import user_paths
from freehold.wire_documents import DocumentAnswer, DocumentInfo, DocumentQuestion


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    kinds = parser.add_subparsers(dest="kind", metavar="WHAT", required=True)
    ask = kinds.add_parser(
        "ask",
        help="answer a question from files, each claim with the words that prove it",
        description="Read files, answer a question from them alone, and check each citation.",
    )
    ask.add_argument("files", nargs="*", metavar="FILE", help="the files to read")
    ask.add_argument(
        "--collection",
        "-c",
        action="append",
        default=[],
        metavar="NAME",
        help="a collection to ask as well; may be given more than once",
    )
    ask.add_argument("--question", "-q", required=True, metavar="TEXT", help="what to ask")
    ask.add_argument("--model", metavar="REF", help="the model that answers, or a GGUF file")
    ask.add_argument("--json", action="store_true", help="print one JSON document")
    docs_collections.add_arguments(
        kinds.add_parser(
            "collections",
            help="named sets of files and watched folders",
            description="Make, follow and delete collections of documents.",
        )
    )


def run(args: argparse.Namespace) -> int:
    """Do what is asked and print."""
    if args.kind == "collections":
        return docs_collections.run(args)
    if not (args.files or args.collection):
        raise AppError("invalid_request", "Nothing to ask is named.", "Name files or --collection.")
    if not args.question.strip():
        raise AppError("invalid_request", "The question is empty.", "Give one with --question.")
    return asyncio.run(_ask(args))


async def _ask(args: argparse.Namespace) -> int:
    connection = await ensure_server(user_paths())
    if connection.warning is not None:
        print(connection.warning.sentence, file=sys.stderr)
    client = connection.client
    ids: list[str] = []
    try:
        model = await find_ref(client, args.model) if args.model else ""
        sets = [(await docs_collections.find(client.documents, c)).id for c in args.collection]
        failures: list[AppError] = []
        ready: list[DocumentInfo] = []
        for file in args.files:
            try:
                info = await client.documents.add(str(full_path(file)))
                ids.append(info.id)
                ready.append(await until_read(client.documents, info.id, _tell_reading))
            except AppError as error:
                if not error.detail.get("file") and error.code not in ("not_found",):
                    raise
                failures.append(error)
        if not ready and not sets:
            raise failures[0]
        asked = await client.documents.ask(
            [i.id for i in ready], args.question, model=model, collections=sets
        )
        try:
            answer = await until_answered(client.documents, asked.id, _tell_question)
        except BaseException:
            with contextlib.suppress(AppError):
                await client.documents.stop(asked.id)
            raise
    finally:
        await _forget(client, ids)
        await client.close()
    _print(args, answer, ready, failures)
    return 0


async def _forget(client: Client, ids: list[str]) -> None:
    for document_id in ids:
        with contextlib.suppress(AppError):
            await client.documents.remove(document_id)


def _print(
    args: argparse.Namespace,
    answer: DocumentAnswer,
    ready: list[DocumentInfo],
    failures: list[AppError],
) -> None:
    notes = [*(f"{info.name}: {note}" for info in ready for note in info.notes), *answer.notes]
    for sentence in [*notes, *(error.sentence for error in failures)]:
        print(f"freehold: {sentence}", file=sys.stderr)
    if args.json:
        print(
            json.dumps(
                {
                    "answer": answer.answer,
                    "mode": answer.mode,
                    "citations": [
                        {"file": c.file, "page": c.page, "quote": c.quote, "number": c.number}
                        for c in answer.citations
                    ],
                    "model": answer.model,
                    "found": not answer.is_absent,
                    "document_tokens": answer.document_tokens,
                    "free_tokens": answer.free_tokens,
                    "says": answer.says,
                    "passages": answer.passages,
                    "prompt_tokens": answer.prompt_tokens,
                    "cached_tokens": answer.cached_tokens,
                    "first_token_s": answer.first_token_s,
                    "notes": notes,
                    "failed": [error.to_dict() for error in failures],
                },
                ensure_ascii=False,
            )
        )
        return
    print(answer.answer)
    if answer.citations:
        print()
    for citation in answer.citations:
        quote = " ".join(citation.quote.split())
        place = f"{citation.file}, {citation.page_word} {citation.page}"
        print(f"[{citation.number}] {place}: “{quote}”")
    print(f"\n({answer.says})", file=sys.stderr)


def _tell_reading(info: DocumentInfo) -> None:
    if info.phase == "reading" and info.total:
        _tell(f"{info.name}: {info.done} of {info.total} {info.page_word}s")


def _tell_question(question: DocumentQuestion) -> None:
    if question.phase not in ("ready", "failed"):
        _tell(f"{question.phase} {question.done / question.total:.0%}" if question.total else "")


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}\r", end="", file=sys.stderr, flush=True)
