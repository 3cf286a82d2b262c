// IQ4_XS, IQ2_XXS, IQ1_S, IQ1_M: 256 values by tables.
#pragma once

#include "grids.h"
#include "tables.h"
#include "ternary_grid.h"
#include "traits.h"

namespace moe {

struct IQ4XS : SuperBlock {
    static constexpr int kType = 23, kBlockBytes = 136, kAlign = 8, kGroup = 32;
    static constexpr Order kOrder = Order::kNibble;
    static constexpr Lower kLower = Lower::kNothing;
    struct Head {
        float factor;
        uint32_t low, top;  // four bits and two bits of each scale
    };
    MEMBER Head head(const uint8_t * block, int) {
        const uint2 words = simt::load<uint2>(block);
        return {simt::half_to_float(words.x & 0xffff), words.y, words.x >> 16};
    }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        const auto nibbles = simt::load<uint32_t>(block + 8 + 16 * chunk + 4 * t);
        look_up_nibbles<Iq4Values>(nibbles, words[0], words[1]);
    }
    MEMBER int scale(const Head & head, int group) {
        const int low = (head.low >> (4 * group)) & 0xf, top = (head.top >> (2 * group)) & 3;
        return (low | (top << 4)) - 32;
    }
    MEMBER float factor(const Head & head) { return head.factor; }
};

struct IQ2XXS : SuperBlock {
    static constexpr int kType = 16, kBlockBytes = 66, kAlign = 2, kGroup = 32;
    static constexpr Order kOrder = Order::kEight;
    static constexpr Lower kLower = Lower::kNothing;
    static constexpr float kFold = 0.125f;
    static constexpr bool kManyRegisters = true;
    struct Head {
        float factor;
        const uint8_t * block;  // scales are read where they are used: registers are scarce
    };
    MEMBER Head head(const uint8_t * block, int) {
        return {simt::half_to_float(simt::load<uint16_t>(block)), block};
    }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        const int row = simt::load<uint8_t>(block + 2 + 8 * chunk + t);
        const uint32_t signs = (load_word<kAlign>(block + 6 + 8 * chunk) >> (7 * t)) & 0x7f;
        const auto grid = simt::load_constant(reinterpret_cast<const uint2 *>(kIq2XxsGrid) + row);
        const auto turn = simt::load_constant(reinterpret_cast<const uint2 *>(kSignBytes) + signs);
        // -x is ~x + 1; no magnitude is 0, so nothing is carried from one byte to the next.
        words[0] = (grid.x ^ turn.x) + (turn.x & 0x01010101u);
        words[1] = (grid.y ^ turn.y) + (turn.y & 0x01010101u);
    }
    MEMBER int scale(const Head & head, int group) {
        return 2 * (simt::load<uint8_t>(head.block + 9 + 8 * group) >> 4) + 1;
    }
    MEMBER float factor(const Head & head) { return head.factor; }
};

// Eight values -1, 0 or 1 of the ternary grid, times eight. IQ1_S and IQ1_M shift values by an
// eighth up or down; times eight everything is an integer, and 1/8 is in kFold.
DEVICE uint2 ternary_eights(int row) {
    return simt::load_constant(reinterpret_cast<const uint2 *>(kTernaryEights) + row);
}

struct IQ1S : SuperBlock {
    static constexpr int kType = 19, kBlockBytes = 50, kAlign = 2, kGroup = 32;
    static constexpr Order kOrder = Order::kEight;
    static constexpr Lower kLower = Lower::kOffset;  // the shift: one for a whole group
    static constexpr int kOffset = 1;
    static constexpr float kFold = 0.125f;
    static constexpr bool kManyRegisters = true;
    struct Head {
        float factor;
        uint32_t scales[2];  // odd numbers up to 15, four to a word
        uint32_t shifts;     // this lane's four, signed: of groups 4t …, for t < 2
    };
    MEMBER Head head(const uint8_t * block, int t) {
        Head head = {};
        head.factor = simt::half_to_float(simt::load<uint16_t>(block));
        uint32_t down[2];  // 0x80 where the values lie an eighth lower
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const uint32_t first = load_word<kAlign>(block + 34 + 8 * i);
            const uint32_t second = load_word<kAlign>(block + 38 + 8 * i);
            const uint32_t bits = simt::pick_bytes(first, second, 0x7531);
            head.scales[i] = ((bits >> 3) & 0x0e0e0e0eu) | 0x01010101u;
            down[i] = bits & 0x80808080u;
        }
        if (t < 2) {
            // Off comes minus the scale where the shift goes up. Scales are below 128, not 0.
            const uint32_t scales = t == 0 ? head.scales[0] : head.scales[1];
            const uint32_t ups = ((~(t == 0 ? down[0] : down[1])) & 0x80808080u) >> 7;
            head.shifts = (scales ^ (ups * 255)) + ups;
        }
        return head;
    }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        const uint32_t top = simt::load<uint16_t>(block + 34 + 2 * chunk);
        const int low = simt::load<uint8_t>(block + 2 + 4 * chunk + t);
        const uint2 eights = ternary_eights(low | (((top >> (3 * t)) & 7) << 8));
        words[0] = eights.x;
        words[1] = eights.y;
    }
    MEMBER int scale(const Head & head, int group) {
        return byte_of(head.scales[group / 4], group % 4);
    }
    MEMBER uint32_t lower_word(const Head & head, const uint8_t *, int) { return head.shifts; }
    MEMBER float factor(const Head & head) { return head.factor; }
};

struct IQ1M : SuperBlock {
    static constexpr int kType = 29, kBlockBytes = 56, kAlign = 8, kGroup = 16;
    static constexpr Order kOrder = Order::kFour;
    static constexpr Lower kLower = Lower::kNothing;
    static constexpr float kFold = 0.125f;
    static constexpr bool kManyRegisters = true;
    struct Head {
        float factor;
        uint32_t scales[2];  // four times 12 bits of scales, 4 bits of the factor
    };
    MEMBER Head head(const uint8_t * block, int) {
        const uint2 words = simt::load<uint2>(block + 48);
        const uint32_t factor = ((words.x >> 12) & 0xf) | ((words.x >> 24) & 0xf0) |
                                ((words.y >> 4) & 0xf00) | ((words.y >> 16) & 0xf000);
        return {simt::half_to_float(factor), {words.x, words.y}};
    }
    // Each word lies in one group of 16, so it is one half of a grid row: rows t / 2 and 2 + t / 2,
    // of each the half t & 1. The shift differs from row to row: it is added to the codes.
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        const uint32_t tops = simt::load<uint16_t>(block + 32 + 2 * chunk) >> (4 * (t / 2));
        const uint8_t * lows = block + 4 * chunk + t / 2;
        words[0] = shifted_half(simt::load<uint8_t>(lows), tops, t & 1);
        words[1] = shifted_half(simt::load<uint8_t>(lows + 2), tops >> 8, t & 1);
    }
    MEMBER int scale(const Head & head, int group) {
        const int shift = 16 * ((group / 4) & 1) + 3 * (group % 4);
        return 2 * ((head.scales[group / 8] >> shift) & 7) + 1;
    }
    MEMBER float factor(const Head & head) { return head.factor; }

  private:
    // Bytes -8, 0, 8 plus 1, or minus 1: their low three bits are free, so plus 1 is a bit, and
    // minus 1 is plus 7 on what is 8 less.
    MEMBER uint32_t shifted_half(int low, uint32_t top, int half) {
        const int row = low | ((top & 7) << 8);
        const uint32_t eights = simt::load_constant(kTernaryEights + 2 * row + half);
        return top & 8 ? subtract_small(eights) : eights | 0x01010101u;
    }
    // -8, 0, 8 to -9, -1, 7.
    MEMBER uint32_t subtract_small(uint32_t eights) {
        return ((eights ^ 0x80808080u) - 0x01010101u) ^ 0x80808080u;
    }
};

}  // namespace moe
