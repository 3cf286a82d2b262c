// How a stream kernel cuts its work; the host chooses it (launch/choose_shape.h), the device obeys.
#pragma once

#include <stdint.h>

#include "../simt/both.h"

namespace moe {

constexpr int kRows = 16;          // of one tensor core product
constexpr int kConsumers = 8;      // warps that compute; one more fetches
constexpr int kStreamThreads = (kConsumers + 1) * 32;

// How many blocks share a multiprocessor. Two of nine warps leave a lane 96 registers, which is
// enough for one tile of eight columns and not for more.
BOTH int blocks_per_processor(int tiles) { return tiles > 1 ? 1 : 2; }

// A block computes one row tile of one expert at a time. A row tile is `groups` times 16 rows: of
// one matrix, or half of them of gate and half of up. Each group belongs to kConsumers / groups
// warps, which share the row's length among them. The tile's rows arrive in pieces of
// `piece_units` units, one piece in each of the ring's stages.
struct StreamShape {
    int matrices;     // 1, or 2: gate and up
    int groups;       // 1, 2, 4 or 8; a multiple of `matrices`
    int units;        // of a whole row, rounded up
    int piece_units;
    int piece_bytes;
    int row_stride;   // of a row in a stage: 16 bytes more than a multiple of 128 avoids conflicts
    int stages;
    int row_tiles;    // of one expert
};

BOTH int stage_bytes(const StreamShape & shape) {
    return shape.groups * kRows * shape.row_stride;
}

}  // namespace moe
