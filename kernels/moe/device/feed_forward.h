// The whole feed-forward part of an expert layer for up to eight tokens in one launch. Every block
// first computes tiles of gate and up; whoever finishes the last tile of a 256-value unit quantises
// it; then every block computes rows of down over all experts and sums them in registers, slot
// weights included. The fetching warp does not wait between the two: it knows which experts come,
// so weights of down are already on their way while the last units are being finished.
//
// All blocks must be on the device at once (a cooperative launch).
#pragma once

#include "quantise.h"
#include "stream.h"

namespace moe {

#if defined(__CUDA_ARCH__)
constexpr int kArchitecture = __CUDA_ARCH__;
#else
constexpr int kArchitecture = 900;
#endif
// Blocks per multiprocessor. Two leave a lane 96 registers; code for sm_80, and types that look
// much up in tables, need a few more.
template <class Up, class Down> BOTH int fused_blocks(int compute) {
    return compute >= 900 && !Up::kManyRegisters && !Down::kManyRegisters ? 2 : 1;
}

constexpr int kMostFusedTokens = 8;  // one tile of eight columns holds every token

struct FeedForwardArgs {
    StreamArgs up;        // gate and up; its `out` holds rows of pairs for `quantise`
    StreamShape down;     // of the second phase
    Experts down_experts;
    QuantiseArgs quantise;     // of joined rows, by pair
    int stage_bytes, stages;   // of the ring, which both phases use
    int * tiles_done;          // [tiles][units]: row tiles finished; zero before
    int * units_ready;         // one value; zero before
    const int32_t * ids;
    int64_t ids_stride;
    const float * weights;        // [tokens][slots]
    const float * shared_weight;  // [tokens] or null for 1
    float * out;                  // [tokens][rows of down]
    int tokens, slots;
};

// Tiles of experts; pairs without one come last and are no work.
DEVICE int count_real_tiles(const StreamArgs & args) {
    int count = *args.tile_count;
    while (count > 0 && args.tiles[count - 1].expert < 0) count--;
    return count;
}

// ------------------------------------------------------------------ between the phases

DEVICE int rows_of_tile(const StreamShape & shape) { return shape.groups / shape.matrices * kRows; }

// How many row tiles make up unit `unit` of a joined row.
DEVICE int tiles_of_unit(const StreamShape & shape, int rows, int unit) {
    const int left = rows - 256 * unit, high = rows_of_tile(shape);
    return ((left < 256 ? left : 256) + high - 1) / high;
}

// After a row tile is stored: quantises its unit if this was the last one of it. `last` is one word
// of shared memory.
DEVICE void finish_row_tile(const FeedForwardArgs & args, int tile_index, const moe_tile & tile,
                            int row_tile, int * last) {
    const int rows = args.up.experts[0].rows, units = args.quantise.columns.units;
    const int unit = row_tile * rows_of_tile(args.up.shape) / 256;
    simt::sync_some(1, kConsumers * simt::kWarp);
    if (simt::thread_index() == 0) {
        const int before = simt::add_release(&args.tiles_done[tile_index * units + unit], 1);
        *last = before + 1 == tiles_of_unit(args.up.shape, rows, unit);
    }
    simt::sync_some(1, kConsumers * simt::kWarp);
    if (*last == 0) return;
    for (int column = simt::warp_index(); column < tile.count; column += kConsumers) {
        const int pair = args.up.order[tile.first + column];
        quantise_unit(args.quantise, args.quantise.x + pair * args.quantise.x_stride, pair, unit);
    }
    simt::sync_some(1, kConsumers * simt::kWarp);
    if (simt::thread_index() == 0) simt::add_release(args.units_ready, 1);
}

// ------------------------------------------------------------------ the warp that fetches

DEVICE void fetch_both(Ring ring, const FeedForwardArgs & args, int tiles) {
    const StreamShape & up = args.up.shape;
    for (int i = simt::block_index(); i < tiles * up.row_tiles; i += simt::grid_size()) {
        for (int piece = 0; piece < pieces_of(up); piece++) {
            fetch_piece(ring, up, args.up.experts, args.up.tiles[i / up.row_tiles].expert,
                        i % up.row_tiles, piece);
        }
    }
    for (int i = simt::block_index(); i < args.down.row_tiles; i += simt::grid_size()) {
        for (int tile = 0; tile < tiles; tile++) {
            for (int piece = 0; piece < pieces_of(args.down); piece++) {
                fetch_piece(ring, args.down, &args.down_experts, args.up.tiles[tile].expert, i,
                            piece);
            }
        }
    }
}

// ------------------------------------------------------------------ the warps that compute

template <class T>
DEVICE void join_all(Ring & ring, const FeedForwardArgs & args, int tiles, float * table,
                     int * last) {
    const StreamShape & shape = args.up.shape;
    for (int i = simt::block_index(); i < tiles * shape.row_tiles; i += simt::grid_size()) {
        const moe_tile tile = args.up.tiles[i / shape.row_tiles];
        const int row_tile = i % shape.row_tiles;
        const Part part = part_of_warp(shape, args.up.experts, row_tile);
        const auto rows = find_columns<1>(args.up, tile);
        Sums<1> sums;
        sums.clear();
        for (int piece = 0; piece < pieces_of(shape); piece++) {
            multiply_piece<T, 1>(sums, ring, shape, args.up.experts, part, tile.expert, row_tile,
                                 piece, args.up.columns, rows, 1);
        }
        lay_down<1>(sums, table, simt::warp_index(), 1);
        simt::sync_some(1, kConsumers * simt::kWarp);
        store_tile<1>(args.up, tile, row_tile, table);
        finish_row_tile(args, i / shape.row_tiles, tile, row_tile, last);
    }
}

// The tokens of one tile as columns. A token that names the expert multiplies with its pair's row
// and weighs what it says, twice if it names it twice; one that does not borrows a row and weighs
// nothing.
DEVICE int token_of_pair(const FeedForwardArgs & args, int pair) {
    const int regular = args.tokens * args.slots;
    return pair >= regular ? pair - regular : pair / args.slots;
}

DEVICE int pair_of_token(const FeedForwardArgs & args, const moe_tile & tile, int token) {
    for (int i = 0; i < tile.count; i++) {
        const int pair = args.up.order[tile.first + i];
        if (token_of_pair(args, pair) == token) return pair;
    }
    return args.up.order[tile.first];
}

DEVICE float weight_of_token(const FeedForwardArgs & args, const moe_tile & tile, int token) {
    float weight = 0.0f;
    for (int i = 0; i < tile.count; i++) {
        const int pair = args.up.order[tile.first + i];
        if (token_of_pair(args, pair) != token) continue;
        if (pair < args.tokens * args.slots) weight += args.weights[pair];
        else weight += args.shared_weight != nullptr ? args.shared_weight[token] : 1.0f;
    }
    return weight;
}

template <class T>
DEVICE void add_experts(Sums<1> & total, Ring & ring, const FeedForwardArgs & args, int tiles,
                        int row_tile) {
    const int g = simt::lane_index() / 4, t = simt::lane_index() % 4;
    const Part part = part_of_warp(args.down, &args.down_experts, row_tile);
    total.clear();
    for (int i = 0; i < tiles; i++) {
        const moe_tile tile = args.up.tiles[i];
        ColumnRows<1> rows;
        rows.given[0] = pair_of_token(args, tile, g);
        rows.got[0][0] = pair_of_token(args, tile, 2 * t);
        rows.got[0][1] = pair_of_token(args, tile, 2 * t + 1);
        Sums<1> sums;
        sums.clear();
        for (int piece = 0; piece < pieces_of(args.down); piece++) {
            multiply_piece<T, 1>(sums, ring, args.down, &args.down_experts, part, tile.expert,
                                 row_tile, piece, args.quantise.columns, rows, 1);
        }
        // Looked up only now: while the product runs, every register counts.
        const float even = weight_of_token(args, tile, 2 * t);
        const float odd = weight_of_token(args, tile, 2 * t + 1);
#pragma unroll
        for (int j = 0; j < 4; j++) total.of[0][j] += (j % 2 == 0 ? even : odd) * sums.of[0][j];
    }
}

// What the biases of a token's experts add to one row, weighed.
DEVICE float weighed_bias(const FeedForwardArgs & args, int token, int row) {
    float sum = 0.0f;
    for (int slot = 0; slot < args.slots; slot++) {
        const int expert = args.ids[token * args.ids_stride + slot];
        if (expert < 0 || expert >= args.down_experts.count) continue;
        sum += args.weights[token * args.slots + slot] * bias_of(args.down_experts, expert, row);
    }
    return sum;
}

DEVICE void store_tokens(const FeedForwardArgs & args, int row_tile, const float * table) {
    const int high = rows_of_tile(args.down), rows = args.down_experts.rows;
    for (int i = simt::thread_index(); i < high * args.tokens; i += kConsumers * simt::kWarp) {
        const int token = i / high, in_tile = i % high, row = row_tile * high + in_tile;
        if (row >= rows) continue;
        float value = add_slices<1>(table, args.down, in_tile / kRows, token, in_tile % kRows);
        if (args.down_experts.bias != nullptr) value += weighed_bias(args, token, row);
        args.out[static_cast<size_t>(token) * rows + row] = value;
    }
}

template <class T>
DEVICE void sum_all(Ring & ring, const FeedForwardArgs & args, int tiles, float * table) {
    int half = 0;
    for (int i = simt::block_index(); i < args.down.row_tiles; i += simt::grid_size()) {
        float * mine = table + half * (kConsumers * 8 * kRows);
        Sums<1> total;
        add_experts<T>(total, ring, args, tiles, i);
        lay_down<1>(total, mine, simt::warp_index(), 1);
        simt::sync_some(1, kConsumers * simt::kWarp);
        store_tokens(args, i, mine);
        half ^= 1;
    }
}

template <class Up, class Down>
KERNEL(kStreamThreads, (fused_blocks<Up, Down>(kArchitecture))) feed_forward(FeedForwardArgs args) {
    SHARED_MEMORY(memory);
    uint8_t * table = memory + kBarrierBytes;
    int * last = reinterpret_cast<int *>(table + table_bytes<1>());
    Ring ring = make_ring(memory, table + table_bytes<1>() + kBarrierBytes, args.stage_bytes,
                          args.stages);
    const int tiles = count_real_tiles(args.up);
    if (simt::warp_index() == kConsumers) {
        fetch_both(ring, args, tiles);
        return;
    }
    join_all<Up>(ring, args, tiles, reinterpret_cast<float *>(table), last);
    if (simt::lane_index() == 0) {
        simt::wait_until_reaches(args.units_ready, tiles * args.quantise.columns.units);
    }
    simt::sync_warp();
    // The other half of the table may still be read by a slower warp: the first one written here is
    // the one that join_all used, and finish_row_tile has met everybody since.
    sum_all<Down>(ring, args, tiles, reinterpret_cast<float *>(table));
}

}  // namespace moe
