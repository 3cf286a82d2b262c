// Activations as the tensor core reads them: rows of 8-bit codes in the weights' order, a scale per
// span of values, and what the weights' offsets and minima are multiplied by.
#pragma once

#include "../types/traits.h"

namespace moe {

// Sums of a 256-value unit's groups (16 of 16 values, or 8 of 32 and 8 zeros), each as
// low + 64 * high, so that both halves fit a tensor core's 8 bits. 32 bytes per unit.
constexpr int kSumBytes = 32;
constexpr int kSumBase = 64;

struct Columns {
    int8_t * codes;   // [rows][values]
    float * scales;   // [rows][spans]
    int8_t * sums;    // [rows][units][kSumBytes]; null if the weights' type needs none
    int values;       // K
    int spans;        // of a row, with those that only fill up to a multiple of four
    int units;        // of 256 values
};

// Which rows of the activations a warp multiplies with, per tile of eight columns. Lane 4g + t
// gives the tensor core column g and gets back columns 2t and 2t + 1. Columns that do not exist
// repeat the first one; nobody reads their result.
template <int kTiles> struct ColumnRows {
    int given[kTiles];
    int got[kTiles][2];
};

}  // namespace moe
