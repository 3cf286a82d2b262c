// What the host knows of a quantised type: its layout and the kernels compiled for it.
#pragma once

#include <stdint.h>

#include "../device/columns.h"
#include "../device/feed_forward.h"
#include "../device/quantise.h"
#include "../device/stream.h"

namespace moe {

using StreamLauncher = int (*)(const moe_device & device, const StreamArgs & args, int grid);

using FeedForwardLauncher = int (*)(const moe_device & device, const FeedForwardArgs & args);

struct TypeRow {
    int type;  // ggml's number
    const char * name;
    int block_values, block_bytes;
    int unit_values;
    int span, group;
    Order order;
    bool with_sums;
    float fold;
    StreamLauncher stream[3];  // for tiles of up to 8, 16 and 32 pairs
};

// Null if the type has no kernels.
const TypeRow * find_type(int type);

constexpr int kTileWidths[3] = {8, 16, 32};

inline int unit_bytes(const TypeRow & row) {
    return row.unit_values / row.block_values * row.block_bytes;
}

// The kernel for gate and up of one type and down of another; null if there is none.
FeedForwardLauncher find_feed_forward(int type, int down_type);

// The row of one type; defined in stream_of_type.cu, which is compiled once per type.
#define MOE_TYPES(each) \
    each(Q40) each(Q80) each(Q2K) each(Q3K) each(Q4K) each(Q5K) each(Q6K) each(IQ2XXS) \
    each(IQ1S) each(IQ4NL) each(IQ4XS) each(IQ1M) each(MXFP4)

#define MOE_DECLARE(name)               \
    const TypeRow & type_row_##name(); \
    FeedForwardLauncher feed_forward_##name(int down_type);
MOE_TYPES(MOE_DECLARE)
#undef MOE_DECLARE

}  // namespace moe
