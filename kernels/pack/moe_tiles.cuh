// Many tokens: llama.cpp's own quantised tile code, driven by a compact list of tiles.
//
// Stock launches a grid of experts × tokens, most of whose blocks find nothing to do, and chooses
// the tile width by the number of tokens. Here the plan kernel lists the tiles that exist, the
// width follows the tokens an expert sees, and gate and up share sorting and quantisation.
#pragma once

#include "ggml-cuda/common.cuh"
#include "moe_kernels.h"

namespace freehold {

// One product of sorted, quantised activations with the experts' matrices.
struct TileProduct {
    const moe_matrix * matrix;
    const int * activations;    // block_q8_1_mmq, pairs in the order of the plan
    moe_plan plan;
    float * out;                // [pairs][rows], by pair number
};

// Returns null if the tiles can compute `op`, else why not.
const char * tiles_refuse(const moe_op & op, const moe_device & device);

// Computes `op`: one plan, each activation quantised once, then one launch per matrix.
bool run_tiles(const moe_kernels & kernels, const moe_op & op, const moe_device & device,
               ggml_backend_cuda_context & context);

// Launches one product; one definition per type, see moe_tiles_of_type.cuh. False: no such tile.
template <ggml_type type>
bool launch_tiles(const TileProduct & product, int width, int compute, cudaStream_t stream);

// Returns the narrowest tile width that holds what an expert sees on average.
int tile_width(int64_t pairs, int64_t experts);

}  // namespace freehold
