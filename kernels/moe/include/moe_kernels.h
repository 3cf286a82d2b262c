/* The C ABI of libmoe_kernels: what a backend must know to use Freehold's expert kernels.
 *
 * The library knows nothing of ggml's structures. Whoever hooks it into a backend describes one
 * operation in a `moe_op`, asks `supports`, takes scratch memory from the backend's own pool and
 * calls `run`. Nothing here allocates, waits for the device or reads device memory on the host, so
 * every call fits into a CUDA graph. A reason not to support an operation is a sentence, never an
 * abort: the caller goes on with its own kernels.
 *
 * The same ABI is served by libmoe_emulated, where "device" memory is host memory.
 */
#ifndef FREEHOLD_MOE_KERNELS_H
#define FREEHOLD_MOE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Counted up when a structure or a meaning below changes; `moe_kernels_get` refuses another one. */
#define MOE_ABI_VERSION 1u

/* ------------------------------------------------------------------ what is computed */

enum moe_op_kind {
    MOE_MATMUL = 0,       /* out[pair][row] = up[expert(pair)] * x                        */
    MOE_GATE_UP = 1,      /* out[pair][row] = act(gate * x + gate_bias, up * x + up_bias) */
    MOE_DOWN_SUM = 2,     /* out[token][row] = sum of weight * (down * x[pair] + bias)    */
    MOE_FEED_FORWARD = 3, /* GATE_UP and DOWN_SUM together                                */
    MOE_OP_KINDS = 4,
};

enum moe_activation {
    MOE_SWIGLU = 0,      /* silu(gate) * up                                                      */
    MOE_SWIGLU_OAI = 1,  /* gpt-oss: gate and up clamped at `limit`, sigmoid(alpha * gate), 1+up */
    MOE_GEGLU = 2,       /* gelu (tanh form) of gate, times up                                   */
    MOE_SWIGLU_CLAMP = 3 /* gate and up clamped at `limit`, then silu(gate) * up                 */
};

/* One matrix per expert, raw GGUF blocks as the file holds them.
 * `type` is ggml's number of the type. Expert e begins at data + e * expert_bytes, its row r at
 * r * row_bytes behind that. `shared` (may be null) is the matrix of a shared expert of the same
 * type and shape; it then computes every token as one more slot, with `shared_weight`. */
typedef struct moe_matrix {
    const void * data;
    const void * shared;
    const float * bias; /* [experts][rows] or null; a shared expert has none */
    int32_t type;
    int32_t experts;
    int64_t rows;
    int64_t columns;      /* K, the length of a row in values */
    int64_t row_bytes;    /* must be the natural, unpadded row size */
    int64_t expert_bytes; /* at least rows * row_bytes */
} moe_matrix;

/* A place in `out` and `x`: token t, slot s. Pair p = t * slots + s; with a shared expert, pair
 * tokens * slots + t is that of token t. */
typedef struct moe_op {
    uint32_t struct_bytes; /* sizeof(moe_op) of the caller */
    int32_t kind;          /* enum moe_op_kind */
    moe_matrix gate;       /* GATE_UP, FEED_FORWARD */
    moe_matrix up;         /* all but DOWN_SUM */
    moe_matrix down;       /* DOWN_SUM, FEED_FORWARD */

    const int32_t * ids; /* [tokens][ids_stride]: `slots` expert numbers each; out of range: none */
    int64_t ids_stride;  /* in int32 values */
    const float * weights; /* [tokens][slots], contiguous: DOWN_SUM, FEED_FORWARD */
    const float * x;       /* one row per token, or per pair if x_per_pair */
    int64_t x_stride;      /* floats from one row of x to the next */
    float * out;           /* [pairs][rows] or [tokens][rows], contiguous */
    const float * shared_weight; /* [tokens] or null for 1 */

    int32_t tokens;
    int32_t slots;      /* experts per token, top-k */
    int32_t x_per_pair; /* 0: all slots of a token read the same row */
    int32_t activation; /* enum moe_activation */
    float alpha;        /* SWIGLU_OAI */
    float limit;        /* SWIGLU_OAI, SWIGLU_CLAMP */
} moe_op;

enum moe_scoring {
    MOE_SOFTMAX = 0,        /* probabilities over all experts       */
    MOE_SIGMOID = 1,        /* each expert by itself: DeepSeek, Kimi */
    MOE_SOFTMAX_CHOSEN = 2, /* softmax over the chosen ones: gpt-oss */
};

/* Top-k with everything that surrounds it in a llama.cpp graph. */
typedef struct moe_router {
    uint32_t struct_bytes;
    int32_t scoring;      /* enum moe_scoring */
    const float * logits; /* [tokens][experts], contiguous */
    const float * bias;   /* [experts] or null: added for choosing, not for weighing */
    int32_t * ids;        /* [tokens][ids_stride] */
    int64_t ids_stride;   /* in int32 values */
    float * weights;      /* [tokens][slots], contiguous */
    int32_t tokens;
    int32_t experts; /* up to 576 */
    int32_t slots;
    int32_t groups;      /* 1: none; else experts compete in groups first */
    int32_t groups_used; /* how many groups stay */
    int32_t normalise;   /* weights sum to 1 (with `smallest_sum` below the line) */
    float smallest_sum;  /* llama.cpp: 6.103515625e-5 */
    float scale;         /* weights are multiplied by it last; 1 for none */
} moe_router;

/* Where it runs. `stream` is a cudaStream_t; the emulator ignores it. */
typedef struct moe_device {
    uint32_t struct_bytes;
    int32_t index;         /* CUDA's number of the device */
    int32_t compute;       /* 100 * major + 10 * minor: 800, 900 */
    int32_t processors;    /* streaming multiprocessors */
    int32_t shared_bytes;  /* shared memory one block may opt in to */
    void * stream;
} moe_device;

/* ------------------------------------------------------------------ the tile list */

/* What the plan kernel leaves in device memory for whoever computes tiles: our kernels, or the
 * stock matrix code driven by the same list. A tile is up to `width` pairs of one expert. */
typedef struct moe_tile {
    int32_t expert; /* `experts` of the matrix means: the shared expert; -1: pairs without expert */
    int32_t first;  /* of its pairs in `order` */
    int32_t count;  /* 1 … width */
    int32_t reserved;
} moe_tile;

/* Device addresses inside one scratch block, as `plan_layout` places them. */
typedef struct moe_plan {
    int32_t * tile_count; /* one value */
    moe_tile * tiles;     /* [tile_limit], the first *tile_count are set, by expert, ascending */
    int32_t * order;      /* [pairs]: pair numbers sorted by expert, stable */
    int32_t * bounds;     /* [experts + 3]: pairs of bin e are order[bounds[e] … bounds[e + 1]);
                             bin `experts` is the shared expert, the one after it has no expert */
    int32_t tile_limit;
    int32_t pairs;
    size_t bytes; /* how much of the scratch block the plan takes */
} moe_plan;

/* ------------------------------------------------------------------ the table */

typedef struct moe_kernels {
    uint32_t abi_version;
    uint32_t struct_bytes;
    const char * version; /* of the kernels, "1.0.0" */
    const char * build;   /* what it was built for: "sm_80 sm_90", or "emulator" */

    /* Null if the operation can and may run here; else one plain sentence why not. It looks at
     * shapes and switches only, never at data. */
    const char * (*supports)(const moe_op * op, const moe_device * device);
    /* Scratch memory `run` needs, in bytes. It must be aligned to 256 bytes. */
    size_t (*scratch_bytes)(const moe_op * op, const moe_device * device);
    /* Puts the operation on the stream. 0, or a CUDA error number with `last_error` saying more. */
    int (*run)(const moe_op * op, const moe_device * device, void * scratch, size_t bytes);

    const char * (*router_supports)(const moe_router * router, const moe_device * device);
    int (*run_router)(const moe_router * router, const moe_device * device);

    /* The plan by itself, for the stock matrix code. `width` is 8, 16, 32, 64 or 128 pairs. */
    moe_plan (*plan_layout)(void * scratch, int32_t tokens, int32_t slots, int32_t experts,
                            int32_t with_shared, int32_t width);
    int (*run_plan)(const moe_plan * plan, const int32_t * ids, int64_t ids_stride, int32_t tokens,
                    int32_t slots, int32_t experts, int32_t with_shared, int32_t width,
                    const moe_device * device);

    /* The switch: "0" off, "1" all, or names of kernels by comma ("stream,router"). Unknown names
     * are refused: -1. Each change counts up `generation`, so that a captured graph is made anew.
     * The environment variable FREEHOLD_MOE is read once, at `moe_kernels_get`; default "1". */
    int (*set_enabled)(const char * list);
    uint64_t (*generation)(void);
    int32_t (*kernel_count)(void);
    const char * (*kernel_name)(int32_t index);
    int32_t (*kernel_enabled)(int32_t index);

    const char * (*last_error)(void); /* of this thread; "" if none */
} moe_kernels;

/* The one exported symbol. Null if this library speaks another version of the ABI. */
#if defined(_WIN32)
__declspec(dllexport)
#else
__attribute__((visibility("default")))
#endif
const moe_kernels * moe_kernels_get(uint32_t abi_version);

#ifdef __cplusplus
}
#endif

#endif
