// A convolution on AMX with all that follows it: norm, residual, activation, pool. All images channels-last.
#pragma once

#include <cstdint>

#include "amx_plan.h"
#include "norm_act_pool.h"

namespace convscope {

// z (N, H', W', out_channels) and out (N, H' / pool, W' / pool, out_channels) from x (N, H, W, in_channels) and weight
// (out_channels, kernel, kernel, in_channels); mean and invstd (out_channels) as of norm_act_pool.
template <typename T>
void conv_norm_act_pool(const T* x, const float* weight, const BFloat16* residual, int64_t images,
                        const Convolution& convolution, Tail tail, const Norm& norm, BFloat16* z, BFloat16* out, float* mean,
                        float* invstd, int threads);

// The gradients by x (not wanted where gx is null), weight, gamma, beta and residual (where there is one).
template <typename T>
void conv_norm_act_pool_backward(const BFloat16* g, const T* x, const float* weight, const BFloat16* z, const BFloat16* out,
                                 int64_t images, const Convolution& convolution, Tail tail, const Norm& norm,
                                 bool normed, const float* mean, const float* invstd, BFloat16* gx, float* gweight,
                                 float* dgamma, float* dbeta, BFloat16* dresidual, int threads);

}  // namespace convscope
