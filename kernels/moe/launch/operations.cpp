#include "operations.h"

#include <algorithm>

#include "choose_shape.h"
#include "launch.h"
#include "small_kernels.h"
#include "support.h"
#include "switches.h"

namespace moe {

const TypeRow * find_type(int type) {
#define MOE_FIND(name) \
    if (type_row_##name().type == type) return &type_row_##name();
    MOE_TYPES(MOE_FIND)
#undef MOE_FIND
    return nullptr;
}

FeedForwardLauncher find_feed_forward(int type, int down_type) {
#define MOE_FIND(name) \
    if (type_row_##name().type == type) return feed_forward_##name(down_type);
    MOE_TYPES(MOE_FIND)
#undef MOE_FIND
    return nullptr;
}

int tile_class(int tokens, int slots, int experts) {
    const int64_t average = static_cast<int64_t>(tokens) * slots / experts;
    if (tokens <= 8 || average <= 3) return 0;
    return tokens <= 16 || average <= 8 ? 1 : 2;
}

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
    columns.spans = static_cast<int>((values / type.span + 3) / 4 * 4);
    columns.units = static_cast<int>((values + 255) / 256);
    columns.codes = scratch.take<int8_t>(rows * values);
    columns.scales = scratch.take<float>(rows * columns.spans);
    if (type.with_sums) columns.sums = scratch.take<int8_t>(rows * columns.units * kSumBytes);
    return columns;
}

namespace {

constexpr int kTilesOfClass[3] = {1, 2, 4};

constexpr int kTooManyBlocks = 720;  // as cudaErrorCooperativeLaunchTooLarge

// Shared memory of one block if `blocks` are to fit on a multiprocessor.
size_t share_of_memory(const moe_device & device, int blocks) {
    constexpr size_t kReserved = 1024;  // per block, by the driver
    return (static_cast<size_t>(device.shared_bytes) + kReserved) / blocks - kReserved;
}

size_t fixed_bytes(int tiles) {
    return 2 * kBarrierBytes + 2 * static_cast<size_t>(kConsumers) * tiles * 8 * kRows * sizeof(float);
}

}  // namespace

size_t ring_bytes(int tiles, const moe_device & device) {
    const size_t room = share_of_memory(device, blocks_per_processor(tiles));
    const size_t fixed = fixed_bytes(tiles);
    return room > fixed ? room - fixed : 0;
}

const moe_matrix & first_matrix(const moe_op & op) {
    return op.kind == MOE_DOWN_SUM ? op.down : op.up;
}

int class_of(const moe_op & op) {
    return tile_class(op.tokens, op.slots, first_matrix(op).experts);
}

StreamShape shape_of(const moe_matrix & matrix, int matrices, const moe_op & op,
                     const moe_device & device) {
    const TypeRow & type = *find_type(matrix.type);
    const int tiles = kTilesOfClass[class_of(op)];
    ShapeRequest request = {};
    request.matrices = matrices;
    request.rows = matrix.rows;
    request.values = matrix.columns;
    request.unit_values = type.unit_values;
    request.unit_bytes = unit_bytes(type);
    request.row_bytes = static_cast<int>(matrix.row_bytes);
    request.ring_bytes = ring_bytes(tiles, device);
    // Each distinct expert is a tile; the fused kernel computes rows of down over all of them.
    const bool fused_down = op.kind == MOE_FEED_FORWARD && op.tokens <= kMostFusedTokens &&
                            matrices == 1;
    request.tiles = fused_down ? 1 : std::clamp(op.tokens * op.slots, 1, matrix.experts);
    request.blocks = blocks_per_processor(tiles) * device.processors;
    return choose_shape(request);
}

bool every_shape_fits(const moe_op & op, const moe_device & device) {
    const bool has_gate = op.kind == MOE_GATE_UP || op.kind == MOE_FEED_FORWARD;
    const bool has_down = op.kind == MOE_DOWN_SUM || op.kind == MOE_FEED_FORWARD;
    if (op.kind != MOE_DOWN_SUM && shape_of(op.up, has_gate ? 2 : 1, op, device).stages == 0) {
        return false;
    }
    return !has_down || shape_of(op.down, 1, op, device).stages != 0;
}

namespace {

Experts as_experts(const moe_matrix & matrix) {
    Experts experts = {};
    experts.first = static_cast<const uint8_t *>(matrix.data);
    experts.shared = static_cast<const uint8_t *>(matrix.shared);
    experts.bias = matrix.bias;
    experts.expert_bytes = matrix.expert_bytes;
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
    int * counters;           // of the fused kernel: [tiles][units], and one more
    int counter_count;
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
    const moe_matrix & first = first_matrix(op);
    layout.plan = lay_out_plan(scratch, op.tokens, op.slots, first.experts, has_shared(op),
                               kTileWidths[class_of(op)]);
    layout.x = lay_out_columns(scratch, rows_of_x(op), first.columns, *find_type(first.type));
    if (op.kind == MOE_FEED_FORWARD) {
        layout.joined_rows = scratch.take<float>(layout.plan.pairs * op.up.rows);
        layout.joined = lay_out_columns(scratch, layout.plan.pairs, op.down.columns,
                                        *find_type(op.down.type));
    }
    if (op.kind == MOE_FEED_FORWARD || op.kind == MOE_DOWN_SUM) {
        layout.down_rows = scratch.take<float>(layout.plan.pairs * op.down.rows);
    }
    if (op.kind == MOE_FEED_FORWARD && op.tokens <= kMostFusedTokens) {
        layout.counter_count = layout.plan.tile_limit * layout.joined.units + 1;
        layout.counters = scratch.take<int>(layout.counter_count);
    }
    layout.bytes = scratch.used();
    return layout;
}

// The kernels of one operation, one after the other. Each returns a CUDA error number.
class Sequence {
  public:
    Sequence(const moe_op & op, const moe_device & device, void * memory)
        : op_(op), device_(device), layout_(lay_out(op, memory)),
          class_(class_of(op)) {}

    // The plan, and x quantised for the first matrix.
    int prepare() {
        PlanArgs args = {};
        args.ids = op_.ids;
        args.ids_stride = op_.ids_stride;
        args.tokens = op_.tokens;
        args.slots = op_.slots;
        args.experts = first_matrix(op_).experts;
        args.with_shared = has_shared(op_);
        args.width = kTileWidths[class_];
        args.plan = layout_.plan;
        args.counters = layout_.counters;
        args.counter_count = layout_.counter_count;
        return launch_prepare(device_, args,
                              quantise_args(op_.x, op_.x_stride, rows_of_x(op_), layout_.x,
                                            first_matrix(op_)));
    }

    static QuantiseArgs quantise_args(const float * x, int64_t stride, int64_t rows,
                                      const Columns & columns, const moe_matrix & weights) {
        const TypeRow & type = *find_type(weights.type);
        return {x, stride, static_cast<int>(rows), columns, type.order, type.span, type.group,
                type.with_sums, type.fold};
    }

    QuantiseArgs joined_args() const {
        return quantise_args(layout_.joined_rows, op_.up.rows, layout_.plan.pairs, layout_.joined,
                             op_.down);
    }

    int stream(const moe_matrix * const (&matrices)[2], int count, const Columns & columns,
               bool per_pair, float * out) {
        const StreamArgs args = stream_args(matrices, count, columns, per_pair, out);
        const int64_t work = static_cast<int64_t>(layout_.plan.tile_limit) * args.shape.row_tiles;
        const int grid = static_cast<int>(std::min<int64_t>(work, blocks()));
        return find_type(matrices[0]->type)->stream[class_](device_, args, grid);
    }

    StreamArgs stream_args(const moe_matrix * const (&matrices)[2], int count,
                           const Columns & columns, bool per_pair, float * out) const {
        StreamArgs args = {};
        args.shape = shape_of(*matrices[0], count, op_, device_);
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
        return args;
    }

    int blocks() const { return blocks_per_processor(kTilesOfClass[class_]) * device_.processors; }

    int sum() {
        WeightedSumArgs args = {layout_.down_rows, op_.weights, op_.shared_weight, op_.out,
                                op_.tokens, op_.slots, static_cast<int>(op_.down.rows),
                                has_shared(op_)};
        return launch_weighted_sum(device_, args);
    }

    // Null if this operation runs in several kernels.
    FeedForwardLauncher fused() const {
        if (op_.kind != MOE_FEED_FORWARD || op_.tokens > kMostFusedTokens ||
            !is_enabled(Kernel::kFeedForward)) return nullptr;
        return find_feed_forward(op_.up.type, op_.down.type);
    }

    int feed_forward(FeedForwardLauncher launcher) {
        FeedForwardArgs args = {};
        args.up = stream_args({&op_.gate, &op_.up}, 2, layout_.x, false, layout_.joined_rows);
        args.down = shape_of(op_.down, 1, op_, device_);
        args.down_experts = as_experts(op_.down);
        args.quantise = joined_args();
        args.stage_bytes = std::max(stage_bytes(args.up.shape), stage_bytes(args.down));
        args.stages = std::min<int>(kMaxStages, ring_bytes(1, device_) / args.stage_bytes);
        args.tiles_done = layout_.counters;
        args.units_ready = layout_.counters + layout_.counter_count - 1;
        args.ids = op_.ids;
        args.ids_stride = op_.ids_stride;
        args.weights = op_.weights;
        args.shared_weight = op_.shared_weight;
        args.out = op_.out;
        args.tokens = op_.tokens;
        args.slots = op_.slots;
        return launcher(device_, args);
    }

    int all() {
        int status = prepare();
        if (status != 0) return status;
        if (const FeedForwardLauncher launcher = fused()) {
            status = feed_forward(launcher);
            if (status != kTooManyBlocks) return status;
            last_error().clear();  // something else holds part of the GPU: then one by one
        }
        return one_by_one();
    }

    int one_by_one() {
        if (op_.kind == MOE_MATMUL) {
            return stream({&op_.up, nullptr}, 1, layout_.x, op_.x_per_pair, op_.out);
        }
        const bool whole = op_.kind == MOE_FEED_FORWARD;
        int status = 0;
        if (op_.kind != MOE_DOWN_SUM) {
            status = stream({&op_.gate, &op_.up}, 2, layout_.x, op_.x_per_pair,
                            whole ? layout_.joined_rows : op_.out);
        }
        if (status != 0 || op_.kind == MOE_GATE_UP) return status;
        if (whole) status = launch_quantise(device_, joined_args());
        if (status != 0) return status;
        status = stream({&op_.down, nullptr}, 1, whole ? layout_.joined : layout_.x, true,
                        layout_.down_rows);
        return status != 0 ? status : sum();
    }

  private:
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
