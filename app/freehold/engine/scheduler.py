"""Decides what each engine step computes; knows tokens, slots and cells, not llama.cpp.

One step is one `llama_decode`: a token of every sequence that generates, and beside them chunks of
prompts within the token budget, shared out evenly so that a long prompt never blocks a short one.
Waiting requests are taken in turn between owners (`priority_key`). When cells run out, kept
prefixes are trimmed first, then the youngest sequence waits again; nothing fails for want of room.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from freehold.engine.prefix_cache import CellTable, KeptPrefix, PrefixCache
from freehold.engine.queue_order import in_turn
from freehold.engine.sequences import Phase, Sequence, common_length
from freehold.engine.steps import Chunk, Limits, MemoryOp, Step

LOOK_AHEAD: Final = 16  # waiting requests of one owner considered when the first does not fit
TURN_STEPS: Final = 256  # steps after which an owner with nothing running takes a slot from another
PATIENCE_STEPS: Final = 512  # steps after which a request that does not fit stops others passing it
HEADROOM_CELLS: Final = 64  # cells left for running sequences when one more is admitted
TRIM_CELLS: Final = 256  # kept prefixes are trimmed in pieces of this size
WORTH_SHARING: Final = 16  # tokens a running sibling must save to be waited for or shared


class Scheduler:
    """The queue, the running sequences and the cells of one engine."""

    def __init__(self, limits: Limits) -> None:
        assert limits.parallel < limits.slots
        assert limits.parallel <= limits.batch_tokens
        self.limits = limits
        self.cells = CellTable(limits.cells, limits.slots)
        self.kept = PrefixCache()
        self._free_slots = list(range(limits.slots - 1, -1, -1))
        self._waiting: dict[str, deque[Sequence]] = {}
        self._decoding: list[Sequence] = []
        self._filling: list[Sequence] = []
        self._served: dict[str, int] = {}
        self._memory: list[MemoryOp] = []
        self._arrivals = 0
        self._steps = 0
        self._may_admit = False

    # --- what is there

    @property
    def running(self) -> list[Sequence]:
        """Return the sequences that hold a slot and are not done."""
        return [*self._decoding, *self._filling]

    @property
    def running_count(self) -> int:
        return len(self._decoding) + len(self._filling)

    @property
    def waiting_count(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    @property
    def has_work(self) -> bool:
        """Return whether a step would do anything."""
        return bool(self._decoding or self._filling or self._waiting)

    @property
    def is_decoding(self) -> bool:
        """Return whether any sequence generates."""
        return bool(self._decoding)

    def queue(self) -> list[Sequence]:
        """Return the waiting sequences in the order they would start as things stand."""
        return in_turn(self._waiting, self._running_by_key(), self._served)

    # --- coming and going

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence made by `make_sequence`."""
        self._arrivals += 1
        sequence.order = self._arrivals
        if sequence.priority_key not in self._served:
            # A newcomer starts level with the least served, so idling earns nothing.
            self._served[sequence.priority_key] = min(self._served.values(), default=0)
        self._enqueue(sequence, first=False)

    def finish(self, sequence: Sequence) -> None:
        """End a sequence, waiting or running; what it computed is kept as a prefix."""
        if sequence.phase is Phase.WAITING:
            queue = self._waiting[sequence.priority_key]
            queue.remove(sequence)
            if not queue:
                del self._waiting[sequence.priority_key]
        elif sequence.phase is not Phase.ENDED:
            self._release(sequence)
        sequence.phase = Phase.ENDED
        self._may_admit = True
        if not self._key_is_active(sequence.priority_key):
            self._served.pop(sequence.priority_key, None)

    def drop_kept(self) -> None:
        """Give back every kept prefix."""
        for kept in list(self.kept):
            self._evict(kept)

    # --- one step

    def plan(self, prefill_tokens: int | None = None) -> Step:
        """Return the next step; `prefill_tokens` bounds its prompt tokens below the batch size.

        Cells are given out here; `complete` or `rewind` must follow for every sequence in it.
        """
        self._steps += 1
        if self._waiting:
            self._give_turns()
            if self._may_admit and self.running_count < self.limits.parallel:
                self._admit()
        self._secure_decode_cells()
        step = Step(decode=list(self._decoding))
        for sequence in step.decode:
            self.cells.append(sequence.slot)
        if self._filling:
            room = self.limits.batch_tokens - len(step.decode)
            wanted = room if prefill_tokens is None else min(room, prefill_tokens)
            step.prefill = self._plan_prefill(max(1, wanted), alone=not step.decode)
        step.memory, self._memory = self._memory, []
        return step

    def complete(self, step: Step) -> list[Sequence]:
        """Note that a step was computed; return the sequences to sample, in batch order."""
        served = self._served
        ready = step.decode
        for sequence in step.decode:
            sequence.computed += 1
            served[sequence.priority_key] += 1
        if step.prefill:
            ready = list(ready)
            for sequence, start, end in step.prefill:
                sequence.computed = end
                served[sequence.priority_key] += end - start
                if not sequence.uncomputed:
                    sequence.phase = Phase.DECODE
                    self._filling.remove(sequence)
                    self._decoding.append(sequence)
                    ready.append(sequence)
            self._may_admit = True
        return ready

    def append(self, sequence: Sequence, token: int) -> bool:
        """Add a sampled token; return whether the length limit is reached."""
        sequence.tokens.append(token)
        return len(sequence.tokens) >= sequence.length_limit

    def rewind(self, sequence: Sequence, computed: int) -> None:
        """Take a sequence back to `computed` tokens after a step that failed or was broken off."""
        computed = min(computed, len(sequence.tokens) - 1)
        if not self.limits.can_trim and self.cells.length(sequence.slot) > computed:
            computed = 0
        self._trim(sequence.slot, computed)
        sequence.computed = computed
        if sequence.phase is Phase.DECODE and sequence.uncomputed > 1:
            self._decoding.remove(sequence)
            self._filling.append(sequence)
            sequence.phase = Phase.PREFILL

    def make_way(self) -> bool:
        """Free cells after llama.cpp found no place for a step; return whether anything changed."""
        if len(self.kept):
            self.drop_kept()
            return True
        if self.running_count > 1:
            self._preempt(self._youngest())
            return True
        return False

    # --- admission

    def _enqueue(self, sequence: Sequence, *, first: bool) -> None:
        sequence.phase = Phase.WAITING
        sequence.queued_at_step = self._steps
        queue = self._waiting.setdefault(sequence.priority_key, deque())
        if first:
            queue.appendleft(sequence)
        else:
            queue.append(sequence)
        self._may_admit = True

    def _admit(self) -> None:
        self._may_admit = False
        while self.running_count < self.limits.parallel and self._admit_one():
            continue

    def _admit_one(self) -> bool:
        counts = self._running_by_key()
        for key in sorted(self._waiting, key=lambda n: (counts.get(n, 0), self._served[n])):
            queue = self._waiting[key]
            for sequence in list(queue)[:LOOK_AHEAD]:
                if self._start(sequence):
                    queue.remove(sequence)
                    if not queue:
                        del self._waiting[key]
                    return True
                if self._steps - sequence.queued_at_step > PATIENCE_STEPS:
                    # It has been passed by long enough: let room gather for it.
                    return False
        return False

    def _start(self, sequence: Sequence) -> bool:
        kept, kept_common = self._kept_source(sequence)
        sibling, sibling_common, coming = self._running_source(sequence)
        common = max(kept_common, sibling_common)
        if coming >= common + WORTH_SHARING:
            return False
        source = kept.slot if kept is not None and kept_common >= sibling_common else -1
        if source < 0 and sibling is not None:
            source = sibling.slot
        if not self._fits(sequence, source, common):
            return False
        self._place(sequence, source, common)
        sequence.computed = common
        if not sequence.was_admitted:
            sequence.was_admitted = True
            sequence.cached_tokens = min(common, sequence.prompt_count)
        sequence.phase = Phase.PREFILL
        self._filling.append(sequence)
        return True

    def _kept_source(self, sequence: Sequence) -> tuple[KeptPrefix | None, int]:
        whole_only = not self.limits.can_trim
        found = self.kept.best(sequence.key, sequence.tokens, whole_only=whole_only)
        if found is None:
            return None, 0
        # The last token is computed again: its logits are not kept.
        common = min(found[1], len(sequence.tokens) - 1)
        if whole_only and common < found[1]:
            return None, 0
        return found[0], common

    def _running_source(self, sequence: Sequence) -> tuple[Sequence | None, int, int]:
        """Return a running sequence of the same owner, what it shares now and what it soon will."""
        best: Sequence | None = None
        now = soon = 0
        if not self.limits.can_trim:
            return None, 0, 0
        for other in self.running:
            if other.key != sequence.key:
                continue
            common = min(common_length(other.tokens, sequence.tokens), len(sequence.tokens) - 1)
            if min(common, other.computed) > max(now, WORTH_SHARING - 1):
                best, now = other, min(common, other.computed)
            if other.phase is Phase.PREFILL:
                soon = max(soon, common)
        return best, now, soon

    def _fits(self, sequence: Sequence, source: int, common: int) -> bool:
        need = len(sequence.tokens) + 1 - common
        if self.running_count:
            need += HEADROOM_CELLS
        available = self.cells.free + self.cells.evictable
        if source >= 0:
            available -= self.cells.unpinned_within(source, common)
        reserved = sum(other.uncomputed for other in self.running)
        return available - reserved >= min(need, self.limits.cells)

    def _place(self, sequence: Sequence, source: int, common: int) -> None:
        kept = next((entry for entry in self.kept if entry.slot == source), None)
        if kept is not None and common >= len(kept.tokens) - 1:
            self._take_over(sequence, kept, common)
            return
        slot = self._take_slot(spare=source if kept is not None else None)
        if slot is None:
            assert kept is not None
            self._take_over(sequence, kept, common)
            return
        sequence.slot = slot
        self.cells.pin(slot)
        if source >= 0 and common:
            self.cells.share(source, slot, common)
            self._memory.append(MemoryOp("share", slot, common, source))
            if kept is not None:
                self.kept.touch(source)

    def _take_over(self, sequence: Sequence, kept: KeptPrefix, common: int) -> None:
        self.kept.forget(kept.slot)
        self.cells.pin(kept.slot)
        self._trim(kept.slot, common)
        sequence.slot = kept.slot

    def _take_slot(self, *, spare: int | None) -> int | None:
        if not self._free_slots:
            oldest = self.kept.oldest(spare=spare)
            if oldest is None:
                return None
            self._evict(oldest)
        return self._free_slots.pop()

    # --- room

    def _secure_decode_cells(self) -> None:
        while self._decoding and not self._make_room(len(self._decoding)):
            self._preempt(self._youngest())

    def _plan_prefill(self, budget: int, *, alone: bool) -> list[Chunk]:
        wanted = min(budget, sum(sequence.uncomputed for sequence in self._filling))
        self._make_room(wanted)
        while not self.cells.free and alone and self.running_count > 1:
            self._preempt(self._youngest())
            self._make_room(1)
        left = min(budget, self.cells.free)
        chunks = []
        # Shortest first, each at least an even share of what is left: what a short prompt does
        # not need goes to the longer ones.
        queue = sorted(self._filling, key=lambda sequence: sequence.uncomputed)
        for index, sequence in enumerate(queue):
            share = -(-left // (len(queue) - index))
            count = min(sequence.uncomputed, share)
            if not count:
                break
            self.cells.append(sequence.slot, count)
            chunks.append(Chunk(sequence, sequence.computed, sequence.computed + count))
            left -= count
        return chunks

    def _make_room(self, count: int) -> bool:
        while self.cells.free < count:
            oldest = self.kept.oldest()
            if oldest is None:
                return False
            length = self.cells.length(oldest.slot)
            rest = length - max(count - self.cells.free, TRIM_CELLS)
            if rest < WORTH_SHARING or not self.limits.can_trim:
                self._evict(oldest)
            else:
                self._trim(oldest.slot, rest)
                del oldest.tokens[rest:]
        return True

    def _evict(self, kept: KeptPrefix) -> None:
        self._trim(kept.slot, 0)
        self.kept.forget(kept.slot)
        self._free_slots.append(kept.slot)

    def _trim(self, slot: int, keep: int) -> None:
        if self.cells.length(slot) > keep:
            self.cells.trim(slot, keep)
            self._memory.append(MemoryOp("trim", slot, keep))

    def _release(self, sequence: Sequence) -> None:
        """Take a running sequence's slot; its computed tokens stay as a kept prefix."""
        (self._decoding if sequence.phase is Phase.DECODE else self._filling).remove(sequence)
        slot, tokens = sequence.slot, sequence.tokens[: sequence.computed]
        self._trim(slot, sequence.computed)
        for covered in self.kept.covered_by(sequence.key, tokens):
            self._trim(covered, 0)
            self.kept.forget(covered)
            self._free_slots.append(covered)
        self.cells.unpin(slot)
        if len(tokens) < WORTH_SHARING:
            self._trim(slot, 0)
            self._free_slots.append(slot)
        else:
            self.kept.keep(slot, sequence.key, tokens)
        sequence.slot = -1
        sequence.computed = 0

    # --- fairness

    def _youngest(self) -> Sequence:
        return max(self.running, key=lambda sequence: sequence.order)

    def _preempt(self, sequence: Sequence) -> None:
        self._release(sequence)
        self._enqueue(sequence, first=True)

    def _give_turns(self) -> None:
        """Take a slot from an owner with several when another has waited long with none."""
        if self.running_count < self.limits.parallel:
            return
        counts = self._running_by_key()
        for key, queue in self._waiting.items():
            if key in counts or self._steps - queue[0].queued_at_step < TURN_STEPS:
                continue
            rich = max(counts, key=lambda name: counts[name])
            if counts[rich] > 1:
                mine = (other for other in self.running if other.priority_key == rich)
                self._preempt(max(mine, key=lambda other: other.order))
            return

    def _running_by_key(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for sequence in self.running:
            counts[sequence.priority_key] = counts.get(sequence.priority_key, 0) + 1
        return counts

    def _key_is_active(self, key: str) -> bool:
        return key in self._waiting or any(other.priority_key == key for other in self.running)
