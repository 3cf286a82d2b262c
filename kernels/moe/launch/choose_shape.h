// Chooses how a stream kernel cuts its work. Pure: sizes in, a shape out.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../device/shape.h"

namespace moe {

struct ShapeRequest {
    int matrices;       // 1 or 2
    int64_t rows;       // of one matrix
    int64_t values;     // K
    int unit_values;    // of the type
    int unit_bytes;
    int row_bytes;
    size_t ring_bytes;  // shared memory for stages
    int64_t tiles;      // of the plan, as far as the host can guess; at least 1
    int blocks;         // that share the work
};

// A shape with `stages` of 0 does not fit.
StreamShape choose_shape(const ShapeRequest & request);

}  // namespace moe
