#include "moe_match.h"

#include <algorithm>
#include <utility>

namespace freehold {
namespace {

constexpr int MOST_NODES = 31;

// Walks the nodes of a router in the order in which llama.cpp puts them down.
class RouterWalk {
  public:
    RouterWalk(const ggml_cgraph * graph, int first) : graph_(graph), first_(first) {}

    const ggml_tensor * peek(int ahead = 0) const {
        const int at = first_ + int(ops_.size()) + ahead;
        return at < graph_->n_nodes ? graph_->nodes[at] : nullptr;
    }

    ggml_tensor * take(ggml_op op) {
        const ggml_tensor * next = peek();
        if (next == nullptr || next->op != op) {
            return nullptr;
        }
        ops_.push_back(op);
        return graph_->nodes[first_ + int(ops_.size()) - 1];
    }

    // The next node, if it is of that kind and reads `from`.
    ggml_tensor * take(ggml_op op, const ggml_tensor * from) {
        const ggml_tensor * next = peek();
        return next != nullptr && from != nullptr && next->src[0] == from ? take(op) : nullptr;
    }

    // A top-k: argsort, and a view of its first entries.
    ggml_tensor * take_top(const ggml_tensor * scores) {
        const ggml_tensor * sorted = take(GGML_OP_ARGSORT, scores);
        const bool descends = sorted && ggml_get_op_params_i32(sorted, 0) == GGML_SORT_ORDER_DESC;
        ggml_tensor * view = descends ? take(GGML_OP_VIEW, sorted) : nullptr;
        return view != nullptr && view->view_offs == 0 ? view : nullptr;
    }

    int count() const { return int(ops_.size()); }
    int last() const { return first_ + count() - 1; }

    int position(const ggml_tensor * tensor) const {
        const auto begin = graph_->nodes + first_;
        return first_ + int(std::find(begin, begin + count(), tensor) - begin);
    }

    bool closes(const std::vector<int> & outputs) const {
        return count() <= MOST_NODES && ggml_can_fuse_subgraph(graph_, first_, count(), ops_.data(),
                                                               outputs.data(), int(outputs.size()));
    }

  private:
    const ggml_cgraph * graph_;
    int first_;
    std::vector<ggml_op> ops_;
};

const ggml_tensor * take_scores(RouterWalk & walk, RouterMatch & match) {
    if (const ggml_tensor * sigmoid = walk.take(GGML_OP_UNARY)) {
        match.router.scoring = MOE_SIGMOID;
        return ggml_get_unary_op(sigmoid) == GGML_UNARY_OP_SIGMOID ? sigmoid : nullptr;
    }
    const ggml_tensor * softmax = walk.take(GGML_OP_SOFT_MAX);
    const bool plain = softmax && softmax->src[1] == nullptr && softmax->src[2] == nullptr &&
                       ggml_get_op_params_f32(softmax, 0) == 1.0f &&
                       ggml_get_op_params_f32(softmax, 1) == 0.0f;
    match.router.scoring = MOE_SOFTMAX;
    return plain ? softmax : nullptr;
}

// Experts compete in groups: the sum of a group's two best decides which groups stay.
const ggml_tensor * take_groups(RouterWalk & walk, const ggml_tensor * scores, moe_router & router) {
    const ggml_tensor * groups = walk.take(GGML_OP_RESHAPE, scores);
    const ggml_tensor * single = groups ? walk.take(GGML_OP_RESHAPE, groups) : nullptr;
    const ggml_tensor * best = single ? walk.take_top(groups) : nullptr;
    if (best == nullptr || best->ne[0] != 2 || single->ne[0] != 1) {
        return nullptr;
    }
    const ggml_tensor * values = walk.take(GGML_OP_GET_ROWS, single);
    const ggml_tensor * pairs = values && values->src[1] == best ? walk.take(GGML_OP_RESHAPE, values) : nullptr;
    const ggml_tensor * sums = walk.take(GGML_OP_SUM_ROWS, pairs);
    const ggml_tensor * flat = walk.take(GGML_OP_RESHAPE, sums);
    const ggml_tensor * chosen = flat ? walk.take_top(flat) : nullptr;
    const ggml_tensor * kept = chosen ? walk.take(GGML_OP_GET_ROWS, groups) : nullptr;
    const ggml_tensor * blank = kept && kept->src[1] == chosen ? walk.take(GGML_OP_FILL, groups) : nullptr;
    const ggml_tensor * masked = blank ? walk.take(GGML_OP_SET_ROWS, kept) : nullptr;
    if (masked == nullptr || masked->src[1] != chosen || masked->src[2] != blank) {
        return nullptr;
    }
    router.groups = int32_t(groups->ne[1]);
    router.groups_used = int32_t(chosen->ne[0]);
    return walk.take(GGML_OP_RESHAPE, masked);
}

// Weights made to sum to one, then scaled: each only where the graph has it.
ggml_tensor * take_weights(RouterWalk & walk, ggml_tensor * weights, moe_router & router) {
    RouterWalk ahead = walk;
    const ggml_tensor * flat = ahead.take(GGML_OP_RESHAPE, weights);
    const ggml_tensor * sum = flat ? ahead.take(GGML_OP_SUM_ROWS, flat) : nullptr;
    const ggml_tensor * least = sum ? ahead.take(GGML_OP_CLAMP, sum) : nullptr;
    const ggml_tensor * share = least ? ahead.take(GGML_OP_DIV, flat) : nullptr;
    ggml_tensor * again = share && share->src[1] == least ? ahead.take(GGML_OP_RESHAPE, share) : nullptr;
    if (again != nullptr) {
        walk = ahead;
        weights = again;
        router.normalise = 1;
        router.smallest_sum = ggml_get_op_params_f32(least, 0);
    }
    RouterWalk scaled = walk;
    ggml_tensor * scale = scaled.take(GGML_OP_SCALE, weights);
    if (scale != nullptr && ggml_get_op_params_f32(scale, 1) == 0.0f) {
        walk = scaled;
        weights = scale;
        router.scale = ggml_get_op_params_f32(scale, 0);
    }
    return weights;
}

}  // namespace

bool match_router(const ggml_cgraph * graph, int first, RouterMatch & match) {
    RouterWalk walk(graph, first);
    match = {};
    moe_router & router = match.router;
    router.struct_bytes = sizeof(moe_router);
    router.groups = router.groups_used = 1;
    router.scale = 1.0f;
    const ggml_tensor * scores = take_scores(walk, match);
    const ggml_tensor * rows = scores ? walk.take(GGML_OP_RESHAPE, scores) : nullptr;
    if (rows == nullptr || !ggml_is_contiguous(scores->src[0]) || scores->ne[2] != 1 || scores->ne[3] != 1) {
        return false;
    }
    const ggml_tensor * deciding = scores;
    const ggml_tensor * bias = nullptr;
    if (ggml_tensor * add = walk.take(GGML_OP_ADD, scores)) {
        bias = add->src[1];
        deciding = add;
        if (bias->type != GGML_TYPE_F32 || ggml_nelements(bias) != scores->ne[0]) {
            return false;
        }
    }
    const ggml_tensor * next = walk.peek();
    if (next != nullptr && next->op == GGML_OP_RESHAPE) {
        deciding = take_groups(walk, deciding, router);
    }
    match.ids = deciding ? walk.take_top(deciding) : nullptr;
    ggml_tensor * picked = match.ids ? walk.take(GGML_OP_GET_ROWS, rows) : nullptr;
    if (picked == nullptr || picked->src[1] != match.ids) {
        return false;
    }
    match.weights = take_weights(walk, picked, router);
    if (!ggml_is_contiguous(match.weights) || !walk.closes({walk.position(match.ids), walk.last()})) {
        return false;
    }
    const ggml_tensor * logits = scores->src[0];
    router.logits = static_cast<const float *>(logits->data);
    router.bias = bias ? static_cast<const float *>(bias->data) : nullptr;
    router.ids = static_cast<int32_t *>(match.ids->data);
    router.ids_stride = int64_t(match.ids->nb[1] / sizeof(int32_t));
    router.weights = static_cast<float *>(match.weights->data);
    router.tokens = int32_t(logits->ne[1]);
    router.experts = int32_t(logits->ne[0]);
    router.slots = int32_t(match.ids->ne[0]);
    match.first = first;
    match.nodes = walk.count();
    match.inputs = {logits};
    if (bias != nullptr) {
        match.inputs.push_back(bias);
    }
    return true;
}

}  // namespace freehold
