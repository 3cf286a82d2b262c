"""`python -m starter_model STEP`: one step of the recipe.

Each step is a process of its own: training needs PyTorch, the evaluation llama.cpp, and only
some need both.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "resources" / "models" / "freehold-starter-Q8_0.gguf"
CARD = SHIPPED.with_name("freehold-starter.md")
PLOT = SHIPPED.with_name("freehold-starter-loss.svg")
MOST_BYTES = 25_000_000


def cache_folder() -> Path:
    """Return where checkpoints are kept between sessions."""
    root = os.environ.get("FREEHOLD_BUILD_CACHE") or Path.home() / ".cache" / "freehold-build"
    return Path(root) / "starter"


def main() -> None:
    """Run the step the command line names."""
    parser = argparse.ArgumentParser(prog="starter_model", description=__doc__)
    parser.add_argument("--folder", type=Path, default=cache_folder(), help="checkpoints and logs")
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("vocabulary", help="learn the tokenizer again (a new model must follow)")
    training = steps.add_parser("train", help="train, or go on from the checkpoint")
    training.add_argument("--minutes", type=float, default=75.0, help="in all, over all runs")
    training.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    training.add_argument("--shape", default="starter")
    export = steps.add_parser("export", help="write the checkpoint as the shipped file")
    export.add_argument("--out", type=Path, default=SHIPPED)
    measuring = steps.add_parser("evaluate", help="print the table of scores")
    measuring.add_argument("--model", type=Path, default=SHIPPED)
    measuring.add_argument("--size", type=int, default=150, help="conversations of each kind")
    measuring.add_argument(
        "--wordings", type=int, default=3, help="held-out wordings of each question about the app"
    )
    measuring.add_argument("--write-card", action="store_true", help="put the table into the card")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    {"vocabulary": _learn, "train": _train, "export": _export, "evaluate": _evaluate}[
        arguments.step
    ](arguments)


def _learn(arguments: argparse.Namespace) -> None:
    from starter_model.guide_items import read_guide
    from starter_model.vocabulary import FILE, train_tokenizer

    del arguments
    train_tokenizer(read_guide()).save(str(FILE))


def _train(arguments: argparse.Namespace) -> None:
    from torch import multiprocessing

    from starter_model.training import Plan, train

    (arguments.folder / "meeting").unlink(missing_ok=True)
    plan = Plan(
        folder=str(arguments.folder),
        minutes=arguments.minutes,
        processes=arguments.processes,
        shape=arguments.shape,
    )
    taken = multiprocessing.get_context("spawn").Value("q", 0)
    multiprocessing.spawn(train, args=(plan, taken), nprocs=plan.processes)


def _export(arguments: argparse.Namespace) -> None:
    from starter_model.checkpoint import arrays, read_checkpoint
    from starter_model.export import write_gguf
    from starter_model.loss_plot import draw, read_log
    from starter_model.vocabulary import read_tokenizer

    network, facts = read_checkpoint(arguments.folder)
    write_gguf(arguments.out, arrays(network), network.shape, read_tokenizer(), "Q8_0")
    size = arguments.out.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{arguments.out} has {size} bytes; {MOST_BYTES} are the most.")
    if arguments.out == SHIPPED:
        PLOT.write_text(draw(read_log(arguments.folder / "log.jsonl")), encoding="utf-8")
        _write_sums()
    print(f"{arguments.out}: {size / 1e6:.1f} MB after {facts['tokens'] / 1e6:.1f} M tokens")


def _write_sums() -> None:
    """Note the checksums the app compares bundled models with, as `sha256sum *.gguf` does."""
    models = sorted(SHIPPED.parent.glob("*.gguf"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in models]
    SHIPPED.with_name("SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def _evaluate(arguments: argparse.Namespace) -> None:
    from starter_model.card import update_card
    from starter_model.evaluation import evaluate, measure_speed, table, write_wrong
    from starter_model.guide_items import read_guide

    items = read_guide()
    speed = measure_speed(arguments.model)
    scores = evaluate(arguments.model, items, arguments.size, arguments.wordings)
    write_wrong(arguments.folder / "wrong.jsonl", scores)
    size_mb = arguments.model.stat().st_size / 1e6
    lines = [
        table(scores),
        "",
        f"File size: {size_mb:.1f} MB (bar: at most 25 MB).",
        f"Speed: {speed:.0f} generated tokens per second with two threads, measured on the machine"
        " that wrote this (bar: at least 150).",
        *_network_lines(arguments, items),
    ]
    text = "\n".join(lines)
    print(text)
    if arguments.write_card:
        update_card(CARD, text)


def _network_lines(arguments: argparse.Namespace, items: tuple) -> list[str]:  # type: ignore[type-arg]
    """Return what only the checkpoint can tell: agreement, balance, how it was trained."""
    if not (arguments.folder / "checkpoint.pt").exists():
        return ["No checkpoint here: agreement with PyTorch and expert balance were not measured."]
    import torch

    from starter_model.checkpoint import arrays, read_checkpoint
    from starter_model.export import write_gguf
    from starter_model.parity import compare, expert_balance
    from starter_model.vocabulary import read_tokenizer

    torch.set_num_threads(2)
    network, facts = read_checkpoint(arguments.folder)
    tokenizer = read_tokenizer()
    with tempfile.TemporaryDirectory() as scratch:
        half = Path(scratch) / "starter-F16.gguf"
        write_gguf(half, arrays(network), network.shape, tokenizer, "F16")
        exact = compare(half, network, tokenizer, items)
    shipped = compare(arguments.model, network, tokenizer, items)
    balance = expert_balance(network, tokenizer, items)
    least, most = min(low for low, _ in balance), max(high for _, high in balance)
    weights = sum(weight.numel() for weight in network.parameters())
    return [
        f"Same likeliest next token as in PyTorch, of {exact.tokens}: F16 {exact.share:.2%}"
        f" (bar: 99.5%), the shipped file {shipped.share:.2%} (bar: 98%).",
        f"Expert balance: the least busy expert of any layer gets {least:.2f} of its fair share"
        f" (bar: 0.25), the busiest {most:.2f}.",
        f"Trained on {facts['tokens'] / 1e6:.2f} million tokens in {facts['step']} steps,"
        f" {facts['spent_s'] / 60:.0f} minutes; {weights / 1e6:.2f} million weights.",
    ]


if __name__ == "__main__":
    main()
