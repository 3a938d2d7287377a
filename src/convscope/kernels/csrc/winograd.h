// A convolution with kernels of 3 x 3 and stride 1, by Winograd's minimal filtering: 36 products where the definition
// takes 144 (Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). Maps may be bfloat16; what is
// computed is float32.
#pragma once

#include <cstdint>

namespace convscope {

// Images channels-last, zeros around them.
struct Convolution3x3 {
  int64_t images, height, width, in_channels, out_channels;
  int64_t padding;  // at most 2

  int64_t out_height() const { return height + 2 * padding - 2; }
  int64_t out_width() const { return width + 2 * padding - 2; }
};

// z (N, H', W', out_channels) from x (N, H, W, in_channels) and weight (out_channels, 3, 3, in_channels).
template <typename T>
void winograd(const T* x, const float* weight, const Convolution3x3& convolution, T* z, int threads);

// The gradients by x and by weight from g, the gradient by z.
template <typename T>
void winograd_by_input(const T* g, const float* weight, const Convolution3x3& convolution, T* gx, int threads);

template <typename T>
void winograd_by_weight(const T* g, const T* x, const Convolution3x3& convolution, float* gweight, int threads);

}  // namespace convscope
