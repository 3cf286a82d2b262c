// From expert numbers per token to a short list of tiles: which pairs of token and slot belong to
// one expert, `width` of them at a time. One block does it all; the order depends on nothing but
// the numbers, so results are the same in every run.
#pragma once

#include "../include/moe_kernels.h"
#include "../simt/simt.h"

namespace moe {

struct PlanArgs {
    const int32_t * ids;
    int64_t ids_stride;
    int tokens, slots, experts;
    int with_shared;
    int width;
    moe_plan plan;
    int * counters;     // cleared for kernels that wait for one another; may be null
    int counter_count;
};

constexpr int kPlanThreads = 512;
constexpr int kPlanWarps = kPlanThreads / simt::kWarp;

inline size_t plan_shared_bytes(int experts) {
    return sizeof(int) * (static_cast<size_t>(experts) + 2) * (kPlanWarps + 3);
}

// The bin of a pair: its expert, or the last bin for pairs that name none.
DEVICE int bin_of_pair(const PlanArgs & args, int pair) {
    const int token = pair / args.slots;
    const int expert = args.ids[token * args.ids_stride + (pair - token * args.slots)];
    return expert >= 0 && expert < args.experts ? expert : args.experts + 1;
}

// Replaces counts by the sum of those before them; returns the total. Called by warp 0.
DEVICE int sum_up_before(const int * counts, int * before, int size, int divisor) {
    const int lane = simt::lane_index();
    int carried = 0;
    for (int first = 0; first < size; first += simt::kWarp) {
        const int at = first + lane;
        const int mine = at < size ? (counts[at] + divisor - 1) / divisor : 0;
        int sum = mine;
#pragma unroll
        for (int step = 1; step < simt::kWarp; step *= 2) {
            const int other = simt::shuffle(sum, lane - step < 0 ? lane : lane - step);
            if (lane >= step) sum += other;
        }
        if (at < size) before[at] = carried + sum - mine;
        carried += simt::shuffle(sum, simt::kWarp - 1);
    }
    return carried;
}

// Places the pairs of one round of kPlanThreads. `histogram` is [warp][bin] and zero before and
// after; `next` is where the next pair of each bin goes.
DEVICE void place_round(const PlanArgs & args, int first, int * next, int * histogram) {
    const int bins = args.experts + 2, thread = simt::thread_index(), warp = simt::warp_index();
    const int regular = args.tokens * args.slots, pair = first + thread;
    const int bin = pair < regular ? bin_of_pair(args, pair) : -1;
    const uint32_t alike = simt::match_any(bin);
    const int rank = simt::count_bits(alike & ((1u << simt::lane_index()) - 1));
    if (bin >= 0 && rank == 0) histogram[warp * bins + bin] = simt::count_bits(alike);
    simt::sync_block();
    for (int i = thread; i < bins; i += kPlanThreads) {  // a bin's warps one behind the other
        int sum = next[i];
        for (int w = 0; w < kPlanWarps; w++) {
            const int count = histogram[w * bins + i];
            histogram[w * bins + i] = sum;
            sum += count;
        }
        next[i] = sum;
    }
    simt::sync_block();
    if (bin >= 0) args.plan.order[histogram[warp * bins + bin] + rank] = pair;
    simt::sync_block();
    for (int i = thread; i < kPlanWarps * bins; i += kPlanThreads) histogram[i] = 0;
    simt::sync_block();
}

DEVICE void count_pairs(const PlanArgs & args, int * counts) {
    const int thread = simt::thread_index(), regular = args.tokens * args.slots;
    for (int pair = thread; pair < regular; pair += kPlanThreads) {
        simt::add_shared(&counts[bin_of_pair(args, pair)], 1);
    }
    if (thread == 0 && args.with_shared) counts[args.experts] = args.tokens;
}

DEVICE void write_tiles(const PlanArgs & args, const int * counts, const int * first_tile) {
    const int bins = args.experts + 2;
    for (int bin = simt::thread_index(); bin < bins; bin += kPlanThreads) {
        const int expert = bin == args.experts + 1 ? -1 : bin;
        const int begin = args.plan.bounds[bin];
        for (int done = 0, tile = first_tile[bin]; done < counts[bin]; done += args.width, tile++) {
            const int left = counts[bin] - done;
            args.plan.tiles[tile] = {expert, begin + done, left < args.width ? left : args.width, 0};
        }
    }
}

// Run by one block of kPlanThreads with plan_shared_bytes of shared memory.
DEVICE void make_plan(const PlanArgs & args, int * memory) {
    const int bins = args.experts + 2, thread = simt::thread_index();
    int * counts = memory, * next = counts + bins, * first_tile = next + bins;
    int * histogram = first_tile + bins;
    for (int i = thread; i < bins * (kPlanWarps + 3); i += kPlanThreads) memory[i] = 0;
    for (int i = thread; i < args.counter_count; i += kPlanThreads) args.counters[i] = 0;
    simt::sync_block();
    count_pairs(args, counts);
    simt::sync_block();
    if (simt::warp_index() == 0) {
        const int pairs = sum_up_before(counts, next, bins, 1);
        const int tiles = sum_up_before(counts, first_tile, bins, args.width);
        if (thread == 0) {
            args.plan.bounds[bins] = pairs;
            *args.plan.tile_count = tiles;
        }
    }
    simt::sync_block();
    for (int i = thread; i < bins; i += kPlanThreads) args.plan.bounds[i] = next[i];
    simt::sync_block();
    write_tiles(args, counts, first_tile);
    if (args.with_shared) {
        const int regular = args.tokens * args.slots, begin = next[args.experts];
        for (int i = thread; i < args.tokens; i += kPlanThreads) {
            args.plan.order[begin + i] = regular + i;
        }
    }
    for (int first = 0; first < args.tokens * args.slots; first += kPlanThreads) {
        place_round(args, first, next, histogram);
    }
}

KERNEL(kPlanThreads, 1) plan_tiles(PlanArgs args) {
    SHARED_MEMORY(memory);
    simt::begin_after_previous();
    make_plan(args, reinterpret_cast<int *>(memory));
}

}  // namespace moe
