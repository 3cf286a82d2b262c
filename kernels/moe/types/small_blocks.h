// Q8_0, Q4_0, IQ4_NL, MXFP4: 32 values and one scale.
#pragma once

#include "tables.h"
#include "traits.h"

namespace moe {

struct Q80 : SmallBlock {
    static constexpr int kType = 8, kBlockBytes = 34, kAlign = 2;
    static constexpr Order kOrder = Order::kFour;
    MEMBER void codes(const uint8_t * unit, int index, int, int t, uint32_t (&words)[2]) {
        const uint8_t * block = unit + index * kBlockBytes;
        words[0] = load_word<kAlign>(block + 2 + 4 * t);
        words[1] = load_word<kAlign>(block + 18 + 4 * t);
    }
    MEMBER float factor(const uint8_t * unit, int index) {
        return simt::half_to_float(simt::load<uint16_t>(unit + index * kBlockBytes));
    }
};

struct Q40 : SmallBlock {
    static constexpr int kType = 2, kBlockBytes = 18, kAlign = 2;
    static constexpr float kFold = 1.0f / 16;
    static constexpr Order kOrder = Order::kFour;
    // A nibble in the upper half of a byte, its top bit turned over, is 16 * (q - 8) as it stands.
    MEMBER void codes(const uint8_t * unit, int index, int, int t, uint32_t (&words)[2]) {
        const uint8_t * block = unit + index * kBlockBytes;
        const uint32_t nibbles = load_word<kAlign>(block + 2 + 4 * t);
        words[0] = ((nibbles << 4) & 0xf0f0f0f0u) ^ 0x80808080u;
        words[1] = (nibbles & 0xf0f0f0f0u) ^ 0x80808080u;
    }
    MEMBER float factor(const uint8_t * unit, int index) {
        return simt::half_to_float(simt::load<uint16_t>(unit + index * kBlockBytes));
    }
};

struct IQ4NL : SmallBlock {
    static constexpr int kType = 20, kBlockBytes = 18, kAlign = 2;
    static constexpr Order kOrder = Order::kNibble;
    MEMBER void codes(const uint8_t * unit, int index, int, int t, uint32_t (&words)[2]) {
        const uint8_t * block = unit + index * kBlockBytes;
        look_up_nibbles<Iq4Values>(load_word<kAlign>(block + 2 + 4 * t), words[0], words[1]);
    }
    MEMBER float factor(const uint8_t * unit, int index) {
        return simt::half_to_float(simt::load<uint16_t>(unit + index * kBlockBytes));
    }
};

// Blocks of 17 bytes lie at any alignment. Four of them, a unit, are 17 words: all units of a row
// are alike, so the compiler computes where to load once per row.
struct MXFP4 : SmallBlock {
    static constexpr int kType = 39, kBlockBytes = 17, kAlign = 1;
    static constexpr Order kOrder = Order::kNibble;
    static constexpr float kFold = 0.5f;  // the table holds doubled values
    MEMBER void codes(const uint8_t * unit, int index, int skew, int t, uint32_t (&words)[2]) {
        const int at = skew + index * kBlockBytes + 1;
        look_up_nibbles<Fp4Values>(load_word_at(unit - skew + 4 * t, at), words[0], words[1]);
    }
    // 2^(e - 127). The smallest exponent gives 0 instead of 6e-39.
    MEMBER float factor(const uint8_t * unit, int index) {
        const uint32_t exponent = simt::load<uint8_t>(unit + index * kBlockBytes);
        return simt::bits_to_float(exponent << 23);
    }
};

}  // namespace moe
