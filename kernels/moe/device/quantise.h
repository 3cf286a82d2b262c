// Turns rows of floats into Columns. A warp takes 256 values of one row, a lane eight of them.
#pragma once

#include "columns.h"

namespace moe {

struct QuantiseArgs {
    const float * x;
    int64_t x_stride;  // floats
    int rows;
    Columns columns;
    Order order;
    int span;      // 32 or 256
    int group;     // 16 or 32
    bool with_sums;
    float fold;    // what the weights' type leaves to the activations' scales
};

// Where the lane's value i of 0 … 7 lies inside a chunk of 32.
DEVICE int place_in_chunk(Order order, int t, int i) {
    switch (order) {
        case Order::kEight: return 8 * t + i;
        case Order::kFour: return 16 * (i / 4) + 4 * t + i % 4;
        default: return 16 * (i & 1) + 4 * t + i / 2;
    }
}

DEVICE void store_sum(int8_t * sums, int group, int sum) {
    const int low = ((sum + kSumBase / 2) & (kSumBase - 1)) - kSumBase / 2;
    sums[group] = static_cast<int8_t>(low);
    sums[kSumBytes / 2 + group] = static_cast<int8_t>((sum - low) / kSumBase);
}

// The sums of the chunk's groups: lanes of one chunk add up what each has.
DEVICE void store_chunk_sums(int8_t * sums, int chunk, int t, int group, int first, int second) {
    first += simt::shuffle_xor(first, 1);
    first += simt::shuffle_xor(first, 2);
    second += simt::shuffle_xor(second, 1);
    second += simt::shuffle_xor(second, 2);
    if (t != 0) return;
    if (group == 16) {
        store_sum(sums, 2 * chunk, first);
        store_sum(sums, 2 * chunk + 1, second);
    } else {
        store_sum(sums, chunk, first + second);
        store_sum(sums, 8 + chunk, 0);
    }
}

// One unit of one row; called by a whole warp. `x` is the row's beginning.
DEVICE void quantise_unit(const QuantiseArgs & args, const float * x, int row, int unit) {
    const int lane = simt::lane_index(), chunk = lane / 4, t = lane % 4;
    const int first = 256 * unit + 32 * chunk;
    const bool inside = first < args.columns.values;
    float values[8];
    float largest = 0.0f;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        values[i] = inside ? x[first + place_in_chunk(args.order, t, i)] : 0.0f;
        largest = fmaxf(largest, fabsf(values[i]));
    }
    largest = fmaxf(largest, simt::shuffle_xor(largest, 1));
    largest = fmaxf(largest, simt::shuffle_xor(largest, 2));
    if (args.span == 256) largest = simt::warp_max(largest);

    const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    uint32_t words[2] = {0, 0};
    int sums[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int code = simt::round_to_int(values[i] * inverse);
        words[i / 4] |= (static_cast<uint32_t>(code) & 0xff) << (8 * (i % 4));
        sums[i / 4] += code;
    }
    const auto & columns = args.columns;
    if (args.with_sums) {
        int8_t * unit_sums =
            columns.sums + (static_cast<size_t>(row) * columns.units + unit) * kSumBytes;
        store_chunk_sums(unit_sums, chunk, t, args.group, sums[0], sums[1]);
    }
    if (!inside) return;
    auto * out = reinterpret_cast<uint2 *>(columns.codes +
                                           static_cast<size_t>(row) * columns.values + first + 8 * t);
    *out = {words[0], words[1]};
    const int in_span = 256 / args.span;  // spans of a unit
    if (lane % (32 / in_span) == 0) {
        columns.scales[static_cast<size_t>(row) * columns.spans + in_span * unit +
                       lane / (32 / in_span)] = largest / 127.0f * args.fold;
    }
}

// The share of warp `mine` of `warps`.
DEVICE void quantise_share(const QuantiseArgs & args, int mine, int warps) {
    for (int i = mine; i < args.rows * args.columns.units; i += warps) {
        const int row = i / args.columns.units;
        quantise_unit(args, args.x + row * args.x_stride, row, i % args.columns.units);
    }
}

constexpr int kQuantiseThreads = 256;

KERNEL(kQuantiseThreads, 1) quantise_rows(QuantiseArgs args) {
    simt::begin_after_previous();
    constexpr int kPerBlock = kQuantiseThreads / simt::kWarp;
    quantise_share(args, simt::block_index() * kPerBlock + simt::warp_index(),
                   simt::grid_size() * kPerBlock);
}

}  // namespace moe
