// How a convolution and its gradients are laid out for the tiles: what is padded by how much, and where it begins.
#pragma once

#include <cstdint>
#include <vector>

#include "amx.h"

namespace convscope {

struct Convolution {
  int64_t height, width, in_channels, out_channels;  // of its input and output
  int64_t kernel, stride, padding;
  int64_t out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  int64_t out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  // Where a pixel has few channels, all that the kernel covers is written side by side: one long pixel of 1 x 1.
  bool unfolds() const { return kernel > 1 && in_channels < TILE; }
  int64_t row_values() const { return kernel * in_channels; }
};

inline int64_t round_up(int64_t number, int64_t multiple) { return (number + multiple - 1) / multiple * multiple; }

// The input of the forward pass. With a stride s, rows r, r + s, r + 2s ... of the padded image lie together in a plane,
// one plane after the other, so that the outputs' places are evenly spaced.
struct ForwardPlan {
  explicit ForwardPlan(const Convolution& convolution);

  Taps taps;
  Grid grid;
  int64_t pitch;          // pixels in a padded row
  int64_t plane_rows, planes;
  int64_t values;         // of one padded (or unfolded) image, with what the last block reads beyond it
  int64_t padded_values;  // of the padded image that is unfolded
};

// The gradient by the input is a convolution of the gradient by the output with the kernel turned round. With a stride s,
// each of the s x s kinds of input pixels meets weights of its own.
struct InputGradientPlan {
  struct Phase {
    Taps taps;
    Grid grid;
    int64_t start;                       // from the padded gradient's first value to the first output's place
    int64_t row, column;                 // of the first input pixel of this kind
    int64_t last_row_tap, last_column_tap;  // of the kernel; the others are a stride before
    int64_t column_taps;
    int64_t weights;                     // where its tiles begin among those of a panel
  };

  explicit InputGradientPlan(const Convolution& convolution);

  std::vector<Phase> phases;
  bool covers_all;        // whether every input pixel is covered by the kernel somewhere
  int64_t top, left, pitch, rows;  // of the padded gradient, in pixels
  int64_t values;         // with what the last block reads beyond it
  int64_t panel_values;   // tiles of all phases, for one panel of channels
};

// The gradient by the weights sums over the pixels of several images. There is a copy of the input for each column of the
// kernel (and with a stride for each kind of row), whose pixels lie as those of the output do.
struct WeightGradientPlan {
  WeightGradientPlan(const Convolution& convolution, const InputGradientPlan& padded);

  int64_t channels;       // of a pixel of the input, unfolded
  int64_t kernel;         // 1 if it is unfolded
  int64_t planes;         // copies for each column of the kernel
  int64_t row_pixels;     // an even number, for pixels go in pairs
  int64_t image_pixels;   // with rows for the kernel to reach over
  std::vector<int32_t> source;    // (kernel columns, planes, image_pixels): pixel of the input, -1 for none
  std::vector<int32_t> gradient;  // (image_pixels, rounded up to DEPTH): pixel of the padded gradient, -1 for none
  int64_t copy(int64_t row, int64_t column, int64_t stride) const { return column * planes + row % stride; }
};

}  // namespace convscope
