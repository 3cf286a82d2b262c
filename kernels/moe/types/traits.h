// What a quantised type tells the stream kernel: how a block lies in memory and how one lane turns
// its part of it into bytes for the tensor core. Adding a type is one such structure; see
// kernels/README.md.
#pragma once

#include "words.h"

namespace moe {

// The eight values of a 32-value chunk that lane t of four holds, in two words. Activations are
// laid out in the same order when they are quantised, so no order costs anything.
enum class Order {
    kEight,   // 8t … 8t + 7
    kFour,    // 4t … 4t + 3 | 16 + 4t … 16 + 4t + 3: each word lies in one group of 16
    kNibble,  // 4t, 16 + 4t, 4t + 1, 17 + 4t | 4t + 2, 18 + 4t, …: nibbles as they come
};

// What is taken off a block besides the codes.
enum class Lower {
    kNothing,
    kOffset,  // every code is too high by kOffset: code - kOffset
    kMinimum  // every group has a minimum of its own, scaled by a second factor of the block
};

// A constant left out of a type's `factor` is folded into the scale of the activations: kFold.

// A block of 256 values with integer scales per group. Members of such a type:
//   Head                    what the block's head says, in registers
//   head(block, t)          reads it
//   codes(block, chunk, t, words)   the lane's eight codes of one 32-value chunk
//   scale(head, group)      the integer scale of a group of kGroup values
//   lower_word(head, block, t)      four bytes, 4t …, of what multiplies the sums of the groups
//   factor(head)            the block's scale;  minimum(head) that of its minima
struct SuperBlock {
    static constexpr int kBlockValues = 256;
    static constexpr int kUnitValues = 256;  // what a warp does at once
    static constexpr int kSpan = 256;        // values of an activation that share a scale
    static constexpr bool kIntegerScales = true;
    static constexpr int kOffset = 0;
    static constexpr float kFold = 1.0f;
    static constexpr bool kManyRegisters = false;
    template <class Head> MEMBER float minimum(const Head &) { return 0.0f; }
    template <class Head> MEMBER uint32_t lower_word(const Head &, const uint8_t *, int) {
        return 0;
    }
};

// A block of 32 values with one floating-point scale. Members, for block `index` of a unit that begins
// `skew` bytes behind a 4-byte boundary (skew is the same for all units of a row):
//   codes(unit, index, skew, t, words)   factor(unit, index)
struct SmallBlock {
    static constexpr int kBlockValues = 32;
    static constexpr int kUnitValues = 128;
    static constexpr int kSpan = 32;
    static constexpr int kGroup = 32;
    static constexpr bool kIntegerScales = false;
    static constexpr Lower kLower = Lower::kNothing;
    static constexpr int kOffset = 0;
    static constexpr float kFold = 1.0f;
    static constexpr bool kManyRegisters = false;
};

}  // namespace moe
