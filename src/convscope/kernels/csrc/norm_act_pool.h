// Norm, residual, activation and max pool over whole tensors, channels-last (N, H, W, C).
#pragma once

#include <cstdint>

#include "tail.h"

namespace convscope {

struct Norm {  // of a batch norm, each (C,) or null
  const float *gamma, *beta, *mean, *var;
  bool training;  // by the statistics of the batch; else by mean and var, or not at all where they are null
  float eps;
};

// mean (C,) and invstd = 1 / sqrt(biased variance + eps) (C,) of the batch from moments (images, 2, C), which are the
// sums of z - centre and of its square in each image; centre may be null for 0. Answers whether centre was near
// enough to the mean for float32 sums to be exact; if not, take them again around this mean.
bool combine_moments(const float* moments, int64_t images, int64_t pixels, int64_t channels, const float* centre,
                     float eps, float* mean, float* invstd);

// The same from moments around norm.mean, taken again from z (N, H, W, C) where that was too far from the batch's mean.
template <typename T>
void batch_statistics(const T* z, const float* moments, int64_t images, Map map, const Norm& norm, float* mean,
                      float* invstd, int threads);

// mean (C,) and invstd (C,) of a norm that does not go by the batch: its own, or 0 and 1 where there is none.
void given_statistics(const Norm& norm, int64_t channels, float* mean, float* invstd);

// scale (C,) and shift (C,) of v = z * scale + shift.
void affine(const Norm& norm, const float* mean, const float* invstd, int64_t channels, float* scale, float* shift);

// dgamma, dbeta and dz = a * dv + b * z + c, each (C,), from moments (images, 2, C), the sums of dv and of
// dv * (z - mean) in each image. b and c are 0 unless norm.training.
void gradient_coefficients(const float* moments, int64_t images, int64_t pixels, int64_t channels, const Norm& norm,
                           const float* mean, const float* invstd, float* dgamma, float* dbeta, float* a, float* b,
                           float* c);

// out (N, H / pool, W / pool, C) from z and, if not null, residual (N, H, W, C). mean and invstd (C,) are written:
// what normalised, or 0 and 1.
template <typename T>
void norm_act_pool(const T* z, const T* residual, int64_t images, Map map, Tail tail, const Norm& norm, T* out,
                   float* mean, float* invstd, int threads);

// gz (N, H, W, C) and, if not null, dresidual like it, from the gradient g of out; mean and invstd as norm_act_pool
// wrote them. out is null unless there was a residual; normed tells a norm's mean and invstd from 0 and 1.
template <typename T>
void norm_act_pool_backward(const T* g, const T* z, const T* out, int64_t images, Map map, Tail tail, const Norm& norm,
                            bool normed, const float* mean, const float* invstd, T* gz, T* dresidual, float* dgamma,
                            float* dbeta, int threads);

}  // namespace convscope
