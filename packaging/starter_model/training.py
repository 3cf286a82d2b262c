"""Trains the network, one process per core; ends, checkpoints and resumes by the clock.

The learning rate falls to zero over the time given, so whatever the machine, the result is a
finished model. Processes share gradients after every step (gloo, on this machine alone).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor, distributed
from torch.nn import functional

from starter_model.guide_items import GuideItem, read_guide
from starter_model.mixture import TRAINING, conversations
from starter_model.network import Network
from starter_model.optimizer import Muon, split_weights
from starter_model.packing import Batch, Example, batches, encode
from starter_model.shape import SHAPES
from starter_model.sounding import sound
from starter_model.vocabulary import read_tokenizer

MUON_RATE: Final = 0.03
ADAM_RATE: Final = 0.005
EMBEDDING_RATE: Final = 0.002  # what is copied rests on it
WARM_STEPS: Final = 40
HOLD: Final = 0.25  # of the time, before the rate begins to fall
BIAS_STEP: Final = 0.004
CHECKPOINT_S: Final = 120.0
SOUND_EVERY: Final = 6  # checkpoints


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train and for how long.

    batch_tokens: tokens of one batch; the processes together take `batches` of them per step.
    """

    folder: str
    minutes: float
    shape: str = "starter"
    processes: int = 2
    batch_tokens: int = 1536
    batches: int = 2
    longest: int = 1800
    seed: int = 1


class Tickets:
    """Work shared out among the processes: who is free takes the next piece.

    Cores are rarely equally free; with fixed halves one would wait for the other.
    """

    def __init__(self, taken: Any) -> None:
        """Share `taken`, a multiprocessing value of whole numbers."""
        self._taken = taken
        self._limit = 0

    def issue(self, count: int) -> Iterator[int]:
        """Yield the numbers below `count` that no other process took; all must ask for them."""
        base = self._limit
        self._limit += count
        while True:
            with self._taken.get_lock():
                if self._taken.value >= self._limit:
                    return
                number = self._taken.value - base
                self._taken.value += 1
            yield number


def train(rank: int, plan: Plan, taken: Any) -> None:
    """Train as one of the plan's processes, until its time is spent."""
    torch.set_num_threads(1)
    folder = Path(plan.folder)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'meeting'}",
        rank=rank,
        world_size=plan.processes,
    )
    try:
        Trainer(rank, plan, Tickets(taken)).run()
    finally:
        distributed.destroy_process_group()


class Trainer:
    """The state of one training process."""

    def __init__(self, rank: int, plan: Plan, tickets: Tickets) -> None:
        self.rank = rank
        self.tickets = tickets
        self.plan = plan
        self.folder = Path(plan.folder)
        self.items: tuple[GuideItem, ...] = read_guide()
        self.tokenizer: Tokenizer = read_tokenizer()
        self.network = Network(SHAPES[plan.shape], plan.seed)
        matrices, rest = split_weights(self.network)
        self.muon = Muon(matrices, momentum=0.95, decay=0.05)
        table = self.network.embedding.weight
        groups = [
            {"params": [table], "rate": EMBEDDING_RATE},
            {"params": [weight for weight in rest if weight is not table], "rate": ADAM_RATE},
        ]
        self.adam = torch.optim.Adam(groups, lr=ADAM_RATE, betas=(0.9, 0.98), eps=1e-10)
        self.step = 0
        self.tokens = 0
        self.spent_s = 0.0
        self.saved_s = 0.0
        self.saves = 0
        self._resume()

    def run(self) -> None:
        """Train until the time is spent."""
        stream = batches(
            self._examples(),
            self.plan.batch_tokens,
            self.plan.longest,
            1000 * self.step + self.rank,
        )
        before_s = self.spent_s
        started = time.monotonic()
        while self.progress < 1.0:
            loss, tokens = self._gradients(stream)
            clock = before_s + time.monotonic() - started
            loss, tokens, self.spent_s = self._share(loss, tokens, clock)
            self._update()
            self.step += 1
            self.tokens += int(tokens)
            if self.rank == 0:
                self._tell(loss)
                if self.spent_s - self.saved_s > CHECKPOINT_S or self.progress >= 1.0:
                    self._save()
        if self.rank == 0:
            print(file=sys.stderr)

    @property
    def progress(self) -> float:
        return min(1.0, self.spent_s / (60 * self.plan.minutes))

    def rate(self) -> float:
        """Return the share of the full learning rate to use now."""
        warm = min(1.0, (self.step + 1) / WARM_STEPS)
        return warm * min(1.0, (1.0 - self.progress) / (1.0 - HOLD))

    def _examples(self) -> Iterator[Example]:
        """Yield examples; the seed holds the step, so a resumed run sees new ones."""
        block = 0
        while True:
            seed = f"{TRAINING} {self.plan.seed} {self.rank} {self.step} {block}"
            source = conversations(self.items, seed, progress=self.progress)
            for _ in range(160):
                yield encode(next(source), self.tokenizer)
            block += 1

    def _gradients(self, stream: Iterator[Batch]) -> tuple[float, int]:
        total, tokens = 0.0, 0
        for weight in self.network.parameters():
            weight.grad = None
        for _ in self.tickets.issue(self.plan.batches):
            batch = next(stream)
            hidden = self.network(batch.tokens, batch.lengths)
            scores = self.network.logits(hidden[batch.at])
            losses = functional.cross_entropy(scores, batch.targets, reduction="none")
            loss = (losses * batch.weights).sum() / batch.weights.sum()
            (loss / self.plan.batches).backward()
            total += float(loss.detach()) / self.plan.batches
            tokens += len(batch.tokens)
        return total, tokens

    def _share(self, loss: float, tokens: int, clock: float) -> tuple[float, float, float]:
        """Add up the processes' gradients, and tell all the same time."""
        grads = [_grad(weight) for weight in self.network.parameters()]
        loads = [part.load for part in self.network.experts()]
        told = torch.tensor([loss, float(tokens), clock if self.rank == 0 else 0.0])
        whole = torch.cat([part.flatten() for part in (*grads, *loads, told)])
        distributed.all_reduce(whole)
        parts = whole.split([part.numel() for part in (*grads, *loads, told)])
        for grad, part in zip(grads, parts, strict=False):
            grad.copy_(part.view_as(grad))
        for load, part in zip(loads, parts[len(grads) :], strict=False):
            load.copy_(part)
        last = parts[-1].tolist()
        return last[0], last[1], last[2]

    def _update(self) -> None:
        rate = self.rate()
        self.muon.updates(self.tickets.issue(len(self.muon.weights)))
        grads = [_grad(weight) for weight in self.muon.weights]
        whole = torch.cat([grad.flatten() for grad in grads])
        distributed.all_reduce(whole)
        for grad, part in zip(grads, whole.split([g.numel() for g in grads]), strict=True):
            grad.copy_(part.view_as(grad))
        self.muon.step(MUON_RATE * rate)
        for group in self.adam.param_groups:
            group["lr"] = group["rate"] * rate
        self.adam.step()
        for part in self.network.experts():
            part.bias += BIAS_STEP * max(rate, 0.1) * torch.sign(part.load.mean() - part.load)
            part.bias -= part.bias.mean()
            part.load.zero_()

    def _tell(self, loss: float) -> None:
        if self.step % 10 == 0:
            line = {"step": self.step, "seconds": round(self.spent_s), "tokens": self.tokens}
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line | {"loss": round(loss, 4)}) + "\n")
            share = int(30 * self.progress)
            print(
                f"\r[{'#' * share}{'.' * (30 - share)}] {self.spent_s / 60:5.1f} min"
                f" step {self.step} {self.tokens / 1e6:.2f} M tokens loss {loss:.3f} ",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def _save(self) -> None:
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "muon": self.muon.state,
            "adam": self.adam.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "spent_s": self.spent_s,
            "plan": asdict(self.plan),
        }
        fresh = self.folder / "checkpoint.new"
        torch.save(state, fresh)
        fresh.replace(self.folder / "checkpoint.pt")
        self.saved_s = self.spent_s
        self.saves += 1
        if self.saves % SOUND_EVERY:
            return
        scores = sound(self.network, self.tokenizer, self.items)
        line = {"step": self.step, "seconds": round(self.spent_s), "tokens": self.tokens}
        with (self.folder / "scores.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line | scores) + "\n")

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        for kept, found in zip(self.muon.state, state["muon"], strict=True):
            kept.copy_(found)
        self.adam.load_state_dict(state["adam"])
        self.step, self.tokens = state["step"], state["tokens"]
        self.spent_s = self.saved_s = state["spent_s"]


def _grad(weight: Tensor) -> Tensor:
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad
