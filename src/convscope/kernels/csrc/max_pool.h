// Max pools of any stride and padding, whose windows may overlap; over whole tensors, channels-last.
#pragma once

#include <cstdint>

#include "tail.h"

namespace convscope {

struct MaxPool {
  Map map;                        // what it reads
  int64_t size, stride, padding;  // of its square windows; size at most 16, so that bfloat16 numbers a window's pixels
  int64_t out_height, out_width;
};

// out (N, out_height, out_width, C) from x (N, H, W, C); places, like out, says where in its window the value was, row
// after row. The first of equals wins; a NaN beats all, the last of several, as in PyTorch.
template <typename T>
void max_pool(const T* x, int64_t images, const MaxPool& pool, T* out, BFloat16* places, int threads);

// gx (N, H, W, C) from the gradient g of out.
template <typename T>
void max_pool_backward(const T* g, const BFloat16* places, int64_t images, const MaxPool& pool, T* gx, int threads);

}  // namespace convscope
