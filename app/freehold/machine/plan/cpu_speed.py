"""What a processor takes for the parts of a step: graph nodes, weights, attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from freehold.gguf.ggml_types import BY_NUMBER, GgmlType
from freehold.machine.plan.work import Work

_BY_NAME = {kind.name: kind for kind in BY_NUMBER.values()}
ANY = ""  # the rate of every type, where types were not told apart


@dataclass(frozen=True, slots=True)
class AttentionSpeed:
    """Seconds of attention: per dot product over the cache, and per value that it reads.

    prompt_row_s, prompt_value_s: the same for the tokens of a prompt.
    """

    row_s: float = 0.0
    value_s: float = 0.0
    prompt_row_s: float = 0.0
    prompt_value_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CpuSpeed:
    """Seconds, all threads together, as llama.cpp's kernels take them here.

    step_s: of a step, whatever it computes: what the engine does around llama.cpp.
    node_s: of a node of the graph, whatever it computes: threads wait for each other.
    weight_s: per byte of a matrix, by type, for one token. mac_s: per weight and further token.
    expert_weight_factor, expert_mac_factor: what the same costs more in routed experts.
    plain, latent: of attention with keys and values apart, and with values inside the keys.
    token_value_s: of a node, for each value of a token's row, of tokens beyond the first: norms,
        sums, copies. router_s: of choosing experts, for each of those tokens and expert layer.
    cache_bytes: of the processor; matrices that stay in it cost `cached_factor` of `weight_s`.
    """

    node_s: float
    weight_s: Mapping[str, float]
    mac_s: Mapping[str, float]
    expert_weight_factor: float = 1.0
    expert_mac_factor: float = 1.0
    plain: AttentionSpeed = AttentionSpeed()
    latent: AttentionSpeed = AttentionSpeed()
    step_s: float = 0.0
    token_value_s: float = 0.0
    router_s: float = 0.0
    cache_bytes: int = 0
    cached_factor: float = 1.0

    @classmethod
    def flat(cls, bytes_per_s: float, flops: float, node_s: float) -> CpuSpeed:
        """Return the speed of a processor of which only bandwidth and arithmetic are known."""
        return cls(
            node_s=node_s,
            weight_s={ANY: 1 / bytes_per_s},
            mac_s={ANY: 2 / flops},
            plain=AttentionSpeed(value_s=2 / flops, prompt_value_s=2 / flops),
            latent=AttentionSpeed(value_s=4 / flops, prompt_value_s=4 / flops),
        )

    def nodes_s(self, nodes: float, tokens: int, width: int, expert_layers: float) -> float:
        """Return the seconds of a graph's nodes, whatever they compute, for a batch of tokens."""
        more = nodes * width * self.token_value_s + expert_layers * self.router_s
        return nodes * self.node_s + (tokens - 1) * more

    def layers_s(self, work: Work, tokens: int) -> float:
        """Return the seconds of all matrices but experts and output, for a batch of tokens."""
        cached = self._cached(work)
        return sum(
            size * self._weight_s(name) * cached
            + _weights(name, size) * (tokens - 1) * self._mac_s(name)
            for name, size in work.layers.items()
        )

    def experts_s(self, work: Work, hit: float, further: float) -> float:
        """Return the seconds of the routed experts.

        hit: the share of all experts that the batch hits. further: rows beyond the first of an
        expert, as a share of the number of experts.
        """
        return sum(
            size * hit * self._weight_s(name) * self.expert_weight_factor
            + _weights(name, size) * further * self._mac_s(name) * self.expert_mac_factor
            for name, size in work.experts.items()
        )

    def output_s(self, work: Work, tokens: int) -> float:
        """Return the seconds of the last matrix for so many tokens."""
        cached = self._cached(work)
        return sum(
            size * self._weight_s(name) * cached
            + _weights(name, size) * (tokens - 1) * self._mac_s(name)
            for name, size in work.output.items()
        )

    def _cached(self, work: Work) -> float:
        """Return what a byte costs of what it would cost from memory.

        All of it stays in the cache up to half its size, nothing from its whole size on: what is
        read in turn pushes itself out.
        """
        size = sum(work.layers.values()) + sum(work.output.values())
        if not self.cache_bytes:
            return 1.0
        return 1.0 - self._cached_share(size) * (1.0 - self.cached_factor)

    def _cached_share(self, size: float) -> float:
        if not self.cache_bytes:
            return 1.0
        return min(1.0, max(0.0, 2 - 2 * size / self.cache_bytes))

    def attention_s(
        self, work: Work, pairs: float, *, of_prompt: bool, cache_bytes: float = 0.0
    ) -> float:
        """Return the seconds of attention.

        pairs: each token counted with each it looks at. cache_bytes: the KV cache that is read.
        """
        speed = self.latent if work.is_latent else self.plain
        if of_prompt:
            rates = speed.prompt_row_s, speed.prompt_value_s
        else:
            rates = speed.row_s, speed.value_s
        # The rates are those of a KV cache that stays in the processor's own.
        slower = self._cached_share(cache_bytes)
        beyond = 1.0 if of_prompt else slower + (1.0 - slower) / self.cached_factor
        return pairs * (work.head_rows * rates[0] + work.head_values * rates[1] * beyond)

    def weights(self, name: str, size: int) -> float:
        """Return how many weights of a type take `size` bytes."""
        return _weights(name, size)

    def _weight_s(self, name: str) -> float:
        found = self.weight_s.get(name, self.weight_s.get(ANY))
        if found is not None:
            return found
        like = _nearest(name, self.weight_s)
        # A weight costs about the same arithmetic, and no byte comes faster than the fastest.
        per_weight = self.weight_s[like] * _bytes_per_weight(like)
        return max(per_weight / _bytes_per_weight(name), min(self.weight_s.values()))

    def _mac_s(self, name: str) -> float:
        found = self.mac_s.get(name, self.mac_s.get(ANY))
        return self.mac_s[_nearest(name, self.mac_s)] if found is None else found


def _weights(name: str, size: int) -> float:
    return size / _bytes_per_weight(name)


def _bytes_per_weight(name: str) -> float:
    kind: GgmlType = _BY_NAME[name]
    return kind.block_bytes / kind.block_values


def _nearest(name: str, known: Mapping[str, float]) -> str:
    """Return the type that was measured and is nearest in bits; of two the larger."""
    own = _bytes_per_weight(name)
    return min(
        known, key=lambda other: (abs(_bytes_per_weight(other) - own), -_bytes_per_weight(other))
    )
