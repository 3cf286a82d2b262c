// out[token] = sum over its slots of weight * row of the pair: slots in order, so always the same.
#pragma once

#include "../simt/simt.h"

namespace moe {

struct WeightedSumArgs {
    const float * rows_of_pairs;  // [pairs][rows]; the shared expert's behind all others
    const float * weights;        // [tokens][slots]
    const float * shared_weight;  // [tokens] or null for 1
    float * out;                  // [tokens][rows]
    int tokens, slots, rows;
    int with_shared;
};

constexpr int kSumThreads = 256;

KERNEL(kSumThreads, 1) weighted_sum(WeightedSumArgs args) {
    simt::begin_after_previous();
    const int64_t all = static_cast<int64_t>(args.tokens) * args.rows;
    const int64_t step = static_cast<int64_t>(simt::grid_size()) * kSumThreads;
    for (int64_t i = static_cast<int64_t>(simt::block_index()) * kSumThreads + simt::thread_index();
         i < all; i += step) {
        const int token = static_cast<int>(i / args.rows), row = static_cast<int>(i % args.rows);
        float sum = 0.0f;
        for (int slot = 0; slot < args.slots; slot++) {
            const int64_t pair = static_cast<int64_t>(token) * args.slots + slot;
            sum += args.weights[pair] * args.rows_of_pairs[pair * args.rows + row];
        }
        if (args.with_shared) {
            const int64_t pair = static_cast<int64_t>(args.tokens) * args.slots + token;
            const float weight = args.shared_weight != nullptr ? args.shared_weight[token] : 1.0f;
            sum += weight * args.rows_of_pairs[pair * args.rows + row];
        }
        args.out[i] = sum;
    }
}

}  // namespace moe
