#include "operations.h"

#include <algorithm>

#include "choose_shape.h"
#include "launch.h"
#include "small_kernels.h"
#include "support.h"

namespace moe {

const TypeRow * find_type(int type) {
#define MOE_FIND(name) \
    if (type_row_##name().type == type) return &type_row_##name();
    MOE_TYPES(MOE_FIND)
#undef MOE_FIND
    return nullptr;
}

int tile_class(int tokens) { return tokens <= 8 ? 0 : tokens <= 16 ? 1 : 2; }

moe_plan lay_out_plan(Scratch & scratch, int tokens, int slots, int experts, bool with_shared,
                      int width) {
    moe_plan plan = {};
    plan.pairs = tokens * slots + (with_shared ? tokens : 0);
    const int bins = experts + 2;
    plan.tile_limit = std::min(plan.pairs, bins + plan.pairs / width);
    plan.tile_count = scratch.take<int32_t>(1);
    plan.bounds = scratch.take<int32_t>(bins + 1);
    plan.tiles = scratch.take<moe_tile>(plan.tile_limit);
    plan.order = scratch.take<int32_t>(plan.pairs);
    plan.bytes = scratch.used();
    return plan;
}

Columns lay_out_columns(Scratch & scratch, int64_t rows, int64_t values, const TypeRow & type) {
    Columns columns = {};
    columns.values = static_cast<int>(values);
    columns.spans = static_cast<int>((values + type.span - 1) / type.span);
    columns.units = static_cast<int>((values + 255) / 256);
    columns.codes = scratch.take<int8_t>(rows * values);
    columns.scales = scratch.take<float>(rows * columns.spans);
    if (type.with_sums) columns.sums = scratch.take<int8_t>(rows * columns.units * kSumBytes);
    return columns;
}

namespace {

constexpr int kTilesOfClass[3] = {1, 2, 4};

// Shared memory of one block if `blocks` are to fit on a multiprocessor.
size_t share_of_memory(const moe_device & device, int blocks) {
    constexpr size_t kReserved = 1024;  // per block, by the driver
    return (static_cast<size_t>(device.shared_bytes) + kReserved) / blocks - kReserved;
}

size_t fixed_bytes(int tiles) {
    return 128 + 2 * static_cast<size_t>(kConsumers) * tiles * 8 * kRows * sizeof(float);
}

}  // namespace

StreamShape shape_of(const moe_matrix & matrix, int matrices, int tiles,
                     const moe_device & device) {
    const TypeRow & type = *find_type(matrix.type);
    ShapeRequest request = {};
    request.matrices = matrices;
    request.rows = matrix.rows;
    request.values = matrix.columns;
    request.unit_values = type.unit_values;
    request.unit_bytes = unit_bytes(type);
    request.row_bytes = static_cast<int>(matrix.row_bytes);
    const size_t room = share_of_memory(device, blocks_per_processor(tiles));
    const size_t fixed = fixed_bytes(tiles);
    request.ring_bytes = room > fixed ? room - fixed : 0;
    return choose_shape(request);
}

bool every_shape_fits(const moe_op & op, const moe_device & device) {
    const int tiles = kTilesOfClass[tile_class(op.tokens)];
    const bool has_gate = op.kind == MOE_GATE_UP || op.kind == MOE_FEED_FORWARD;
    if (op.kind != MOE_DOWN_SUM &&
        shape_of(op.up, has_gate ? 2 : 1, tiles, device).stages == 0) return false;
    const bool has_down = op.kind == MOE_DOWN_SUM || op.kind == MOE_FEED_FORWARD;
    return !has_down || shape_of(op.down, 1, tiles, device).stages != 0;
}

namespace {

Experts as_experts(const moe_matrix & matrix) {
    Experts experts = {};
    experts.first = static_cast<const uint8_t *>(matrix.data);
    experts.shared = static_cast<const uint8_t *>(matrix.shared);
    experts.bias = matrix.bias;
    experts.expert_bytes = matrix.expert_bytes;
    experts.matrix_bytes = matrix.rows * matrix.row_bytes;
    experts.row_bytes = static_cast<int>(matrix.row_bytes);
    experts.rows = static_cast<int>(matrix.rows);
    experts.count = matrix.experts;
    return experts;
}

// Everything in scratch memory, in one order for counting and for running.
struct Layout {
    moe_plan plan;
    Columns x, joined;        // activations quantised for up and gate, and for down
    float * joined_rows;      // [pairs][rows of up]
    float * down_rows;        // [pairs][rows of down]
    size_t bytes;
};

bool has_shared(const moe_op & op) {
    return (op.kind == MOE_DOWN_SUM ? op.down.shared : op.up.shared) != nullptr;
}

int64_t rows_of_x(const moe_op & op) {
    return op.x_per_pair ? static_cast<int64_t>(op.tokens) * op.slots +
                               (has_shared(op) ? op.tokens : 0)
                         : op.tokens;
}

Layout lay_out(const moe_op & op, void * memory) {
    Scratch scratch(memory);
    Layout layout = {};
    const moe_matrix & first = op.kind == MOE_DOWN_SUM ? op.down : op.up;
    layout.plan = lay_out_plan(scratch, op.tokens, op.slots, first.experts, has_shared(op),
                               kTileWidths[tile_class(op.tokens)]);
    layout.x = lay_out_columns(scratch, rows_of_x(op), first.columns, *find_type(first.type));
    if (op.kind == MOE_FEED_FORWARD) {
        layout.joined_rows = scratch.take<float>(layout.plan.pairs * op.up.rows);
        layout.joined = lay_out_columns(scratch, layout.plan.pairs, op.down.columns,
                                        *find_type(op.down.type));
    }
    if (op.kind == MOE_FEED_FORWARD || op.kind == MOE_DOWN_SUM) {
        layout.down_rows = scratch.take<float>(layout.plan.pairs * op.down.rows);
    }
    layout.bytes = scratch.used();
    return layout;
}

// The kernels of one operation, one after the other. Each returns a CUDA error number.
class Sequence {
  public:
    Sequence(const moe_op & op, const moe_device & device, void * memory)
        : op_(op), device_(device), layout_(lay_out(op, memory)),
          class_(tile_class(op.tokens)) {}

    int plan() {
        PlanArgs args = {};
        args.ids = op_.ids;
        args.ids_stride = op_.ids_stride;
        args.tokens = op_.tokens;
        args.slots = op_.slots;
        args.experts = first_matrix().experts;
        args.with_shared = has_shared(op_);
        args.width = kTileWidths[class_];
        args.plan = layout_.plan;
        return launch_plan(device_, args);
    }

    int quantise(const float * x, int64_t stride, int64_t rows, const Columns & columns,
                 const moe_matrix & weights) {
        const TypeRow & type = *find_type(weights.type);
        QuantiseArgs args = {x, stride, static_cast<int>(rows), columns, type.order, type.span,
                             type.group, type.with_sums};
        return launch_quantise(device_, args);
    }

    int stream(const moe_matrix * const (&matrices)[2], int count, const Columns & columns,
               bool per_pair, float * out) {
        const TypeRow & type = *find_type(matrices[0]->type);
        StreamArgs args = {};
        args.shape = shape_of(*matrices[0], count, kTilesOfClass[class_], device_);
        for (int i = 0; i < count; i++) args.experts[i] = as_experts(*matrices[i]);
        args.columns = columns;
        args.pairs_per_column = per_pair ? 1 : op_.slots;
        args.regular_pairs = op_.tokens * op_.slots;
        args.tile_count = layout_.plan.tile_count;
        args.tiles = layout_.plan.tiles;
        args.order = layout_.plan.order;
        args.out = out;
        args.activation = op_.activation;
        args.alpha = op_.alpha;
        args.limit = op_.limit;
        const int64_t work = static_cast<int64_t>(layout_.plan.tile_limit) * args.shape.row_tiles;
        const int grid = static_cast<int>(std::min<int64_t>(
            work, blocks_per_processor(kTilesOfClass[class_]) * device_.processors));
        return type.stream[class_](device_, args, grid);
    }

    int sum() {
        WeightedSumArgs args = {layout_.down_rows, op_.weights, op_.shared_weight, op_.out,
                                op_.tokens, op_.slots, static_cast<int>(op_.down.rows),
                                has_shared(op_)};
        return launch_weighted_sum(device_, args);
    }

    int all() {
        const bool feed_forward = op_.kind == MOE_FEED_FORWARD;
        const moe_matrix & first = first_matrix();
        int status = plan();
        if (status == 0) {
            status = quantise(op_.x, op_.x_stride, rows_of_x(op_), layout_.x, first);
        }
        if (status == 0 && op_.kind == MOE_MATMUL) {
            status = stream({&op_.up, nullptr}, 1, layout_.x, op_.x_per_pair, op_.out);
        }
        if (status == 0 && (op_.kind == MOE_GATE_UP || feed_forward)) {
            status = stream({&op_.gate, &op_.up}, 2, layout_.x, op_.x_per_pair,
                            feed_forward ? layout_.joined_rows : op_.out);
        }
        if (status == 0 && feed_forward) {
            status = quantise(layout_.joined_rows, op_.up.rows, layout_.plan.pairs,
                              layout_.joined, op_.down);
        }
        if (status == 0 && (op_.kind == MOE_DOWN_SUM || feed_forward)) {
            status = stream({&op_.down, nullptr}, 1, feed_forward ? layout_.joined : layout_.x,
                            true, layout_.down_rows);
            if (status == 0) status = sum();
        }
        return status;
    }

  private:
    const moe_matrix & first_matrix() const {
        return op_.kind == MOE_DOWN_SUM ? op_.down : op_.up;
    }
    const moe_op & op_;
    const moe_device & device_;
    Layout layout_;
    int class_;
};

}  // namespace

size_t scratch_bytes(const moe_op & op, const moe_device &) { return lay_out(op, nullptr).bytes; }

int run(const moe_op & op, const moe_device & device, void * scratch, size_t bytes) {
    constexpr int kInvalidValue = 1;  // as cudaErrorInvalidValue
    last_error().clear();
    if (const char * reason = why_not(op, device)) {
        last_error() = reason;
        return kInvalidValue;
    }
    if (op.tokens == 0) return 0;
    if (bytes < scratch_bytes(op, device)) {
        last_error() = "the scratch memory is too small";
        return kInvalidValue;
    }
    return Sequence(op, device, scratch).all();
}

}  // namespace moe
