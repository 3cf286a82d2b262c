// Q2_K … Q6_K: 256 values in groups of 16 or 32 with integer scales.
#pragma once

#include "traits.h"

namespace moe {

// Twelve bytes hold eight 6-bit scales and eight 6-bit minima, as in Q4_K and Q5_K.
struct SixBitHead {
    float factor, minimum;
    uint32_t scales[2], minima[2];
};

MEMBER SixBitHead read_six_bit_head(const uint8_t * block) {
    const uint4 words = simt::load<uint4>(block);
    SixBitHead head;
    head.factor = simt::half_to_float(words.x & 0xffff);
    head.minimum = simt::half_to_float(words.x >> 16);
    head.scales[0] = words.y & 0x3f3f3f3fu;
    head.scales[1] = (words.w & 0x0f0f0f0fu) | ((words.y >> 2) & 0x30303030u);
    head.minima[0] = words.z & 0x3f3f3f3fu;
    head.minima[1] = ((words.w >> 4) & 0x0f0f0f0fu) | ((words.z >> 2) & 0x30303030u);
    return head;
}

// Eight minima: lanes 0 and 1 of four hold them, the sums of groups 8 … 15 do not exist.
MEMBER uint32_t eight_minima_word(const SixBitHead & head, int t) {
    return t == 0 ? head.minima[0] : t == 1 ? head.minima[1] : 0;
}

struct Q4K : SuperBlock {
    static constexpr int kType = 12, kBlockBytes = 144, kAlign = 16, kGroup = 32;
    static constexpr Order kOrder = Order::kEight;
    static constexpr Lower kLower = Lower::kMinimum;
    using Head = SixBitHead;
    MEMBER Head head(const uint8_t * block, int) { return read_six_bit_head(block); }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        const uint2 bytes = simt::load<uint2>(block + 16 + 32 * (chunk / 2) + 8 * t);
        words[0] = (bytes.x >> (4 * (chunk & 1))) & 0x0f0f0f0fu;
        words[1] = (bytes.y >> (4 * (chunk & 1))) & 0x0f0f0f0fu;
    }
    MEMBER int scale(const Head & head, int group) { return byte_of(head.scales[group / 4], group % 4); }
    MEMBER uint32_t lower_word(const Head & head, const uint8_t *, int t) {
        return eight_minima_word(head, t);
    }
    MEMBER float factor(const Head & head) { return head.factor; }
    MEMBER float minimum(const Head & head) { return head.minimum; }
};

struct Q5K : SuperBlock {
    static constexpr int kType = 13, kBlockBytes = 176, kAlign = 16, kGroup = 32;
    static constexpr Order kOrder = Order::kEight;
    static constexpr Lower kLower = Lower::kMinimum;
    using Head = SixBitHead;
    MEMBER Head head(const uint8_t * block, int) { return read_six_bit_head(block); }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        const uint2 bytes = simt::load<uint2>(block + 48 + 32 * (chunk / 2) + 8 * t);
        const uint2 tops = simt::load<uint2>(block + 16 + 8 * t);  // bit `chunk` of each byte
        words[0] = ((bytes.x >> (4 * (chunk & 1))) & 0x0f0f0f0fu) |
                   (((tops.x >> chunk) & 0x01010101u) << 4);
        words[1] = ((bytes.y >> (4 * (chunk & 1))) & 0x0f0f0f0fu) |
                   (((tops.y >> chunk) & 0x01010101u) << 4);
    }
    MEMBER int scale(const Head & head, int group) { return byte_of(head.scales[group / 4], group % 4); }
    MEMBER uint32_t lower_word(const Head & head, const uint8_t *, int t) {
        return eight_minima_word(head, t);
    }
    MEMBER float factor(const Head & head) { return head.factor; }
    MEMBER float minimum(const Head & head) { return head.minimum; }
};

struct Q6K : SuperBlock {
    static constexpr int kType = 14, kBlockBytes = 210, kAlign = 2, kGroup = 16;
    static constexpr Order kOrder = Order::kFour;
    static constexpr Lower kLower = Lower::kOffset;
    static constexpr int kOffset = 32;
    struct Head {
        float factor;
        uint32_t scales[4];
    };
    MEMBER Head head(const uint8_t * block, int) {
        Head head;
        head.factor = simt::half_to_float(simt::load<uint16_t>(block + 208));
#pragma unroll
        for (int i = 0; i < 4; i++) head.scales[i] = load_word<kAlign>(block + 192 + 4 * i);
        return head;
    }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        const int half = chunk / 4, quarter = chunk % 4;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int at = 16 * i + 4 * t;
            const uint32_t low = load_word<kAlign>(block + 64 * half + 32 * (quarter & 1) + at);
            const uint32_t top = load_word<kAlign>(block + 128 + 32 * half + at);
            words[i] = ((low >> (4 * (quarter / 2))) & 0x0f0f0f0fu) |
                       (((top >> (2 * quarter)) & 0x03030303u) << 4);
        }
    }
    MEMBER int scale(const Head & head, int group) {
        return signed_byte_of(head.scales[group / 4], group % 4);
    }
    MEMBER uint32_t lower_word(const Head &, const uint8_t * block, int t) {
        return load_word<kAlign>(block + 192 + 4 * t);
    }
    MEMBER float factor(const Head & head) { return head.factor; }
};

struct Q2K : SuperBlock {
    static constexpr int kType = 10, kBlockBytes = 84, kAlign = 4, kGroup = 16;
    static constexpr Order kOrder = Order::kFour;
    static constexpr Lower kLower = Lower::kMinimum;
    struct Head {
        float factor, minimum;
        uint32_t scales[4];
    };
    MEMBER Head head(const uint8_t * block, int) {
        Head head;
        const uint32_t factors = simt::load<uint32_t>(block + 80);
        head.factor = simt::half_to_float(factors & 0xffff);
        head.minimum = simt::half_to_float(factors >> 16);
#pragma unroll
        for (int i = 0; i < 4; i++) {  // low nibbles; the high ones are minima
            head.scales[i] = simt::load<uint32_t>(block + 4 * i) & 0x0f0f0f0fu;
        }
        return head;
    }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
        const uint8_t * bytes = block + 16 + 32 * (chunk / 4) + 4 * t;
        words[0] = (simt::load<uint32_t>(bytes) >> (2 * (chunk % 4))) & 0x03030303u;
        words[1] = (simt::load<uint32_t>(bytes + 16) >> (2 * (chunk % 4))) & 0x03030303u;
    }
    MEMBER int scale(const Head & head, int group) {
        return byte_of(head.scales[group / 4], group % 4);
    }
    MEMBER uint32_t lower_word(const Head &, const uint8_t * block, int t) {
        return (simt::load<uint32_t>(block + 4 * t) >> 4) & 0x0f0f0f0fu;
    }
    MEMBER float factor(const Head & head) { return head.factor; }
    MEMBER float minimum(const Head & head) { return head.minimum; }
};

struct Q3K : SuperBlock {
    static constexpr int kType = 11, kBlockBytes = 110, kAlign = 2, kGroup = 16;
    static constexpr Order kOrder = Order::kFour;
    static constexpr Lower kLower = Lower::kOffset;
    static constexpr int kOffset = 4;
    struct Head {
        float factor;
        uint32_t scales[4];  // signed bytes
    };
    MEMBER Head head(const uint8_t * block, int) {
        Head head;
        head.factor = simt::half_to_float(simt::load<uint16_t>(block + 108));
        const uint32_t low = load_word<kAlign>(block + 96), high = load_word<kAlign>(block + 100);
        const uint32_t top = load_word<kAlign>(block + 104);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint32_t nibbles = ((i & 1 ? high : low) >> (i < 2 ? 0 : 4)) & 0x0f0f0f0fu;
            const uint32_t tops = ((top >> (2 * i)) & 0x03030303u) << 4;
            head.scales[i] = subtract_bytes(nibbles | tops, 0x20202020u);
        }
        return head;
    }
    MEMBER void codes(const uint8_t * block, int chunk, int t, uint32_t (&words)[2]) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int at = 16 * i + 4 * t;
            const uint32_t low = load_word<kAlign>(block + 32 + 32 * (chunk / 4) + at);
            const uint32_t top = load_word<kAlign>(block + at);
            words[i] = ((low >> (2 * (chunk % 4))) & 0x03030303u) |
                       (((top >> chunk) & 0x01010101u) << 2);
        }
    }
    MEMBER int scale(const Head & head, int group) {
        return signed_byte_of(head.scales[group / 4], group % 4);
    }
    MEMBER uint32_t lower_word(const Head & head, const uint8_t *, int t) {
        const uint32_t low = t & 1 ? head.scales[1] : head.scales[0];
        const uint32_t high = t & 1 ? head.scales[3] : head.scales[2];
        return t < 2 ? low : high;
    }
    MEMBER float factor(const Head & head) { return head.factor; }
};

}  // namespace moe
