#include "moe_match.h"

#include <algorithm>

namespace freehold {
namespace {

constexpr int MOST_NODES = 31;  // ggml_can_fuse_subgraph takes no more

// Walks along a graph and remembers what it has passed.
class Walk {
  public:
    Walk(const ggml_cgraph * graph, int first) : graph_(graph), first_(first) {}

    // Returns the next node if it is of that kind and moves on, else null and stays.
    ggml_tensor * take(ggml_op op) {
        const int at = first_ + int(ops_.size());
        if (at >= graph_->n_nodes || graph_->nodes[at]->op != op) {
            return nullptr;
        }
        ops_.push_back(op);
        return graph_->nodes[at];
    }

    int count() const { return int(ops_.size()); }

    // Returns whether only the last node passed is used by the rest of the graph.
    bool closes() const {
        if (count() > MOST_NODES) {
            return false;
        }
        const int last = first_ + count() - 1;
        return ggml_can_fuse_subgraph(graph_, first_, count(), ops_.data(), &last, 1);
    }

    bool closes_with(const std::vector<int> & outputs) const {
        return count() <= MOST_NODES && ggml_can_fuse_subgraph(graph_, first_, count(), ops_.data(),
                                                               outputs.data(), int(outputs.size()));
    }

  private:
    const ggml_cgraph * graph_;
    int first_;
    std::vector<ggml_op> ops_;
};

// A matrix product over experts with the bias that may follow it.
struct Product {
    ggml_tensor * matmul = nullptr;
    ggml_tensor * value = nullptr;  // what the rest reads: the product, or with its bias
    const ggml_tensor * bias = nullptr;

    const ggml_tensor * matrix() const { return matmul->src[0]; }
    const ggml_tensor * x() const { return matmul->src[1]; }
    const ggml_tensor * ids() const { return matmul->src[2]; }
};

bool is_plain_f32(const ggml_tensor * tensor) {
    return tensor->type == GGML_TYPE_F32 && ggml_is_contiguous(tensor);
}

bool asks_for_precision(const ggml_tensor * matmul) {
    return std::any_of(matmul->op_params, matmul->op_params + 4, [](int32_t p) { return p != 0; });
}

// Returns whether a product has the layout the kernels read: natural rows, ids of one piece each.
bool is_usable(const ggml_tensor * matmul) {
    const ggml_tensor * matrix = matmul->src[0];
    const ggml_tensor * x = matmul->src[1];
    const ggml_tensor * ids = matmul->src[2];
    return matrix->nb[0] == ggml_type_size(matrix->type) &&
           matrix->nb[1] == ggml_row_size(matrix->type, matrix->ne[0]) && matrix->ne[3] == 1 &&
           x->type == GGML_TYPE_F32 && x->nb[0] == sizeof(float) && x->nb[1] % sizeof(float) == 0 &&
           x->ne[3] == 1 && ids->type == GGML_TYPE_I32 && ids->nb[0] == sizeof(int32_t) &&
           ids->ne[2] == 1 && ids->ne[3] == 1 && is_plain_f32(matmul) && !asks_for_precision(matmul);
}

bool is_bias_of(const ggml_tensor * add, const ggml_tensor * matmul) {
    return add->src[0] == matmul && add->src[2] == matmul->src[2] && is_plain_f32(add->src[1]) &&
           add->src[1]->ne[0] == matmul->ne[0] && add->src[1]->ne[1] == matmul->src[0]->ne[2] &&
           is_plain_f32(add);
}

bool take_product(Walk & walk, Product & product) {
    product.matmul = walk.take(GGML_OP_MUL_MAT_ID);
    if (product.matmul == nullptr || !is_usable(product.matmul)) {
        return false;
    }
    product.value = product.matmul;
    Walk ahead = walk;
    if (ggml_tensor * add = ahead.take(GGML_OP_ADD_ID); add && is_bias_of(add, product.matmul)) {
        walk = ahead;
        product.value = add;
        product.bias = add->src[1];
    }
    return true;
}

moe_matrix describe(const Product & product) {
    const ggml_tensor * matrix = product.matrix();
    moe_matrix out = {};
    out.data = matrix->data;
    out.bias = product.bias ? static_cast<const float *>(product.bias->data) : nullptr;
    out.type = matrix->type;
    out.experts = int32_t(matrix->ne[2]);
    out.rows = matrix->ne[1];
    out.columns = matrix->ne[0];
    out.row_bytes = int64_t(matrix->nb[1]);
    out.expert_bytes = int64_t(matrix->nb[2]);
    return out;
}

// Fills in what the activations say; false if rows of pairs do not follow each other.
bool describe_rows(moe_op & op, const ggml_tensor * x, const ggml_tensor * ids) {
    op.struct_bytes = sizeof(moe_op);
    op.ids = static_cast<const int32_t *>(ids->data);
    op.ids_stride = int64_t(ids->nb[1] / sizeof(int32_t));
    op.slots = int32_t(ids->ne[0]);
    op.tokens = int32_t(ids->ne[1]);
    op.x = static_cast<const float *>(x->data);
    op.x_per_pair = x->ne[1] != 1;
    if (op.x_per_pair && (x->ne[1] != op.slots || x->nb[2] != x->nb[1] * size_t(op.slots))) {
        return false;
    }
    op.x_stride = int64_t((op.x_per_pair ? x->nb[1] : x->nb[2]) / sizeof(float));
    return x->ne[2] == op.tokens;
}

bool describe_activation(moe_op & op, const ggml_tensor * glu) {
    if (ggml_get_op_params_i32(glu, 1) != 0) {  // gate and up swapped inside one tensor
        return false;
    }
    op.alpha = ggml_get_op_params_f32(glu, 2);
    op.limit = ggml_get_op_params_f32(glu, 3);
    switch (ggml_get_glu_op(glu)) {
        case GGML_GLU_OP_SWIGLU: op.activation = MOE_SWIGLU; return true;
        case GGML_GLU_OP_SWIGLU_OAI: op.activation = MOE_SWIGLU_OAI; return true;
        case GGML_GLU_OP_GEGLU: op.activation = MOE_GEGLU; return true;
        case GGML_GLU_OP_SWIGLU_CLAMP: op.activation = MOE_SWIGLU_CLAMP; return true;
        default: return false;
    }
}

// gate, up and what joins them; two matrices or the halves of one.
struct GateUp {
    moe_matrix gate = {};
    moe_matrix up = {};
    Product one;  // any of them: its x and ids
    ggml_tensor * glu = nullptr;
    std::vector<const ggml_tensor *> biases;
};

bool take_two_matrices(Walk & walk, GateUp & found) {
    Product a, b;
    if (!take_product(walk, a) || !take_product(walk, b) || a.x() != b.x() || a.ids() != b.ids() ||
        !ggml_are_same_shape(a.matrix(), b.matrix()) || a.matrix()->type != b.matrix()->type) {
        return false;
    }
    found.glu = walk.take(GGML_OP_GLU);
    if (found.glu == nullptr) {
        return false;
    }
    const bool in_order = found.glu->src[0] == a.value && found.glu->src[1] == b.value;
    const bool turned = found.glu->src[0] == b.value && found.glu->src[1] == a.value;
    found.gate = describe(in_order ? a : b);
    found.up = describe(in_order ? b : a);
    found.one = a;
    found.biases = {a.bias, b.bias};
    return in_order || turned;
}

bool is_half(const ggml_tensor * view, const ggml_tensor * whole, int64_t half) {
    return view->view_src == whole && view->ne[0] == whole->ne[0] / 2 && view->ne[1] == whole->ne[1] &&
           view->ne[2] == whole->ne[2] && view->nb[1] == whole->nb[1] && view->nb[2] == whole->nb[2] &&
           view->view_offs == size_t(half * view->ne[0]) * whole->nb[0];
}

bool take_merged_matrix(Walk & walk, GateUp & found) {
    Product both;
    if (!take_product(walk, both) || both.bias != nullptr || both.matmul->ne[0] % 2 != 0) {
        return false;
    }
    const ggml_tensor * first = walk.take(GGML_OP_VIEW);
    const ggml_tensor * second = first ? walk.take(GGML_OP_VIEW) : nullptr;
    found.glu = second ? walk.take(GGML_OP_GLU) : nullptr;
    if (found.glu == nullptr) {
        return false;
    }
    const ggml_tensor * gate = found.glu->src[0];
    const ggml_tensor * up = found.glu->src[1];
    if (up == nullptr || !is_half(gate, both.value, 0) || !is_half(up, both.value, 1)) {
        return false;
    }
    found.gate = describe(both);
    found.gate.rows /= 2;
    found.up = found.gate;
    found.up.data = static_cast<const char *>(found.gate.data) + found.gate.rows * found.gate.row_bytes;
    found.one = both;
    return true;
}

bool take_gate_up(Walk & walk, GateUp & found) {
    Walk merged = walk;
    if (take_two_matrices(walk, found)) {
        return is_plain_f32(found.glu);
    }
    walk = merged;
    found = {};
    return take_merged_matrix(walk, found) && is_plain_f32(found.glu);
}

bool is_view_of_slot(const ggml_tensor * view, const ggml_tensor * weighted, int slot) {
    return view->view_src == weighted && view->type == GGML_TYPE_F32 && view->ne[0] == weighted->ne[0] &&
           view->ne[1] == weighted->ne[2] && view->ne[2] == 1 && view->ne[3] == 1 &&
           view->nb[1] == weighted->nb[2] && view->view_offs == size_t(slot) * weighted->nb[1];
}

// The sum over the slots of a token: one view each, then one addition after another.
ggml_tensor * take_sum(Walk & walk, const ggml_tensor * weighted) {
    const int slots = int(weighted->ne[1]);
    std::vector<ggml_tensor *> views;
    for (int slot = 0; slot < slots; ++slot) {
        views.push_back(walk.take(GGML_OP_VIEW));
        if (views.back() == nullptr || !is_view_of_slot(views.back(), weighted, slot)) {
            return nullptr;
        }
    }
    ggml_tensor * sum = views[0];
    for (int slot = 1; slot < slots; ++slot) {
        ggml_tensor * add = walk.take(GGML_OP_ADD);
        if (add == nullptr || add->src[0] != sum || add->src[1] != views[slot]) {
            return nullptr;
        }
        sum = add;
    }
    return slots > 1 && is_plain_f32(sum) ? sum : nullptr;
}

// down, its bias, the weights and the sum.
struct Down {
    Product product;
    const ggml_tensor * weights = nullptr;
    ggml_tensor * sum = nullptr;
};

bool take_down(Walk & walk, Down & found) {
    if (!take_product(walk, found.product)) {
        return false;
    }
    const ggml_tensor * weighted = walk.take(GGML_OP_MUL);
    if (weighted == nullptr || weighted->src[0] != found.product.value) {
        return false;
    }
    found.weights = weighted->src[1];
    const bool one_each = is_plain_f32(found.weights) && found.weights->ne[0] == 1 &&
                          found.weights->ne[1] == weighted->ne[1] &&
                          found.weights->ne[2] == weighted->ne[2] && found.weights->ne[3] == 1;
    if (!one_each || !is_plain_f32(weighted)) {
        return false;
    }
    found.sum = take_sum(walk, weighted);
    return found.sum != nullptr;
}

void add_inputs(MoeMatch & match, std::initializer_list<const ggml_tensor *> tensors) {
    for (const ggml_tensor * tensor : tensors) {
        if (tensor != nullptr) {
            match.inputs.push_back(tensor);
        }
    }
}

MoeMatch finish(MoeMatch match, int first, const Walk & walk, ggml_tensor * out) {
    match.first = first;
    match.nodes = walk.count();
    match.out = out;
    match.op.out = static_cast<float *>(out->data);
    return match;
}

void match_from_gate(const ggml_cgraph * graph, int first, std::vector<MoeMatch> & found) {
    Walk walk(graph, first);
    GateUp gate_up;
    MoeMatch match;
    if (!take_gate_up(walk, gate_up) || !describe_rows(match.op, gate_up.one.x(), gate_up.one.ids()) ||
        !describe_activation(match.op, gate_up.glu)) {
        return;
    }
    match.op.gate = gate_up.gate;
    match.op.up = gate_up.up;
    add_inputs(match, {gate_up.one.x(), gate_up.one.ids()});
    const Walk half = walk;
    Down down;
    if (take_down(walk, down) && down.product.x() == gate_up.glu &&
        down.product.ids() == gate_up.one.ids() && walk.closes()) {
        MoeMatch whole = match;
        whole.op.kind = MOE_FEED_FORWARD;
        whole.op.down = describe(down.product);
        whole.op.weights = static_cast<const float *>(down.weights->data);
        add_inputs(whole, {down.weights});
        found.push_back(finish(whole, first, walk, down.sum));
    }
    if (half.closes()) {
        match.op.kind = MOE_GATE_UP;
        found.push_back(finish(match, first, half, gate_up.glu));
    }
}

void match_from_down(const ggml_cgraph * graph, int first, std::vector<MoeMatch> & found) {
    Walk walk(graph, first);
    Down down;
    MoeMatch match;
    if (take_down(walk, down) && walk.closes() &&
        describe_rows(match.op, down.product.x(), down.product.ids())) {
        match.op.kind = MOE_DOWN_SUM;
        match.op.down = describe(down.product);
        match.op.weights = static_cast<const float *>(down.weights->data);
        add_inputs(match, {down.product.x(), down.product.ids(), down.weights});
        found.push_back(finish(match, first, walk, down.sum));
    }
}

}  // namespace

bool describe_product(ggml_tensor * product, MoeMatch & match) {
    if (product->op != GGML_OP_MUL_MAT_ID || !is_usable(product) ||
        !describe_rows(match.op, product->src[1], product->src[2])) {
        return false;
    }
    Product one;
    one.matmul = one.value = product;
    match.op.kind = MOE_MATMUL;
    match.op.up = describe(one);
    match.op.out = static_cast<float *>(product->data);
    match.nodes = 1;
    match.out = product;
    add_inputs(match, {product->src[1], product->src[2]});
    return true;
}

std::vector<MoeMatch> match_moe(const ggml_cgraph * graph, int first) {
    std::vector<MoeMatch> found;
    if (graph->nodes[first]->op == GGML_OP_MUL_MAT_ID) {
        match_from_gate(graph, first, found);
        match_from_down(graph, first, found);
        MoeMatch one;
        if (describe_product(graph->nodes[first], one)) {
            one.first = first;
            found.push_back(one);
        }
    }
    return found;
}

}  // namespace freehold
