// The tile kernel for one type; the build makes one source file of it per type.
#pragma once

#include "ggml-cuda/mmq.cuh"
#include "moe_tiles.cuh"

namespace freehold {

struct TileShape {
    int rows, blocks, row_stride, expert_stride, pairs;
};

template <ggml_type type, int J, bool fallback>
__launch_bounds__(ggml_cuda_mmq_get_nthreads(type, J, fallback), ggml_cuda_mmq_get_occupancy(type, J, fallback))
static __global__ void multiply_tiles(const char * __restrict__ x, const int * __restrict__ y, const moe_plan plan,
                                      const int experts, const TileShape shape, float * __restrict__ out) {
    if constexpr (ggml_cuda_mmq_get_config(type, J, fallback).type == GGML_TYPE_COUNT) {
        NO_DEVICE_CODE;
    } else {
        constexpr int threads = ggml_cuda_mmq_get_nthreads(type, J, fallback);
        constexpr int I = ggml_cuda_mmq_get_I(type, J, fallback);
        extern __shared__ int columns[];  // where each column of the tile is written
        if (int(blockIdx.y) >= *plan.tile_count) {
            return;
        }
        const moe_tile tile = plan.tiles[blockIdx.y];
        if (tile.expert < 0 || tile.expert >= experts) {
            return;
        }
        const int thread = threadIdx.y * ggml_cuda_get_physical_warp_size() + threadIdx.x;
        for (int j = thread; j < J; j += threads) {
            columns[j] = j < tile.count ? plan.order[tile.first + j] : 0;
        }
        __syncthreads();
        const int first_row = int(blockIdx.x) * I;
        const int from = tile.expert * shape.expert_stride + first_row * shape.row_stride;
        constexpr int block_ints = sizeof(block_q8_1_mmq) / sizeof(int);
        mul_mat_q_process_tile<type, J, fallback, /*fixup=*/false>(
            x, from, y + tile.first * block_ints, columns, out + first_row, nullptr, nullptr, shape.row_stride,
            shape.pairs, shape.rows, shape.rows - first_row - 1, tile.count - 1, 0, shape.blocks);
    }
}

template <ggml_type type, int J, bool fallback>
bool launch_width(const TileProduct & product, int compute, cudaStream_t stream) {
    const ggml_cuda_mmq_config config = ggml_cuda_mmq_get_config(type, J, fallback, compute);
    if (config.type == GGML_TYPE_COUNT) {
        return false;
    }
    const int shared_bytes = int(mmq_get_nbytes_shared(config, compute));
    CUDA_SET_SHARED_MEMORY_LIMIT((multiply_tiles<type, J, fallback>), shared_bytes);
    const moe_matrix & matrix = *product.matrix;
    const int64_t block_bytes = int64_t(ggml_type_size(type));
    const TileShape shape = {int(matrix.rows), int(matrix.columns / ggml_blck_size(type)),
                             int(matrix.row_bytes / block_bytes), int(matrix.expert_bytes / block_bytes),
                             product.plan.pairs};
    const dim3 grid(unsigned((matrix.rows + config.I - 1) / config.I), unsigned(product.plan.tile_limit));
    const dim3 block(WARP_SIZE, unsigned(config.nthreads / WARP_SIZE));
    multiply_tiles<type, J, fallback><<<grid, block, shared_bytes, stream>>>(
        static_cast<const char *>(matrix.data), product.activations, product.plan, matrix.experts, shape, product.out);
    return cudaGetLastError() == cudaSuccess;
}

template <ggml_type type, bool fallback>
bool launch_any(const TileProduct & product, int width, int compute, cudaStream_t stream) {
    switch (width) {
        case 8: return launch_width<type, 8, fallback>(product, compute, stream);
        case 16: return launch_width<type, 16, fallback>(product, compute, stream);
        case 32: return launch_width<type, 32, fallback>(product, compute, stream);
        case 64: return launch_width<type, 64, fallback>(product, compute, stream);
        case 128: return launch_width<type, 128, fallback>(product, compute, stream);
        default: return false;
    }
}

template <ggml_type type>
bool launch_tiles(const TileProduct & product, int width, int compute, cudaStream_t stream) {
    // As stock: tiles of 128 rows need no check at the edge where the rows are a multiple of that.
    return product.matrix->rows % 128 == 0 ? launch_any<type, false>(product, width, compute, stream)
                                           : launch_any<type, true>(product, width, compute, stream);
}

}  // namespace freehold
