#include "support.h"

#include "choose_shape.h"
#include "operations.h"
#include "switches.h"
#include "type_row.h"

namespace moe {
namespace {

const char * why_not_matrix(const moe_matrix & matrix) {
    const TypeRow * row = find_type(matrix.type);
    if (row == nullptr) return "there is no kernel for this quantisation type";
    if (matrix.data == nullptr) return "a matrix is missing";
    if (matrix.rows <= 0 || matrix.columns <= 0 || matrix.experts <= 0) return "a matrix is empty";
    if (matrix.experts > kMostExperts) return "there are more than 512 experts";
    if (matrix.rows % 16 != 0) return "the number of rows is not a multiple of 16";
    if (matrix.rows > (1 << 20) || matrix.columns > (1 << 16)) return "a matrix is too large";
    if (matrix.columns % row->block_values != 0) return "a row is not a whole number of blocks";
    if (matrix.row_bytes != matrix.columns / row->block_values * row->block_bytes) {
        return "the rows of a matrix do not follow one another";
    }
    if (matrix.expert_bytes < matrix.rows * matrix.row_bytes) return "experts overlap";
    const auto address = reinterpret_cast<uintptr_t>(matrix.data) |
                         reinterpret_cast<uintptr_t>(matrix.shared);
    if (address % 16 != 0) return "a matrix does not begin at a multiple of 16 bytes";
    if (matrix.expert_bytes % 16 != 0) {
        return "the distance between experts is not a multiple of 16 bytes";
    }
    return nullptr;
}

const char * why_not_pair(const moe_matrix & gate, const moe_matrix & up) {
    if (gate.type != up.type) return "gate and up are of different types";
    if (gate.rows != up.rows || gate.columns != up.columns || gate.experts != up.experts) {
        return "gate and up differ in shape";
    }
    if ((gate.shared == nullptr) != (up.shared == nullptr)) {
        return "only one of gate and up has a shared expert";
    }
    return nullptr;
}

const char * why_not_matrices(const moe_op & op) {
    const bool has_gate = op.kind == MOE_GATE_UP || op.kind == MOE_FEED_FORWARD;
    const bool has_up = op.kind != MOE_DOWN_SUM;
    const bool has_down = op.kind == MOE_DOWN_SUM || op.kind == MOE_FEED_FORWARD;
    const char * reason = nullptr;
    if (has_up && (reason = why_not_matrix(op.up)) != nullptr) return reason;
    if (has_gate && (reason = why_not_matrix(op.gate)) != nullptr) return reason;
    if (has_gate && (reason = why_not_pair(op.gate, op.up)) != nullptr) return reason;
    if (has_down && (reason = why_not_matrix(op.down)) != nullptr) return reason;
    if (op.kind == MOE_FEED_FORWARD) {
        if (op.down.columns != op.up.rows || op.down.experts != op.up.experts) {
            return "down does not fit gate and up";
        }
        if ((op.down.shared == nullptr) != (op.up.shared == nullptr)) {
            return "only some of the matrices have a shared expert";
        }
    }
    return nullptr;
}

const char * why_not_routing(const moe_op & op) {
    if (op.tokens < 0 || op.slots <= 0) return "there is no routing";
    if (op.tokens > kMostTokens) return "there are more tokens than these kernels are meant for";
    if (op.slots > kMostSlots) return "there are more than 32 experts per token";
    if (op.ids_stride < op.slots) return "the expert numbers overlap";
    if (op.activation < MOE_SWIGLU || op.activation > MOE_SWIGLU_CLAMP) {
        return "there is no kernel for this activation";
    }
    if (op.kind == MOE_FEED_FORWARD && op.x_per_pair) {
        return "the slots of a token read different rows";
    }
    if (op.kind == MOE_DOWN_SUM && !op.x_per_pair) return "the slots of a token read one row";
    return nullptr;
}

}  // namespace

const char * why_not(const moe_op & op, const moe_device & device) {
    if (op.struct_bytes != sizeof(moe_op) || device.struct_bytes != sizeof(moe_device)) {
        return "the caller was built against another version of these kernels";
    }
    if (device.compute < 800) return "the GPU is older than Ampere (compute capability 8.0)";
    if (!is_enabled(Kernel::kStream)) return "the kernels are switched off";
    if (op.kind < 0 || op.kind >= MOE_OP_KINDS) return "there is no such operation";
    if (const char * reason = why_not_routing(op)) return reason;
    if (const char * reason = why_not_matrices(op)) return reason;
    if (!every_shape_fits(op, device)) return "the GPU has too little shared memory for this shape";
    return nullptr;
}

}  // namespace moe
