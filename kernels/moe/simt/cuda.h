// The machine as CUDA gives it: thin names over intrinsics and PTX, nothing else.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#define DEVICE static __device__ __forceinline__
#define MEMBER static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#define KERNEL(threads, blocks) static __global__ void __launch_bounds__(threads, blocks)
#define DEVICE_TABLE static __device__ const
#define SHARED_MEMORY(name) extern __shared__ __align__(128) uint8_t name[]

namespace simt {

DEVICE int thread_index() { return threadIdx.x; }
DEVICE int block_index() { return blockIdx.x; }
DEVICE int block_size() { return blockDim.x; }
DEVICE int grid_size() { return gridDim.x; }

// ------------------------------------------------------------------ waiting for one another

DEVICE void sync_block() { __syncthreads(); }
DEVICE void sync_warp() { __syncwarp(); }
// `threads` of the block (whole warps) meet at barrier `id` (1 … 15; 0 is sync_block's).
DEVICE void sync_some(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
DEVICE void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// ------------------------------------------------------------------ the warp

template <class T> DEVICE T shuffle(T value, int lane) { return __shfl_sync(~0u, value, lane); }
template <class T> DEVICE T shuffle_xor(T value, int mask) {
    return __shfl_xor_sync(~0u, value, mask);
}
DEVICE uint32_t ballot(bool yes) { return __ballot_sync(~0u, yes); }
DEVICE uint32_t match_any(int value) { return __match_any_sync(~0u, value); }
DEVICE int count_bits(uint32_t bits) { return __popc(bits); }

// c[16][8] += a[16][32] * b[32][8]; lane 4g + t holds rows g, g + 8 of a and column g of b.
DEVICE void mma_32(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                   uint32_t b1) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
        "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
DEVICE void mma_16(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t b0) {
    asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 "
        "{%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a0), "r"(a1), "r"(b0));
}

// ------------------------------------------------------------------ bits

DEVICE uint32_t pick_bytes(uint32_t low, uint32_t high, uint32_t selector) {
    uint32_t picked;  // __byte_perm would mask the selector first
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(picked) : "r"(low), "r"(high), "r"(selector));
    return picked;
}
DEVICE uint32_t funnel_right(uint32_t low, uint32_t high, uint32_t bits) {
    return __funnelshift_r(low, high, bits);
}
DEVICE float half_to_float(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
DEVICE float bits_to_float(uint32_t bits) { return __uint_as_float(bits); }
DEVICE int round_to_int(float value) { return __float2int_rn(value); }

// ------------------------------------------------------------------ memory

template <class T> DEVICE T load(const void * from) { return *static_cast<const T *>(from); }
template <class T> DEVICE T load_constant(const T * from) { return __ldg(from); }

DEVICE int add_release(int * counter, int value) {  // and acquires: what others released is seen
    int old;
    asm volatile("atom.acq_rel.gpu.global.add.s32 %0, [%1], %2;"
                 : "=r"(old) : "l"(counter), "r"(value) : "memory");
    return old;
}
DEVICE int add_shared(int * counter, int value) { return atomicAdd(counter, value); }
DEVICE void wait_until_reaches(const int * counter, int value) {
    int seen;
    do {
        asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(seen) : "l"(counter) : "memory");
    } while (seen < value);
}

DEVICE uint32_t shared_address(const void * pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// ------------------------------------------------------------------ barriers in shared memory

DEVICE void barrier_init(uint64_t * barrier, int arrivals) {
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals)
                 : "memory");
}
DEVICE void barrier_publish() {  // after barrier_init, before the block meets
#if __CUDA_ARCH__ >= 900
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
DEVICE void barrier_arrive(uint64_t * barrier) {
    asm volatile("{ .reg .b64 state; mbarrier.arrive.shared.b64 state, [%0]; }" ::"r"(
                     shared_address(barrier)) : "memory");
}
DEVICE void barrier_wait(uint64_t * barrier, int parity) {
#if __CUDA_ARCH__ >= 900
    asm volatile(
        "{\n .reg .pred done;\n again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        " @done bra over;\n bra again;\n over:\n}" ::"r"(shared_address(barrier)), "r"(parity)
        : "memory");
#else
    asm volatile(
        "{\n .reg .pred done;\n again: mbarrier.test_wait.parity.shared.b64 done, [%0], %1;\n"
        " @done bra over;\n bra again;\n over:\n}" ::"r"(shared_address(barrier)), "r"(parity)
        : "memory");
#endif
}

// ------------------------------------------------------------------ copies into shared memory

// Bulk copies exist from sm_90; before that every lane copies 16 bytes at a time.
DEVICE constexpr bool has_bulk_copies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    return true;
#else
    return false;
#endif
}
DEVICE void barrier_arrive_expecting(uint64_t * barrier, uint32_t bytes) {
#if __CUDA_ARCH__ >= 900
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                     shared_address(barrier)), "r"(bytes) : "memory");
#endif
}
DEVICE void copy_bulk(void * to, const void * from, uint32_t bytes, uint64_t * barrier) {
#if __CUDA_ARCH__ >= 900
    // Weights are read once: they may leave the L2 first.
    uint64_t policy;
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
        "[%0], [%1], %2, [%3], %4;" ::"r"(shared_address(to)), "l"(from), "r"(bytes),
        "r"(shared_address(barrier)), "l"(policy) : "memory");
#endif
}
DEVICE void copy_async(void * to, const void * from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from)
                 : "memory");
}
// This lane arrives at the barrier when its copies so far are there.
DEVICE void arrive_after_copies(uint64_t * barrier) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(shared_address(barrier))
                 : "memory");
}

}  // namespace simt
