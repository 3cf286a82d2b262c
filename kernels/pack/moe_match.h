// Finds expert feed-forwards in a ggml graph and describes them in the terms of moe_kernels.h.
//
// It reads shapes and edges only, never data, so it runs (and is tested) without a GPU.
#pragma once

#include "ggml.h"
#include "ggml-impl.h"
#include "moe_kernels.h"

#include <vector>

namespace freehold {

// One operation, and what of the graph it stands for: nodes [first, first + nodes), of which only
// the last is seen by the rest of the graph.
struct MoeMatch {
    moe_op op = {};
    int first = 0;
    int nodes = 0;
    ggml_tensor * out = nullptr;
    // Tensors that must stay in memory until `out` is written.
    std::vector<const ggml_tensor *> inputs;
};

struct RouterMatch {
    moe_router router = {};
    int first = 0;
    int nodes = 0;
    ggml_tensor * ids = nullptr;
    ggml_tensor * weights = nullptr;
    std::vector<const ggml_tensor *> inputs;
};

// Returns all operations that begin at node `first`, the longest one first: the whole
// feed-forward, gate + up + activation, down + weighted sum, one matrix.
std::vector<MoeMatch> match_moe(const ggml_cgraph * graph, int first);

// Describes one MUL_MAT_ID by itself; false if its layout is not one the kernels read.
bool describe_product(ggml_tensor * product, MoeMatch & match);

// Returns whether the choice of experts begins at node `first`: activation, bias, groups, top-k,
// normalised and scaled weights, as llama.cpp builds them.
bool match_router(const ggml_cgraph * graph, int first, RouterMatch & match);

}  // namespace freehold
