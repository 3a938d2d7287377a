// The gradient of a convolution by its weights, on AMX.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "amx.h"
#include "amx_pack.h"
#include "amx_plan.h"

namespace convscope {

// Sums over the pixels of one group of images at a time, of output channel times what the kernel covers:
// (out channels in whole panels, kernel rows, kernel columns, in channels in whole panels).
class WeightGradient {
 public:
  WeightGradient(const Convolution& convolution, const WeightGradientPlan& plan, int64_t group)
      : c_(convolution), plan_(plan), in_channels_(round_up(plan.channels, PANEL)),
        out_channels_(round_up(c_.out_channels, PANEL)), stride_(plan.kernel == c_.kernel ? c_.stride : 1) {
    // An odd number of cache lines from row to row, for rows a power of two apart would share few places of the cache.
    const int64_t pixels = group * plan.image_pixels + DEPTH;
    row_ = (round_up(pixels, DEPTH) / DEPTH | 1) * DEPTH;
    reach_ = (plan.kernel - 1) / stride_ * plan.row_pixels;
    column_ = round_up(pixels + reach_, DEPTH);
    copies_ = plan.kernel * plan.planes;
  }

  int64_t sums() const { return out_channels_ * plan_.kernel * plan_.kernel * in_channels_; }
  int64_t gradients() const { return out_channels_ * row_; }
  int64_t inputs() const { return copies_ * in_channels_ * column_; }

  void add_gradient(const BFloat16* padded, int64_t place, BFloat16* gradients) const {
    transpose(padded, c_.out_channels, plan_.gradient.data(), plan_.gradient.size(),
              gradients + place * plan_.image_pixels, row_);
  }

  template <typename T>
  void add_input(const T* image, int64_t place, BFloat16* inputs) const {
    for (int64_t copy = 0; copy < copies_; ++copy)
      pack_pairs(image, plan_.channels, plan_.source.data() + copy * plan_.image_pixels, plan_.image_pixels,
                 inputs + copy * in_channels_ * column_ + place * plan_.image_pixels * TILE, column_);
  }

  void add_to(float* sums, int64_t images, BFloat16* gradients, BFloat16* inputs) const {
    const int64_t pixels = images * plan_.image_pixels, whole = round_up(pixels, DEPTH);
    for (int64_t channel = 0; channel < c_.out_channels; ++channel)
      std::memset(gradients + channel * row_ + pixels, 0, (whole - pixels) * sizeof(BFloat16));
    for (int64_t i = 0; i < copies_ * in_channels_ / TILE; ++i)
      std::memset(inputs + (i * column_ + pixels) * TILE, 0, (whole + reach_ - pixels) * TILE * sizeof(BFloat16));
    const int64_t taps = plan_.kernel * plan_.kernel;
    for (int64_t out = 0; out < out_channels_; out += PANEL)
      for (int64_t in = 0; in < in_channels_; in += PANEL)
        for (int64_t tap = 0; tap < taps; ++tap) {
          const int64_t row = tap / plan_.kernel, column = tap % plan_.kernel;
          const BFloat16* right = inputs + plan_.copy(row, column, stride_) * in_channels_ * column_ + in * column_ +
                                  row / stride_ * plan_.row_pixels * TILE;
          multiply(gradients + out * row_, row_, right, right + TILE * column_, whole / DEPTH,
                   sums + (out * taps + tap) * in_channels_ + in, taps * in_channels_);
        }
  }

  // One row of (out_channels, kernel, kernel, in_channels): the sums of all threads.
  void finish(const std::vector<std::vector<float>>& sums, int64_t channel, float* gweight) const {
    const int64_t taps = plan_.kernel * plan_.kernel, all = c_.kernel * c_.row_values();
    const int64_t kept = all / taps;
    std::memset(gweight, 0, all * sizeof(float));
    for (const std::vector<float>& part : sums)
      for (int64_t tap = 0; tap < taps; ++tap) {
        const float* from = part.data() + (channel * taps + tap) * in_channels_;
        for (int64_t i = 0; i < kept; ++i) gweight[tap * kept + i] += from[i];
      }
  }

 private:
  const Convolution& c_;
  const WeightGradientPlan& plan_;
  int64_t in_channels_, out_channels_, stride_, row_, reach_, column_, copies_;
};

}  // namespace convscope
