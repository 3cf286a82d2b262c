// Where llama.cpp's CUDA backend asks Freehold's expert kernels; every call may answer "not mine".
#pragma once

#include "ggml-cuda/common.cuh"
#include "ggml-backend-impl.h"
#include "ggml-impl.h"
#include "moe_kernels.h"

#include <cstdint>

// Checks that writing `outputs` overwrites nothing that nodes [first, first + count) still read.
using freehold_ranges_check = bool (*)(const ggml_cgraph * graph, int first, int count, const int * outputs,
                                       int output_count, bool is_topk);

// Computes an operation that begins at node `first`; returns how many nodes after it are done too,
// 0 if the stock path must go on. One product alone is left to `freehold_moe_product`.
int freehold_moe_try_fuse(ggml_backend_cuda_context & context, ggml_cgraph * graph, int first,
                          freehold_ranges_check ranges_are_free);

// Computes one MUL_MAT_ID; false: the stock path must.
bool freehold_moe_product(ggml_backend_cuda_context & context, ggml_tensor * product);

// Returns whether `freehold_moe_product` would take it, without computing.
bool freehold_moe_takes(const ggml_tensor * product);

// Keeps what a fused operation reads in memory until its result is written.
void freehold_moe_keep_inputs(ggml_cgraph * graph, ggml_backend_graph_optimize_params * params);

// Returns whether kernels were switched since this CUDA graph was last looked at.
bool freehold_moe_changed(const void * cuda_graph);

// Hands the backend its kernels, or takes them away with null; -1 if they speak another ABI.
extern "C" int freehold_moe_set_kernels(const moe_kernels * kernels);
