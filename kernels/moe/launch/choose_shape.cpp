#include "choose_shape.h"

#include <algorithm>

#include "../device/ring.h"

namespace moe {
namespace {

int64_t divide_up(int64_t value, int64_t by) { return (value + by - 1) / by; }

// A row of a stage: the piece, up to 15 bytes before it, a word that may be read behind it; rounded
// so that the eight rows a warp reads at once lie in different banks.
int row_stride(int piece_bytes) {
    const int room = piece_bytes + 15 + 4;
    return static_cast<int>(divide_up(room - 16, 128)) * 128 + 16;
}

// What a shape costs: how many units the slowest warp of the busiest block computes. Idle warps
// cost as much as busy ones; small pieces pay for their barriers.
double cost_of(const StreamShape & shape, const ShapeRequest & request) {
    const int slices = kConsumers / shape.groups;
    const int pieces = static_cast<int>(divide_up(shape.units, shape.piece_units));
    const int last = shape.units - (pieces - 1) * shape.piece_units;
    const double units = static_cast<double>(
        (pieces - 1) * divide_up(shape.piece_units, slices) + divide_up(last, slices));
    constexpr double kBarrier = 0.35, kEpilogue = 0.8;  // in units: estimated, not measured
    const auto rounds = divide_up(shape.row_tiles * request.tiles, request.blocks);
    return static_cast<double>(rounds) * (units + kBarrier * pieces + kEpilogue);
}

}  // namespace

StreamShape choose_shape(const ShapeRequest & request) {
    constexpr int kFewestStages = 3, kSmallestPiece = 512;
    StreamShape best = {};
    double best_cost = 0;
    const int units = static_cast<int>(divide_up(request.values, request.unit_values));
    for (int groups = request.matrices; groups <= kConsumers; groups *= 2) {
        for (int piece_units = 1; piece_units <= units; piece_units++) {
            StreamShape shape = {};
            shape.matrices = request.matrices;
            shape.groups = groups;
            shape.units = units;
            shape.piece_units = piece_units;
            shape.piece_bytes = piece_units * request.unit_bytes;
            shape.row_stride = row_stride(std::min(shape.piece_bytes, request.row_bytes));
            shape.row_tiles =
                static_cast<int>(divide_up(request.rows, groups / request.matrices * kRows));
            const auto fit = static_cast<int>(request.ring_bytes / stage_bytes(shape));
            shape.stages = std::min(fit, kMaxStages);
            if (shape.stages < 2) continue;
            double cost = cost_of(shape, request);
            if (shape.stages < kFewestStages) cost *= 1.3;  // little is on its way
            if (shape.piece_bytes < kSmallestPiece && piece_units < units) cost *= 1.2;
            if (best.stages == 0 || cost < best_cost) {
                best = shape;
                best_cost = cost;
            }
        }
    }
    return best;
}

}  // namespace moe
