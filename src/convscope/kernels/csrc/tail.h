// What follows a convolution: norm, residual, activation, max pool. One image at a time, channels-last (H, W, C).
#pragma once

#include <cstdint>

#include "vector.h"

namespace convscope {

enum class Activation { none, relu, leaky_relu, silu, gelu };

struct Tail {
  Activation activation;
  float slope;      // of leaky_relu
  int pool;         // k of k x k windows with stride k; 1 for none
  bool pool_first;  // max pool before the activation; where the activation never falls, both orders are one function
};

struct Map {  // height, width and channels of an image before the pool
  int64_t height, width, channels;
};

// v = z * scale + shift, per channel.
struct Affine {
  const float* scale;
  const float* shift;
};

// dz = a * dv + b * z + c, per channel; b and c are null where the statistics are not the batch's.
struct Slope {
  const float *a, *b, *c;
};

// sum[c] += z - centre, squares[c] += (z - centre)^2 over the image; centre may be null for 0.
template <typename T>
void add_moments(const T* z, Map map, const float* centre, float* sum, float* squares);

// out (H / pool, W / pool, C) from z (H, W, C) and, if not null, residual (H, W, C).
template <typename T>
void forward_tail(const T* z, const T* residual, Map map, Tail tail, Affine affine, T* out);

// sum[c] += dv, product[c] += dv * (z - centre), where dv is what reaches v of the gradient g (H / pool, W / pool, C).
// `out`, if not null, is what forward_tail answered with a residual (pool 1), and decides what the activation lets through.
template <typename T>
void add_gradient_moments(const T* g, const T* z, const T* out, Map map, Tail tail, Affine affine, const float* centre,
                          float* sum, float* product);

// dz with `pitch` elements from one row to the next (channels within a pixel are dense), every pixel of (H, W) written;
// dresidual (H, W, C), if not null, gets dv.
template <typename T>
void backward_tail(const T* g, const T* z, const T* out, Map map, Tail tail, Affine affine, Slope slope, T* dz,
                   int64_t pitch, T* dresidual);

}  // namespace convscope
