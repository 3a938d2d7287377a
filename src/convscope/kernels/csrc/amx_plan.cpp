#include "amx_plan.h"

#include <algorithm>

namespace convscope {

namespace {

// Values that are read when every output is computed, in whole blocks of PANEL places.
int64_t reach(const Taps& taps, const Grid& grid) {
  return (round_up(grid.places(), PANEL) - 1) * taps.step + taps.offset[taps.rows - 1] + taps.blocks * DEPTH;
}

// Along one axis: which taps of the kernel meet input pixels r, r + stride, ... and where.
struct Axis {
  int64_t taps;    // how many
  int64_t last;    // the last of them, which meets the first output
  int64_t begin;   // the first output that input pixel r meets, below 0 where it lies in the padding
  int64_t pixels;  // of this kind

  Axis(int64_t r, int64_t size, int64_t kernel, int64_t stride, int64_t padding) {
    const int64_t first = (r + padding) % stride;
    taps = first < kernel ? (kernel - first - 1) / stride + 1 : 0;
    last = first + (taps - 1) * stride;
    begin = (r + padding - first) / stride - (taps - 1);
    pixels = r < size ? (size - r - 1) / stride + 1 : 0;
  }
};

}  // namespace

ForwardPlan::ForwardPlan(const Convolution& c) {
  const bool unfolds = c.unfolds();
  const int64_t stride = unfolds ? 1 : c.stride;
  pitch = round_up(c.width + 2 * c.padding, stride);
  plane_rows = (c.height + 2 * c.padding - 1) / stride + 1;
  planes = std::min(stride, c.kernel);
  padded_values = planes * plane_rows * pitch * c.in_channels + DEPTH;
  if (unfolds) {
    const int64_t length = round_up(c.kernel * c.row_values(), DEPTH);
    taps = {1, length / DEPTH, length, {0}};
    grid = {c.out_height(), c.out_width(), c.out_width()};
  } else {
    taps = {c.kernel, (c.row_values() - 1) / DEPTH + 1, stride * c.in_channels, {}};
    for (int64_t row = 0; row < c.kernel; ++row)
      taps.offset[row] = (row % stride * plane_rows + row / stride) * pitch * c.in_channels;
    grid = {c.out_height(), c.out_width(), pitch / stride};
  }
  const int64_t furthest = *std::max_element(taps.offset, taps.offset + taps.rows);
  values = reach(taps, grid) - taps.offset[taps.rows - 1] + furthest;
  values = round_up(std::max(values, unfolds ? 0 : padded_values), DEPTH) + DEPTH;
}

InputGradientPlan::InputGradientPlan(const Convolution& c) {
  std::vector<Axis> vertical, horizontal;
  for (int64_t r = 0; r < c.stride; ++r) {
    vertical.emplace_back(r, c.height, c.kernel, c.stride, c.padding);
    horizontal.emplace_back(r, c.width, c.kernel, c.stride, c.padding);
  }
  const auto halo = [](const std::vector<Axis>& axes, int64_t outputs) {
    int64_t before = 0, after = 0;
    for (const Axis& axis : axes)
      if (axis.taps > 0 && axis.pixels > 0) {
        before = std::max(before, -axis.begin);
        after = std::max(after, axis.pixels - 1 + axis.begin + axis.taps - outputs);
      }
    return std::pair(before, after);
  };
  const auto [above, below] = halo(vertical, c.out_height());
  const auto [before, after] = halo(horizontal, c.out_width());
  top = above;
  left = before;
  pitch = before + c.out_width() + after;
  rows = above + c.out_height() + below;
  values = rows * pitch * c.out_channels;
  panel_values = 0;
  covers_all = true;
  for (int64_t row = 0; row < c.stride; ++row)
    for (int64_t column = 0; column < c.stride; ++column) {
      const Axis &down = vertical[row], &right = horizontal[column];
      if (down.pixels == 0 || right.pixels == 0) continue;
      if (down.taps == 0 || right.taps == 0) {
        covers_all = false;
        continue;
      }
      Phase phase{};
      phase.taps = {down.taps, (right.taps * c.out_channels - 1) / DEPTH + 1, c.out_channels, {}};
      for (int64_t tap = 0; tap < down.taps; ++tap) phase.taps.offset[tap] = tap * pitch * c.out_channels;
      phase.grid = {down.pixels, right.pixels, pitch};
      phase.start = ((down.begin + top) * pitch + right.begin + left) * c.out_channels;
      phase.row = row;
      phase.column = column;
      phase.last_row_tap = down.last;
      phase.last_column_tap = right.last;
      phase.column_taps = right.taps;
      phase.weights = panel_values;
      panel_values += down.taps * phase.taps.blocks * 2 * TILE_VALUES;
      values = std::max(values, phase.start + reach(phase.taps, phase.grid));
      phases.push_back(phase);
    }
  values = round_up(values, DEPTH);
}

WeightGradientPlan::WeightGradientPlan(const Convolution& c, const InputGradientPlan& padded) {
  const int64_t out_height = c.out_height(), out_width = c.out_width();
  const bool unfolds = c.unfolds();
  channels = unfolds ? round_up(c.kernel * c.row_values(), DEPTH) : c.in_channels;
  kernel = unfolds ? 1 : c.kernel;
  const int64_t stride = unfolds ? 1 : c.stride;
  planes = std::min(stride, kernel);
  row_pixels = round_up(out_width, 2);
  const int64_t image_rows = out_height + (kernel - 1) / stride;
  image_pixels = image_rows * row_pixels;
  gradient.assign(round_up(image_pixels, DEPTH), -1);
  for (int64_t row = 0; row < out_height; ++row)
    for (int64_t column = 0; column < out_width; ++column)
      gradient[row * row_pixels + column] =
          static_cast<int32_t>((row + padded.top) * padded.pitch + padded.left + column);
  source.assign(kernel * planes * image_pixels, -1);
  const int64_t height = unfolds ? out_height : c.height, width = unfolds ? out_width : c.width;
  const int64_t padding = unfolds ? 0 : c.padding;
  int32_t* place = source.data();
  for (int64_t tap = 0; tap < kernel; ++tap)
    for (int64_t plane = 0; plane < planes; ++plane)
      for (int64_t row = 0; row < image_rows; ++row)
        for (int64_t column = 0; column < row_pixels; ++column, ++place) {
          const int64_t from_row = row * stride + plane - padding, from_column = column * stride + tap - padding;
          if (from_row >= 0 && from_row < height && from_column >= 0 && from_column < width && column < out_width)
            *place = static_cast<int32_t>(from_row * width + from_column);
        }
}

}  // namespace convscope
