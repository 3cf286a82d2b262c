// Chooses the experts of a token: scores, groups, the best `slots`, their weights. One warp per
// token keeps all scores in registers; equal scores go to the lower number, so the choice is one.
#pragma once

#include <float.h>

#include "../include/moe_kernels.h"
#include "../simt/simt.h"

namespace moe {

constexpr int kMostRouted = 576;
constexpr int kMostGroups = 32;
constexpr int kMostRoutedSlots = 32;
constexpr int kRouterThreads = 128;

// Expert 32i + lane is entry i of its lane.
template <int kEntries> struct Scores {
    float chosen_by[kEntries];  // what is compared
    float weight[kEntries];
};

struct Best {
    float value;
    int index;
};

DEVICE Best better(Best a, Best b) {
    const bool second = b.value > a.value || (b.value == a.value && b.index < a.index);
    return second ? b : a;
}

DEVICE Best best_of_warp(Best mine) {
#pragma unroll
    for (int step = simt::kWarp / 2; step > 0; step /= 2) {
        const Best other = {simt::shuffle_xor(mine.value, step),
                            simt::shuffle_xor(mine.index, step)};
        mine = better(mine, other);
    }
    return mine;
}

template <int kEntries>
DEVICE Scores<kEntries> read_scores(const moe_router & router, int token) {
    const int lane = simt::lane_index();
    const float * logits = router.logits + static_cast<int64_t>(token) * router.experts;
    Scores<kEntries> scores;
    float largest = -INFINITY;
#pragma unroll
    for (int i = 0; i < kEntries; i++) {
        const int expert = simt::kWarp * i + lane;
        scores.weight[i] = expert < router.experts ? logits[expert] : -INFINITY;
        largest = fmaxf(largest, scores.weight[i]);
    }
    largest = simt::warp_max(largest);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kEntries; i++) {
        float & weight = scores.weight[i];
        if (router.scoring == MOE_SOFTMAX) weight = expf(weight - largest);
        if (router.scoring == MOE_SIGMOID) weight = 1.0f / (1.0f + expf(-weight));
        sum += weight;
    }
    if (router.scoring == MOE_SOFTMAX) {
        sum = simt::warp_sum(sum);
#pragma unroll
        for (int i = 0; i < kEntries; i++) scores.weight[i] /= sum;
    }
#pragma unroll
    for (int i = 0; i < kEntries; i++) {
        const int expert = simt::kWarp * i + lane;
        float value = scores.weight[i];
        if (router.bias != nullptr && expert < router.experts) value += router.bias[expert];
        // Not a number loses against every number, but is still an expert.
        if (value != value || value < -FLT_MAX) value = -FLT_MAX;
        scores.chosen_by[i] = expert < router.experts ? value : -INFINITY;
    }
    return scores;
}

// The sum of the two best scores of a group.
template <int kEntries>
DEVICE float score_of_group(const Scores<kEntries> & scores, int first, int size) {
    Best found = {-INFINITY, -1};
    float sum = 0.0f;
    for (int round = 0; round < 2; round++) {
        Best mine = {-INFINITY, kMostRouted};
#pragma unroll
        for (int i = 0; i < kEntries; i++) {
            const int expert = simt::kWarp * i + simt::lane_index();
            const bool in_group = expert >= first && expert < first + size;
            const bool taken = round == 1 && expert == found.index;
            if (in_group && !taken) mine = better(mine, {scores.chosen_by[i], expert});
        }
        found = best_of_warp(mine);
        sum += found.value;
    }
    return sum;
}

// Leaves only the experts of the best `groups_used` groups. Lane g holds group g's score.
template <int kEntries>
DEVICE void keep_best_groups(const moe_router & router, Scores<kEntries> & scores) {
    const int size = router.experts / router.groups, lane = simt::lane_index();
    float mine = -INFINITY;
    for (int g = 0; g < router.groups; g++) {
        const float score = score_of_group<kEntries>(scores, g * size, size);
        if (lane == g) mine = score;
    }
    uint32_t kept = 0;
    bool taken = lane >= router.groups;
    for (int i = 0; i < router.groups_used; i++) {
        const Best best = best_of_warp({taken ? -INFINITY : mine, taken ? kMostGroups + lane : lane});
        kept |= 1u << (best.index & 31);
        taken = taken || best.index == lane;
    }
#pragma unroll
    for (int i = 0; i < kEntries; i++) {
        const int expert = simt::kWarp * i + lane;
        const int group = expert / size;
        if (group >= router.groups || !(kept >> group & 1)) scores.chosen_by[i] = -INFINITY;
    }
}

// Lane s keeps slot s: the expert and its weight.
template <int kEntries>
DEVICE void choose(const moe_router & router, Scores<kEntries> & scores, int & expert,
                   float & weight) {
    const int lane = simt::lane_index();
    for (int slot = 0; slot < router.slots; slot++) {
        Best mine = {-INFINITY, kMostRouted + lane};
#pragma unroll
        for (int i = 0; i < kEntries; i++) {
            const int each = simt::kWarp * i + lane;
            if (scores.chosen_by[i] > -INFINITY) mine = better(mine, {scores.chosen_by[i], each});
        }
        const Best best = best_of_warp(mine);
        float worth = 0.0f;
#pragma unroll
        for (int i = 0; i < kEntries; i++) {
            if (simt::kWarp * i + lane != best.index) continue;
            worth = scores.weight[i];
            scores.chosen_by[i] = -INFINITY;
        }
        worth = simt::shuffle(worth, best.index % simt::kWarp);
        if (lane == slot) {
            expert = best.index;
            weight = worth;
        }
    }
}

DEVICE float finish_weight(const moe_router & router, float weight) {
    const bool mine = simt::lane_index() < router.slots;
    if (router.scoring == MOE_SOFTMAX_CHOSEN) {
        const float largest = simt::warp_max(mine ? weight : -INFINITY);
        weight = mine ? expf(weight - largest) : 0.0f;
        weight /= simt::warp_sum(weight);
    }
    if (router.normalise) {
        const float sum = simt::warp_sum(mine ? weight : 0.0f);
        weight /= fmaxf(sum, router.smallest_sum);
    }
    return weight * router.scale;
}

template <int kEntries> KERNEL(kRouterThreads, 1) route(moe_router router) {
    simt::begin_after_previous();
    const int warps = kRouterThreads / simt::kWarp;
    const int token = simt::block_index() * warps + simt::warp_index();
    if (token >= router.tokens) return;
    auto scores = read_scores<kEntries>(router, token);
    if (router.groups > 1) keep_best_groups<kEntries>(router, scores);
    int expert = 0;
    float weight = 0.0f;
    choose<kEntries>(router, scores, expert, weight);
    weight = finish_weight(router, weight);
    const int lane = simt::lane_index();
    if (lane >= router.slots) return;
    router.ids[token * router.ids_stride + lane] = expert;
    router.weights[static_cast<int64_t>(token) * router.slots + lane] = weight;
}

}  // namespace moe
