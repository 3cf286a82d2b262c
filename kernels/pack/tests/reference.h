// What a moe_op means, in plain loops over ggml's own dequantised rows: nothing here is fast.
#pragma once

#include "ggml.h"
#include "moe_kernels.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

inline std::vector<float> dequantise_row(const moe_matrix & matrix, int expert, int64_t row) {
    const char * at = static_cast<const char *>(matrix.data) + expert * matrix.expert_bytes + row * matrix.row_bytes;
    std::vector<float> out(size_t(matrix.columns));
    ggml_get_type_traits(ggml_type(matrix.type))->to_float(at, out.data(), matrix.columns);
    return out;
}

inline std::vector<double> multiply(const moe_matrix & matrix, int expert, const std::vector<double> & x) {
    std::vector<double> out;
    for (int64_t row = 0; row < matrix.rows; ++row) {
        const std::vector<float> w = dequantise_row(matrix, expert, row);
        double sum = matrix.bias ? matrix.bias[expert * matrix.rows + row] : 0.0;
        out.push_back(std::inner_product(w.begin(), w.end(), x.begin(), sum));
    }
    return out;
}

inline double activate(const moe_op & op, double gate, double up) {
    if (op.activation == MOE_SWIGLU_OAI) {
        const double g = std::min(gate, double(op.limit));
        const double u = std::clamp(up, -double(op.limit), double(op.limit));
        return g / (1 + std::exp(-op.alpha * g)) * (u + 1);
    }
    if (op.activation == MOE_GEGLU) {
        return 0.5 * gate * (1 + std::tanh(0.79788456080286535587989211986876 * gate * (1 + 0.044715 * gate * gate))) * up;
    }
    if (op.activation == MOE_SWIGLU_CLAMP) {
        gate = std::min(gate, double(op.limit));
        up = std::clamp(up, -double(op.limit), double(op.limit));
    }
    return gate / (1 + std::exp(-gate)) * up;
}

// Computes what `op` describes into its own `out`.
inline void compute(const moe_op & op) {
    const bool sums = op.kind == MOE_DOWN_SUM || op.kind == MOE_FEED_FORWARD;
    for (int token = 0; token < op.tokens; ++token) {
        std::vector<double> total;
        for (int slot = 0; slot < op.slots; ++slot) {
            const int expert = op.ids[token * op.ids_stride + slot];
            const int pair = token * op.slots + slot;
            const float * from = op.x + (op.x_per_pair ? pair : token) * op.x_stride;
            const moe_matrix & first = op.kind == MOE_DOWN_SUM ? op.down : op.up;
            std::vector<double> value(from, from + first.columns);
            if (op.kind != MOE_DOWN_SUM) {
                std::vector<double> up = multiply(op.up, expert, value);
                if (op.kind != MOE_MATMUL) {
                    const std::vector<double> gate = multiply(op.gate, expert, value);
                    for (size_t i = 0; i < up.size(); ++i) {
                        up[i] = activate(op, gate[i], up[i]);
                    }
                }
                value = up;
            }
            if (!sums) {
                std::copy(value.begin(), value.end(), op.out + pair * int64_t(value.size()));
                continue;
            }
            value = multiply(op.down, expert, value);
            total.resize(value.size());
            for (size_t i = 0; i < value.size(); ++i) {
                total[i] += value[i] * op.weights[pair];
            }
        }
        std::copy(total.begin(), total.end(), op.out + token * int64_t(total.size()));
    }
}

// Chooses experts as `router` says, into its own `ids` and `weights`.
inline void compute(const moe_router & router) {
    for (int token = 0; token < router.tokens; ++token) {
        const float * logits = router.logits + int64_t(token) * router.experts;
        std::vector<double> probs(logits, logits + router.experts);
        const double largest = *std::max_element(probs.begin(), probs.end());
        double sum = 0;
        for (double & p : probs) {
            p = router.scoring == MOE_SIGMOID ? 1 / (1 + std::exp(-p)) : std::exp(p - largest);
            sum += p;
        }
        std::vector<double> deciding = probs;
        for (int expert = 0; expert < router.experts; ++expert) {
            probs[expert] /= router.scoring == MOE_SIGMOID ? 1 : sum;
            deciding[expert] = probs[expert] + (router.bias ? router.bias[expert] : 0);
        }
        const int each = router.experts / router.groups;
        std::vector<std::pair<double, int>> groups;
        for (int group = 0; group < router.groups; ++group) {
            std::vector<double> of(deciding.begin() + group * each, deciding.begin() + (group + 1) * each);
            std::partial_sort(of.begin(), of.begin() + std::min(2, each), of.end(), std::greater<>());
            groups.emplace_back(-(of[0] + (each > 1 ? of[1] : 0)), group);
        }
        std::sort(groups.begin(), groups.end());
        std::vector<std::pair<double, int>> order;
        for (int g = 0; g < router.groups_used; ++g) {
            for (int i = 0; i < each; ++i) {
                const int expert = groups[g].second * each + i;
                order.emplace_back(-deciding[expert], expert);
            }
        }
        std::sort(order.begin(), order.end());
        double total = 0;
        for (int slot = 0; slot < router.slots; ++slot) {
            total += probs[order[slot].second];
        }
        for (int slot = 0; slot < router.slots; ++slot) {
            const double share = router.normalise ? std::max(total, double(router.smallest_sum)) : 1.0;
            router.ids[token * router.ids_stride + slot] = order[slot].second;
            router.weights[token * router.slots + slot] = float(probs[order[slot].second] / share * router.scale);
        }
    }
}
