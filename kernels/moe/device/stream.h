// The stream kernel: every tile of the plan times every row tile of its expert. Weights pass
// through the ring once, as the file holds them; blocks take work by number, so nothing depends on
// which of them is faster.
#pragma once

#include "../include/moe_kernels.h"
#include "activation.h"
#include "multiply.h"
#include "ring.h"

namespace moe {

// One matrix per expert, as the kernels see it.
struct Experts {
    const uint8_t * first;
    const uint8_t * shared;
    const float * bias;
    int64_t expert_bytes;
    int row_bytes;
    int rows;
    int count;
};

struct StreamArgs {
    StreamShape shape;
    Experts experts[2];  // gate, up; or one alone
    Columns columns;
    int pairs_per_column;  // slots if all slots of a token read one row, else 1
    int regular_pairs;     // those above belong to the shared expert
    const int * tile_count;
    const moe_tile * tiles;
    const int * order;
    float * out;  // [pairs][rows]
    int activation;
    float alpha, limit;
};

DEVICE int column_of_pair(const StreamArgs & args, int pair) {
    if (args.pairs_per_column == 1) return pair;
    return pair < args.regular_pairs ? pair / args.pairs_per_column : pair - args.regular_pairs;
}

DEVICE const uint8_t * expert_begin(const Experts & experts, int expert) {
    return expert == experts.count ? experts.shared : experts.first + expert * experts.expert_bytes;
}

// The first row of a group inside its matrix. May lie behind the last row: then the group is idle.
DEVICE int first_row_of_group(const StreamShape & shape, int row_tile, int group) {
    const int per_matrix = shape.groups / shape.matrices;
    return (row_tile * per_matrix + group % per_matrix) * kRows;
}
DEVICE int matrix_of_group(const StreamShape & shape, int group) {
    return group / (shape.groups / shape.matrices);
}

// ------------------------------------------------------------------ the warp that fetches

// Fills the ring's next stage with piece `piece` of a row tile.
DEVICE void fetch_piece(Ring & ring, const StreamShape & shape, const Experts * experts,
                        int expert, int row_tile, int piece) {
    ring.wait_until_empty();
    uint32_t bytes = 0;
    for (int slot = simt::lane_index(); slot < shape.groups * kRows; slot += simt::kWarp) {
        const int group = slot / kRows;
        const Experts & matrix = experts[matrix_of_group(shape, group)];
        const int row = first_row_of_group(shape, row_tile, group) + slot % kRows;
        if (row >= matrix.rows) continue;
        const int begin = piece * shape.piece_bytes, left = matrix.row_bytes - begin;
        const uint8_t * from = expert_begin(matrix, expert) +
                               static_cast<int64_t>(row) * matrix.row_bytes + begin;
        bytes += fetch_row(ring.stage() + slot * shape.row_stride, from,
                           left < shape.piece_bytes ? left : shape.piece_bytes,
                           ring.full + ring.at);
    }
    announce(ring.full + ring.at, bytes);
    ring.advance();
}

DEVICE int pieces_of(const StreamShape & shape) {
    return (shape.units + shape.piece_units - 1) / shape.piece_units;
}

DEVICE void fetch_all(Ring ring, const StreamArgs & args) {
    const int work = *args.tile_count * args.shape.row_tiles, pieces = pieces_of(args.shape);
    for (int i = simt::block_index(); i < work; i += simt::grid_size()) {
        const int expert = args.tiles[i / args.shape.row_tiles].expert;
        if (expert < 0) continue;
        for (int piece = 0; piece < pieces; piece++) {
            fetch_piece(ring, args.shape, args.experts, expert, i % args.shape.row_tiles, piece);
        }
    }
}

// ------------------------------------------------------------------ the warps that compute

// The consumer warp's part in a row tile.
struct Part {
    int group, slice, slices;
    bool idle;
};

DEVICE Part part_of_warp(const StreamShape & shape, const Experts * experts, int row_tile) {
    Part part;
    part.group = simt::warp_index() % shape.groups;
    part.slice = simt::warp_index() / shape.groups;
    part.slices = kConsumers / shape.groups;
    part.idle = first_row_of_group(shape, row_tile, part.group) >=
                experts[matrix_of_group(shape, part.group)].rows;
    return part;
}

// Multiplies the ring's next stage, which holds piece `piece`, and gives it back.
template <class T, int kTiles>
DEVICE void multiply_piece(Sums<kTiles> & sums, Ring & ring, const StreamShape & shape,
                           const Experts * experts, const Part & part, int expert, int row_tile,
                           int piece, const Columns & columns, const ColumnRows<kTiles> & rows,
                           int tiles) {
    ring.wait_until_full();
    if (!part.idle) {
        constexpr int kUnitBytes = T::kUnitValues / T::kBlockValues * T::kBlockBytes;
        const Experts & matrix = experts[matrix_of_group(shape, part.group)];
        const int row = first_row_of_group(shape, row_tile, part.group) + simt::lane_index() / 4;
        // A row lies as far behind a multiple of 16 bytes as it does in the file.
        const auto from = reinterpret_cast<uintptr_t>(expert_begin(matrix, expert)) +
                          static_cast<size_t>(row) * matrix.row_bytes +
                          static_cast<size_t>(piece) * shape.piece_bytes;
        const int slot = part.group * kRows + simt::lane_index() / 4;
        const uint8_t * row0 = ring.stage() + slot * shape.row_stride + (from & 15);
        const uint8_t * row1 = ring.stage() + (slot + 8) * shape.row_stride +
                               ((from + 8 * static_cast<size_t>(matrix.row_bytes)) & 15);
        const int skew = static_cast<int>(from & 3);
        const int first = piece * shape.piece_units;
        const int left = shape.units - first;
        const int here = left < shape.piece_units ? left : shape.piece_units;
        for (int u = part.slice; u < here; u += part.slices) {
            add_unit<T, kTiles>(sums, row0 + u * kUnitBytes, row1 + u * kUnitBytes, skew, columns,
                                rows, first + u, tiles);
        }
    }
    ring.give_back();
    ring.advance();
}

template <int kTiles>
DEVICE ColumnRows<kTiles> find_columns(const StreamArgs & args, const moe_tile & tile) {
    const int g = simt::lane_index() / 4, t = simt::lane_index() % 4;
    ColumnRows<kTiles> rows;
#pragma unroll
    for (int j = 0; j < kTiles; j++) {
        const int given = 8 * j + g, got = 8 * j + 2 * t;
        const auto row = [&](int column) {
            return column_of_pair(args, args.order[tile.first + (column < tile.count ? column : 0)]);
        };
        rows.given[j] = row(given);
        rows.got[j][0] = row(got);
        rows.got[j][1] = row(got + 1);
    }
    return rows;
}

// Lays a warp's sums down where the others find them: [warp][column][row].
template <int kTiles>
DEVICE void lay_down(const Sums<kTiles> & sums, float * table, int warp, int tiles) {
    const int g = simt::lane_index() / 4, t = simt::lane_index() % 4;
#pragma unroll
    for (int j = 0; j < kTiles; j++) {
        if (j >= tiles) continue;
        float * mine = table + warp * (kTiles * 8 * kRows) + (8 * j + 2 * t) * kRows + g;
        mine[0] = sums.of[j][0];
        mine[kRows] = sums.of[j][1];
        mine[8] = sums.of[j][2];
        mine[kRows + 8] = sums.of[j][3];
    }
}

// The whole sum of one output of a group: its slices one after the other, always in this order.
template <int kTiles>
DEVICE float add_slices(const float * table, const StreamShape & shape, int group, int column,
                        int row) {
    float sum = 0.0f;
    for (int warp = group; warp < kConsumers; warp += shape.groups) {
        sum += table[warp * (kTiles * 8 * kRows) + column * kRows + row];
    }
    return sum;
}

DEVICE float bias_of(const Experts & experts, int expert, int row) {
    if (experts.bias == nullptr || expert == experts.count) return 0.0f;
    return experts.bias[static_cast<int64_t>(expert) * experts.rows + row];
}

// Adds up, joins gate and up, and stores: by all consumer threads.
template <int kTiles>
DEVICE void store_tile(const StreamArgs & args, const moe_tile & tile, int row_tile,
                       const float * table) {
    const StreamShape & shape = args.shape;
    const int per_matrix = shape.groups / shape.matrices, high = per_matrix * kRows;
    const int rows = args.experts[0].rows;
    for (int i = simt::thread_index(); i < high * tile.count; i += kConsumers * simt::kWarp) {
        const int column = i / high, in_tile = i % high, group = in_tile / kRows;
        const int row = row_tile * high + in_tile;
        if (row >= rows) continue;
        float value = 0.0f;
        if (tile.expert >= 0) {
            value = add_slices<kTiles>(table, shape, group, column, in_tile % kRows) +
                    bias_of(args.experts[0], tile.expert, row);
            if (shape.matrices == 2) {
                const float up = add_slices<kTiles>(table, shape, group + per_matrix, column,
                                                    in_tile % kRows) +
                                 bias_of(args.experts[1], tile.expert, row);
                value = activate(args.activation, value, up, args.alpha, args.limit);
            }
        }
        args.out[static_cast<size_t>(args.order[tile.first + column]) * rows + row] = value;
    }
}

template <class T, int kTiles>
DEVICE void multiply_all(Ring ring, const StreamArgs & args, float * table) {
    const int work = *args.tile_count * args.shape.row_tiles, pieces = pieces_of(args.shape);
    int half = 0;  // of the table: one is read while the next is written
    for (int i = simt::block_index(); i < work; i += simt::grid_size()) {
        const moe_tile tile = args.tiles[i / args.shape.row_tiles];
        const int row_tile = i % args.shape.row_tiles;
        float * mine = table + half * (kConsumers * kTiles * 8 * kRows);
        if (tile.expert >= 0) {
            const int tiles = (tile.count + 7) / 8;
            const Part part = part_of_warp(args.shape, args.experts, row_tile);
            const auto rows = find_columns<kTiles>(args, tile);
            Sums<kTiles> sums;
            sums.clear();
            for (int piece = 0; piece < pieces; piece++) {
                multiply_piece<T, kTiles>(sums, ring, args.shape, args.experts, part, tile.expert,
                                          row_tile, piece, args.columns, rows, tiles);
            }
            lay_down<kTiles>(sums, mine, simt::warp_index(), tiles);
        }
        simt::sync_some(1, kConsumers * simt::kWarp);
        store_tile<kTiles>(args, tile, row_tile, mine);
        half ^= 1;
    }
}

template <int kTiles> BOTH int table_bytes() {
    return 2 * kConsumers * kTiles * 8 * kRows * static_cast<int>(sizeof(float));
}

template <class T, int kTiles>
KERNEL(kStreamThreads, blocks_per_processor(kTiles)) stream(StreamArgs args) {
    SHARED_MEMORY(memory);
    uint8_t * table = memory + kBarrierBytes;
    const Ring ring = make_ring(memory, table + table_bytes<kTiles>(), stage_bytes(args.shape),
                                args.shape.stages);
    simt::begin_after_previous();
    if (simt::warp_index() == kConsumers) fetch_all(ring, args);
    else multiply_all<T, kTiles>(ring, args, reinterpret_cast<float *>(table));
}

}  // namespace moe
