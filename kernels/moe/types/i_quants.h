// IQ4_XS, IQ2_XXS, IQ1_S, IQ1_M: 256 values by tables.
#pragma once

#include "grids.h"
#include "tables.h"
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
    struct Head {
        float factor;
        uint32_t scales;  // a nibble per group
    };
    MEMBER Head head(const uint8_t * block, int) {
        Head head = {simt::half_to_float(simt::load<uint16_t>(block)) * 0.125f, 0};
#pragma unroll
        for (int group = 0; group < 8; group++) {
            head.scales |= (simt::load<uint8_t>(block + 9 + 8 * group) >> 4) << (4 * group);
        }
        return head;
    }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        const uint32_t signs = load_word<kAlign>(block + 6 + 8 * chunk) >> (7 * t);
        const uint2 grid = simt::load<uint2>(&kIq2XxsGrid[2 * simt::load<uint8_t>(block + 2 + 8 * chunk + t)]);
        // Seven signs are stored; the eighth makes their number even.
        const uint32_t seven = signs & 0x7f;
        const uint32_t eighth = simt::count_bits(seven) & 1;
        words[0] = negate_bytes(grid.x, seven & 0xf);
        words[1] = negate_bytes(grid.y, (seven >> 4) | (eighth << 3));
    }
    MEMBER int scale(const Head & head, int group) {
        return 2 * ((head.scales >> (4 * group)) & 0xf) + 1;
    }
    MEMBER float factor(const Head & head) { return head.factor; }

  private:
    // Bytes of `word` (none is 0) with their sign turned where a bit of `signs` is set.
    MEMBER uint32_t negate_bytes(uint32_t word, uint32_t signs) {
        const uint32_t ones = (signs * 0x00204081u) & 0x01010101u;  // bit i to byte i
        return (word ^ (ones * 255)) + ones;
    }
};

// A row of the ternary grid holds eight values v + 1 as nibbles; values 0 … 3 are the low ones.
// Codes are 8v ± 1: the type's shift of an eighth is exact in integers, and 1/8 is in the factor.
MEMBER uint32_t shifted_ternary(uint32_t grid, int high, bool down) {
    const uint32_t eights = (high ? grid >> 1 : grid << 3) & 0x78787878u;
    return (eights + (down ? 0x77777777u : 0x79797979u)) ^ 0x80808080u;
}

struct IQ1S : SuperBlock {
    static constexpr int kType = 19, kBlockBytes = 50, kAlign = 2, kGroup = 32;
    static constexpr Order kOrder = Order::kEight;
    static constexpr Lower kLower = Lower::kNothing;
    struct Head {
        float factor;
        uint32_t scales;
    };
    MEMBER Head head(const uint8_t * block, int) {
        Head head = {simt::half_to_float(simt::load<uint16_t>(block)) * 0.125f, 0};
#pragma unroll
        for (int group = 0; group < 8; group++) {
            const uint32_t top = simt::load<uint16_t>(block + 34 + 2 * group);
            head.scales |= ((top >> 12) & 7) << (4 * group);
        }
        return head;
    }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        const uint32_t top = simt::load<uint16_t>(block + 34 + 2 * chunk);
        const int row = simt::load<uint8_t>(block + 2 + 4 * chunk + t) | (((top >> (3 * t)) & 7) << 8);
        const uint32_t grid = simt::load_constant(&kTernaryGrid[row]);
        words[0] = shifted_ternary(grid, 0, top & 0x8000);
        words[1] = shifted_ternary(grid, 1, top & 0x8000);
    }
    MEMBER int scale(const Head & head, int group) {
        return 2 * ((head.scales >> (4 * group)) & 7) + 1;
    }
    MEMBER float factor(const Head & head) { return head.factor; }
};

struct IQ1M : SuperBlock {
    static constexpr int kType = 29, kBlockBytes = 56, kAlign = 8, kGroup = 16;
    static constexpr Order kOrder = Order::kFour;
    static constexpr Lower kLower = Lower::kNothing;
    struct Head {
        float factor;
        uint32_t scales[2];  // four times 12 bits of scales, 4 bits of the factor
    };
    MEMBER Head head(const uint8_t * block, int) {
        const uint2 words = simt::load<uint2>(block + 48);
        const uint32_t factor = ((words.x >> 12) & 0xf) | ((words.x >> 24) & 0xf0) |
                                ((words.y >> 4) & 0xf00) | ((words.y >> 16) & 0xf000);
        return {simt::half_to_float(factor) * 0.125f, {words.x, words.y}};
    }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        // Each word lies in one group of 16, so it is one half of a grid row: rows t / 2 and
        // 2 + t / 2, of each the half t & 1.
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int eight = 2 * i + t / 2;
            const uint32_t top = simt::load<uint8_t>(block + 32 + 2 * chunk + i) >> (4 * (t / 2));
            const int row = simt::load<uint8_t>(block + 4 * chunk + eight) | ((top & 7) << 8);
            words[i] = shifted_ternary(simt::load_constant(&kTernaryGrid[row]), t & 1, top & 8);
        }
    }
    MEMBER int scale(const Head & head, int group) {
        const int shift = 16 * ((group / 4) & 1) + 3 * (group % 4);
        return 2 * ((head.scales[group / 8] >> shift) & 7) + 1;
    }
    MEMBER float factor(const Head & head) { return head.factor; }
};

}  // namespace moe
