// One warp, 16 rows of weights in shared memory, up to 32 columns: the product of a unit of values
// is added to the warp's sums. The only place where weights meet activations.
#pragma once

#include "columns.h"
#include "shape.h"

namespace moe {

// Sums of a warp: per tile of eight columns, rows g, g + 8 times columns 2t, 2t + 1.
template <int kTiles> struct Sums {
    float of[kTiles][4];
    DEVICE_MEMBER void clear() {
#pragma unroll
        for (int j = 0; j < kTiles; j++) {
#pragma unroll
            for (int i = 0; i < 4; i++) of[j][i] = 0.0f;
        }
    }
};

// The lane's eight bytes of one chunk of a row of the activations.
DEVICE uint2 load_column(const Columns & columns, int row, int chunk, int t) {
    return simt::load<uint2>(columns.codes + static_cast<size_t>(row) * columns.values +
                             32 * chunk + 8 * t);
}

// What offsets or minima of the weights take off: sums of groups times bytes of the head.
template <class T, int kTiles>
DEVICE void add_lower(int (&lower)[4], uint32_t word0, uint32_t word1, const Columns & columns,
                      int row, int unit, int t) {
    const int8_t * sums =
        columns.sums + (static_cast<size_t>(row) * columns.units + unit) * kSumBytes + 4 * t;
    int low[4] = {0, 0, 0, 0}, high[4] = {0, 0, 0, 0};
    simt::mma_16(low, word0, word1, simt::load<uint32_t>(sums));
    simt::mma_16(high, word0, word1, simt::load<uint32_t>(sums + kSumBytes / 2));
#pragma unroll
    for (int i = 0; i < 4; i++) lower[i] = low[i] + kSumBase * high[i];
}

// A block of 256 values with integer scales: everything stays an integer until the block's end.
template <class T, int kTiles>
DEVICE void add_super_block(Sums<kTiles> & sums, const uint8_t * row0, const uint8_t * row1,
                            const Columns & columns, const ColumnRows<kTiles> & rows, int unit,
                            int tiles) {
    const int t = simt::lane_index() % 4;
    const auto head0 = T::head(row0, t), head1 = T::head(row1, t);
    int whole[kTiles][4];
#pragma unroll
    for (int j = 0; j < kTiles; j++) {
#pragma unroll
        for (int i = 0; i < 4; i++) whole[j][i] = 0;
    }
#pragma unroll
    for (int chunk = 0; chunk < 8; chunk++) {
        uint32_t a0[2], a1[2];
        T::codes(row0, chunk, t, a0);
        T::codes(row1, chunk, t, a1);
#pragma unroll
        for (int j = 0; j < kTiles; j++) {
            if (j >= tiles) continue;
            const uint2 b = load_column(columns, rows.given[j], 8 * unit + chunk, t);
            if constexpr (T::kGroup == 32) {
                int product[4] = {0, 0, 0, 0};
                simt::mma_32(product, a0[0], a1[0], a0[1], a1[1], b.x, b.y);
                const int scale0 = T::scale(head0, chunk), scale1 = T::scale(head1, chunk);
#pragma unroll
                for (int i = 0; i < 4; i++) whole[j][i] += (i < 2 ? scale0 : scale1) * product[i];
            } else {
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    int product[4] = {0, 0, 0, 0};
                    simt::mma_16(product, a0[h], a1[h], h == 0 ? b.x : b.y);
                    const int scale0 = T::scale(head0, 2 * chunk + h);
                    const int scale1 = T::scale(head1, 2 * chunk + h);
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        whole[j][i] += (i < 2 ? scale0 : scale1) * product[i];
                    }
                }
            }
        }
    }
    const float factor0 = T::factor(head0), factor1 = T::factor(head1);
#pragma unroll
    for (int j = 0; j < kTiles; j++) {
        if (j >= tiles) continue;
        int lower[4] = {0, 0, 0, 0};
        if constexpr (T::kLower != Lower::kNothing) {
            add_lower<T, kTiles>(lower, T::lower_word(head0, row0, t), T::lower_word(head1, row1, t),
                                 columns, rows.given[j], unit, t);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float span = columns.scales[rows.got[j][i % 2] * columns.spans + unit];
            float value = (i < 2 ? factor0 : factor1) *
                          static_cast<float>(whole[j][i] - T::kOffset * lower[i]);
            if constexpr (T::kLower == Lower::kMinimum) {
                value -= (i < 2 ? T::minimum(head0) : T::minimum(head1)) *
                         static_cast<float>(lower[i]);
            }
            sums.of[j][i] += span * value;
        }
    }
}

// One block of 32 values, number `index` of a unit.
template <class T, int kTiles>
DEVICE void add_small_block(Sums<kTiles> & sums, const uint8_t * row0, const uint8_t * row1,
                            int skew, int index, const int8_t * const (&codes)[kTiles],
                            const float (&spans)[kTiles][2], int tiles) {
    const int t = simt::lane_index() % 4;
    uint32_t a0[2], a1[2];
    T::codes(row0, index, skew, t, a0);
    T::codes(row1, index, skew, t, a1);
    const float factor0 = T::factor(row0, index), factor1 = T::factor(row1, index);
#pragma unroll
    for (int j = 0; j < kTiles; j++) {
        if (j >= tiles) continue;
        const uint2 b = simt::load<uint2>(codes[j] + 32 * index);
        int product[4] = {0, 0, 0, 0};
        simt::mma_32(product, a0[0], a1[0], a0[1], a1[1], b.x, b.y);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            sums.of[j][i] += (i < 2 ? factor0 : factor1) * spans[j][i % 2] *
                             static_cast<float>(product[i]);
        }
    }
}

// Four blocks of 32 values with a scale each, or fewer at the end of a row. Rows g and g + 8 lie
// alike in memory, because eight rows are a multiple of eight bytes.
template <class T, int kTiles>
DEVICE void add_small_blocks(Sums<kTiles> & sums, const uint8_t * row0, const uint8_t * row1,
                             int skew, const Columns & columns, const ColumnRows<kTiles> & rows,
                             int unit, int tiles) {
    const int t = simt::lane_index() % 4;
    constexpr int kBlocks = T::kUnitValues / 32;
    const int8_t * codes[kTiles];
    float4 spans[kTiles][2];
#pragma unroll
    for (int j = 0; j < kTiles; j++) {
        codes[j] = columns.codes + static_cast<size_t>(rows.given[j]) * columns.values +
                   T::kUnitValues * unit + 8 * t;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            spans[j][i] = simt::load<float4>(columns.scales + rows.got[j][i] * columns.spans +
                                             kBlocks * unit);
        }
    }
    const int left = columns.values / 32 - kBlocks * unit;
#pragma unroll
    for (int c = 0; c < kBlocks; c++) {
        if (c >= left) break;
        float span[kTiles][2];
#pragma unroll
        for (int j = 0; j < kTiles; j++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                span[j][i] = c == 0 ? spans[j][i].x : c == 1 ? spans[j][i].y
                           : c == 2 ? spans[j][i].z : spans[j][i].w;
            }
        }
        add_small_block<T, kTiles>(sums, row0, row1, skew, c, codes, span, tiles);
    }
}

// row0 and row1 point at unit `unit` of rows g and g + 8, `skew` bytes behind a 4-byte boundary.
template <class T, int kTiles>
DEVICE void add_unit(Sums<kTiles> & sums, const uint8_t * row0, const uint8_t * row1, int skew,
                     const Columns & columns, const ColumnRows<kTiles> & rows, int unit, int tiles) {
    if constexpr (T::kIntegerScales) {
        add_super_block<T, kTiles>(sums, row0, row1, columns, rows, unit, tiles);
    } else {
        add_small_blocks<T, kTiles>(sums, row0, row1, skew, columns, rows, unit, tiles);
    }
}

}  // namespace moe
