// What joins gate and up, as ggml computes it.
#pragma once

#include "../include/moe_kernels.h"
#include "../simt/simt.h"

namespace moe {

DEVICE float silu(float x) { return x / (1.0f + expf(-x)); }

DEVICE float activate(int kind, float gate, float up, float alpha, float limit) {
    switch (kind) {
        case MOE_SWIGLU_OAI: {
            const float low = fminf(gate, limit);
            const float bounded = fmaxf(fminf(up, limit), -limit);
            return low / (1.0f + expf(-low * alpha)) * (1.0f + bounded);
        }
        case MOE_SWIGLU_CLAMP:
            return silu(fminf(gate, limit)) * fmaxf(fminf(up, limit), -limit);
        case MOE_GEGLU: {
            const float inner = 0.79788456080286536f * gate * (1.0f + 0.044715f * gate * gate);
            return 0.5f * gate * (1.0f + tanhf(inner)) * up;
        }
        default: return silu(gate) * up;
    }
}

}  // namespace moe
