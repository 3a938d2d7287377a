// Values brought into the order in which the tiles read them.
#pragma once

#include <cstdint>

#include "amx_plan.h"
#include "vector.h"

namespace convscope {

// The input of one image, x (H, W, C), as the forward pass reads it; `padded` is room for an image that is unfolded.
template <typename T>
void pack_input(const T* x, const Convolution& convolution, const ForwardPlan& plan, BFloat16* padded, BFloat16* image);

// The tiles of the panel of output channels that begins with `channel`: (rows, blocks, 2, TILE, DEPTH), in pairs.
// weight is (out_channels, kernel, kernel, in_channels).
void pack_weights(const float* weight, const Convolution& convolution, const Taps& taps, int64_t channel, BFloat16* tiles);

// The same for the gradient by the input: the panel of input channels that begins with `channel`, for all phases.
void pack_turned_weights(const float* weight, const Convolution& convolution, const InputGradientPlan& plan,
                         int64_t channel, BFloat16* tiles);

// Zeros around the gradient of one image, whose inside is written elsewhere.
void clear_halo(const Convolution& convolution, const InputGradientPlan& plan, BFloat16* image);

// rows (C, ...) with `stride` values each: the channels' values at the pixels listed, one after the other; 0 for -1. The
// number of pixels is a multiple of DEPTH.
void transpose(const BFloat16* image, int64_t channels, const int32_t* pixels, int64_t count, BFloat16* rows, int64_t stride);

// Pairs of pixels, (C / 16, stride / 2, 16, 2): neighbours of the list side by side, 16 channels at a time; 0 for -1.
template <typename T>
void pack_pairs(const T* image, int64_t channels, const int32_t* pixels, int64_t count, BFloat16* pairs, int64_t stride);

}  // namespace convscope
