#include "moe_tiles.cuh"

#include "ggml-cuda/mmq.cuh"
#include "ggml-cuda/quantize.cuh"

#include <algorithm>

namespace freehold {
namespace {

constexpr int THREADS = 256;
constexpr int LEAST_TOKENS = 9;  // below, a vector kernel reads each expert just as often
constexpr int64_t MOST_SCRATCH_BYTES = int64_t(1) << 30;

#define FREEHOLD_TILE_TYPES(X)                                                                              \
    X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ1_S) X(IQ2_XXS)     \
    X(IQ2_XS) X(IQ2_S) X(IQ3_XXS) X(IQ3_S) X(IQ4_XS) X(IQ4_NL) X(MXFP4)

bool launch(const TileProduct & product, int width, int compute, cudaStream_t stream) {
    switch (product.matrix->type) {
#define FREEHOLD_LAUNCH(NAME) \
    case GGML_TYPE_##NAME: return launch_tiles<GGML_TYPE_##NAME>(product, width, compute, stream);
        FREEHOLD_TILE_TYPES(FREEHOLD_LAUNCH)
#undef FREEHOLD_LAUNCH
        default: return false;
    }
}

bool has_tiles(int type) {
    switch (type) {
#define FREEHOLD_KNOWN(NAME) case GGML_TYPE_##NAME:
        FREEHOLD_TILE_TYPES(FREEHOLD_KNOWN)
#undef FREEHOLD_KNOWN
            return true;
        default: return false;
    }
}

// From the plan's order of pairs to the row of x each is quantised from.
__global__ void rows_of_pairs(const int32_t * order, int32_t * rows, int pairs, int slots, bool per_pair) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < pairs) {
        rows[at] = per_pair ? order[at] : order[at] / slots;
    }
}

struct Activation {
    int kind;
    float alpha, limit;
};

__device__ float activate(const Activation & activation, float gate, float up) {
    if (activation.kind == MOE_SWIGLU_OAI) {
        const float g = fminf(gate, activation.limit);
        const float u = fmaxf(fminf(up, activation.limit), -activation.limit);
        return g / (1.0f + expf(-activation.alpha * g)) * (u + 1.0f);
    }
    if (activation.kind == MOE_GEGLU) {
        const float inner = 0.79788456080286535588f * gate * (1.0f + 0.044715f * gate * gate);
        return 0.5f * gate * (1.0f + tanhf(inner)) * up;
    }
    if (activation.kind == MOE_SWIGLU_CLAMP) {
        gate = fminf(gate, activation.limit);
        up = fmaxf(fminf(up, activation.limit), -activation.limit);
    }
    return gate / (1.0f + expf(-gate)) * up;
}

// What a value of a pair needs to find its expert's bias.
struct Biases {
    const float * values;  // [experts][rows] or null
    const int32_t * ids;
    int64_t ids_stride;
    int slots;
    int64_t rows;

    __device__ float at(int64_t pair, int64_t row) const {
        if (values == nullptr) {
            return 0.0f;
        }
        return values[ids[pair / slots * ids_stride + pair % slots] * rows + row];
    }
};

__global__ void join(const float * gate, const float * up, float * out, int64_t count, Biases gate_bias,
                     Biases up_bias, Activation activation) {
    const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at < count) {
        const int64_t pair = at / gate_bias.rows, row = at % gate_bias.rows;
        out[at] = activate(activation, gate[at] + gate_bias.at(pair, row), up[at] + up_bias.at(pair, row));
    }
}

// The slots of a token in their order, so that every run adds alike.
__global__ void sum_slots(const float * products, const float * weights, float * out, int64_t count, Biases bias) {
    const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at < count) {
        const int64_t token = at / bias.rows, row = at % bias.rows;
        float sum = 0.0f;
        for (int slot = 0; slot < bias.slots; ++slot) {
            const int64_t pair = token * bias.slots + slot;
            sum += weights[pair] * (products[pair * bias.rows + row] + bias.at(pair, row));
        }
        out[at] = sum;
    }
}

unsigned blocks_for(int64_t count) { return unsigned((count + THREADS - 1) / THREADS); }

Biases biases_of(const moe_op & op, const moe_matrix & matrix) {
    return {matrix.bias, op.ids, op.ids_stride, op.slots, matrix.rows};
}

// One run: the plan, and how activations and products get their memory.
class Run {
  public:
    Run(const moe_kernels & kernels, const moe_op & op, const moe_device & device, ggml_backend_cuda_context & context)
        : op_(op), device_(device), context_(context), stream_(context.stream()), pairs_(int64_t(op.tokens) * op.slots),
          experts_(op.kind == MOE_DOWN_SUM ? op.down.experts : op.up.experts), width_(tile_width(pairs_, experts_)),
          plan_memory_(context.pool()), rows_(context.pool(), size_t(pairs_)) {
        plan_ = kernels.plan_layout(nullptr, op.tokens, op.slots, experts_, 0, width_);
        char * memory = plan_memory_.alloc(plan_.bytes + 256);
        memory += (256 - reinterpret_cast<uintptr_t>(memory) % 256) % 256;
        plan_ = kernels.plan_layout(memory, op.tokens, op.slots, experts_, 0, width_);
        fine_ = kernels.run_plan(&plan_, op.ids, op.ids_stride, op.tokens, op.slots, experts_, 0, width_, &device) == 0;
    }

    bool compute() {
        if (!fine_) {
            return false;
        }
        switch (op_.kind) {
            case MOE_MATMUL: return multiply({&op_.up}, {op_.out}, op_.x, op_.x_stride, op_.x_per_pair);
            case MOE_GATE_UP: return gate_up(op_.out);
            case MOE_DOWN_SUM: return down(op_.x, op_.x_stride);
            default: break;
        }
        ggml_cuda_pool_alloc<float> hidden(context_.pool(), size_t(pairs_ * op_.up.rows));
        return gate_up(hidden.get()) && down(hidden.get(), op_.up.rows);
    }

  private:
    bool gate_up(float * out) {
        const int64_t count = pairs_ * op_.up.rows;
        ggml_cuda_pool_alloc<float> gate(context_.pool(), size_t(count)), up(context_.pool(), size_t(count));
        if (!multiply({&op_.gate, &op_.up}, {gate.get(), up.get()}, op_.x, op_.x_stride, op_.x_per_pair)) {
            return false;
        }
        join<<<blocks_for(count), THREADS, 0, stream_>>>(gate.get(), up.get(), out, count, biases_of(op_, op_.gate),
                                                         biases_of(op_, op_.up), {op_.activation, op_.alpha, op_.limit});
        return cudaGetLastError() == cudaSuccess;
    }

    bool down(const float * x, int64_t stride) {
        ggml_cuda_pool_alloc<float> products(context_.pool(), size_t(pairs_ * op_.down.rows));
        if (!multiply({&op_.down}, {products.get()}, x, stride, true)) {
            return false;
        }
        const int64_t count = int64_t(op_.tokens) * op_.down.rows;
        sum_slots<<<blocks_for(count), THREADS, 0, stream_>>>(products.get(), op_.weights, op_.out, count,
                                                              biases_of(op_, op_.down));
        return cudaGetLastError() == cudaSuccess;
    }

    // Quantises the activations once and multiplies them with each matrix.
    bool multiply(std::initializer_list<const moe_matrix *> matrices, std::initializer_list<float *> outs,
                  const float * x, int64_t stride, bool per_pair) {
        const moe_matrix & first = **matrices.begin();
        const int64_t padded = GGML_PAD(first.columns, MATRIX_ROW_PADDING);
        const size_t bytes = size_t(pairs_ * padded) * sizeof(block_q8_1_mmq) / QK8_1_MMQ;
        // The tile code reads a whole tile of columns even where fewer are left.
        ggml_cuda_pool_alloc<char> quantised(context_.pool(), bytes + size_t(width_) * sizeof(block_q8_1_mmq));
        rows_of_pairs<<<blocks_for(pairs_), THREADS, 0, stream_>>>(plan_.order, rows_.get(), int(pairs_), op_.slots,
                                                                  per_pair);
        quantize_mmq_q8_1_cuda(x, rows_.get(), quantised.get(), ggml_type(first.type), first.columns, stride, 0, 0,
                               padded, pairs_, 1, 1, stream_);
        auto out = outs.begin();
        for (const moe_matrix * matrix : matrices) {
            const TileProduct product = {matrix, reinterpret_cast<const int *>(quantised.get()), plan_, *out++};
            if (!launch(product, width_, device_.compute, stream_)) {
                return false;
            }
        }
        return true;
    }

    const moe_op & op_;
    const moe_device & device_;
    ggml_backend_cuda_context & context_;
    cudaStream_t stream_;
    int64_t pairs_;
    int experts_, width_;
    ggml_cuda_pool_alloc<char> plan_memory_;
    ggml_cuda_pool_alloc<int32_t> rows_;
    moe_plan plan_ = {};
    bool fine_ = false;
};

const char * matrix_refuses(const moe_matrix & matrix) {
    const int64_t block_bytes = int64_t(ggml_type_size(ggml_type(matrix.type)));
    if (!has_tiles(matrix.type)) {
        return "the tile code has no such type";
    }
    if (matrix.shared != nullptr) {
        return "the tile code has no shared expert";
    }
    // The tile code counts blocks in 32 bits.
    return matrix.expert_bytes / block_bytes * matrix.experts >= INT32_MAX ? "the matrix is too large" : nullptr;
}

}  // namespace

int tile_width(int64_t pairs, int64_t experts) {
    const int64_t average = (pairs + experts - 1) / experts;
    for (int width = 8; width < 128; width *= 2) {
        if (average <= width) {
            return width;
        }
    }
    return 128;
}

const char * tiles_refuse(const moe_op & op, const moe_device & device) {
    if (op.tokens < LEAST_TOKENS) {
        return "few tokens";
    }
    if (device.compute < 800) {
        return "the tile code was made for compute capability 8.0 and newer";
    }
    const bool has_up = op.kind != MOE_DOWN_SUM, has_gate = has_up && op.kind != MOE_MATMUL;
    const bool has_down = op.kind == MOE_DOWN_SUM || op.kind == MOE_FEED_FORWARD;
    const char * reason = has_up ? matrix_refuses(op.up) : nullptr;
    reason = reason == nullptr && has_gate ? matrix_refuses(op.gate) : reason;
    reason = reason == nullptr && has_down ? matrix_refuses(op.down) : reason;
    const int64_t widest = std::max(op.up.rows, op.down.rows);
    const bool large = int64_t(op.tokens) * op.slots * widest * int64_t(sizeof(float)) > MOST_SCRATCH_BYTES;
    return reason == nullptr && large ? "more scratch memory than is worth it" : reason;
}

bool run_tiles(const moe_kernels & kernels, const moe_op & op, const moe_device & device,
               ggml_backend_cuda_context & context) {
    return Run(kernels, op, device, context).compute();
}

}  // namespace freehold
