// An operation as a sequence of kernels over one block of scratch memory.
#pragma once

#include "../include/moe_kernels.h"
#include "../device/columns.h"
#include "../device/shape.h"
#include "type_row.h"

namespace moe {

// Gives out pieces of scratch memory, aligned; with a null beginning it only counts.
class Scratch {
  public:
    explicit Scratch(void * first) : first_(static_cast<uint8_t *>(first)) {}
    template <class T> T * take(int64_t count) {
        used_ = (used_ + 255) / 256 * 256;
        T * place = first_ == nullptr ? nullptr : reinterpret_cast<T *>(first_ + used_);
        used_ += static_cast<size_t>(count) * sizeof(T);
        return place;
    }
    size_t used() const { return (used_ + 255) / 256 * 256; }

  private:
    uint8_t * first_;
    size_t used_ = 0;
};

moe_plan lay_out_plan(Scratch & scratch, int tokens, int slots, int experts, bool with_shared,
                      int width);
Columns lay_out_columns(Scratch & scratch, int64_t rows, int64_t values, const TypeRow & type);
StreamShape shape_of(const moe_matrix & matrix, int matrices, const moe_op & op,
                     const moe_device & device);
bool every_shape_fits(const moe_op & op, const moe_device & device);

// The index into TypeRow::stream: how wide tiles should be. It follows the pairs an expert gets on
// average, not the tokens; an expert that gets more is cut into several tiles.
int tile_class(int tokens, int slots, int experts);

size_t scratch_bytes(const moe_op & op, const moe_device & device);
int run(const moe_op & op, const moe_device & device, void * scratch, size_t bytes);

}  // namespace moe
