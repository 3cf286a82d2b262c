"""`python -m starter_model STEP`: one step of the recipe."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def cache_folder() -> Path:
    """Return where checkpoints are kept between sessions."""
    root = os.environ.get("FREEHOLD_BUILD_CACHE") or Path.home() / ".cache" / "freehold-build"
    return Path(root) / "starter"


def main() -> None:
    """Run the step the command line names."""
    parser = argparse.ArgumentParser(prog="starter_model", description=__doc__)
    parser.add_argument("--folder", type=Path, default=cache_folder(), help="checkpoints and logs")
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("vocabulary", help="learn the tokenizer again (a new model follows)")
    training = steps.add_parser("train", help="train, or go on from the checkpoint")
    training.add_argument("--minutes", type=float, default=75.0, help="in all, over all runs")
    training.add_argument("--processes", type=int, default=2)
    training.add_argument("--shape", default="starter")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.step == "vocabulary":
        _learn_vocabulary()
    elif arguments.step == "train":
        _train(arguments)


def _learn_vocabulary() -> None:
    from starter_model.guide_items import read_guide
    from starter_model.vocabulary import FILE, train_tokenizer

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


if __name__ == "__main__":
    main()
