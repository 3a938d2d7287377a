// The tiles of maps in memory: where they lie in images, and how they are read from there and written to.
#pragma once

#include <algorithm>
#include <cstdint>

#include "winograd.h"
#include "winograd_transforms.h"

namespace convscope {

inline int64_t vectors(int64_t channels) { return (channels + lanes - 1) / lanes; }

// Where the tiles of a map lie: each has 4 x 4 of the outputs, and 6 x 6 of the inputs, which overlap.
struct Tiling {
  int64_t height, width;          // of the inputs
  int64_t out_height, out_width;
  int64_t padding;
  int64_t rows, columns;          // of tiles in an image

  explicit Tiling(const Convolution3x3& c)
      : height(c.height), width(c.width), out_height(c.out_height()), out_width(c.out_width()), padding(c.padding),
        rows((out_height + OUTPUTS - 1) / OUTPUTS), columns((out_width + OUTPUTS - 1) / OUTPUTS) {}

  int64_t per_image() const { return rows * columns; }
};

// Values of some tiles at each place: (PLACES, vectors of channels, tiles, lanes), so that what is multiplied by the
// same weights lies a step apart that the compiler knows.
struct WinogradTiles {
  float* values;
  int64_t channels, tiles;

  // An odd number of vectors from place to place: places a power of two apart would share few lines of the cache.
  static int64_t place_step(int64_t channels, int64_t tiles) { return (vectors(channels) * tiles | 1) * lanes; }
  static int64_t size(int64_t channels, int64_t tiles) { return PLACES * place_step(channels, tiles); }
  int64_t place_step() const { return place_step(channels, tiles); }
  int64_t vector_step() const { return tiles * lanes; }
  float* at(int64_t place, int64_t vector) const { return values + place * place_step() + vector * vector_step(); }
};

// A part of an image, transformed: `size` x `size` values from (top, left), zeros outside.
template <typename Transform, typename T>
void gather(const T* image, int64_t height, int64_t width, int64_t top, int64_t left, const WinogradTiles& tiles,
            int64_t index) {
  constexpr int size = Transform::from;
  const int64_t channels = tiles.channels, row_step = width * channels, place_step = tiles.place_step();
  const int64_t first_row = std::max<int64_t>(0, -top), last_row = std::min<int64_t>(size, height - top);
  const int64_t first_column = std::max<int64_t>(0, -left), last_column = std::min<int64_t>(size, width - left);
  const bool inside = first_row == 0 && last_row == size && first_column == 0 && last_column == size;
  for (int64_t vector = 0; vector < vectors(channels); ++vector) {
    const int count = static_cast<int>(std::min<int64_t>(lanes, channels - vector * lanes));
    const int64_t corner = top * row_step + left * channels + vector * lanes;  // may lie outside
    const auto at = [&](int64_t row, int64_t column) { return image + (corner + row * row_step + column * channels); };
    float* const to = tiles.values + vector * tiles.vector_step() + index * lanes;
    const auto write = [&](int row, int column, Floats values) {
      store(to + (row * INPUTS + column) * place_step, values);
    };
    if (inside && count == lanes) {
      transform<Transform>([&](int row, int column) { return load(at(row, column)); }, write);
    } else {
      Floats part[size][size] = {};
      for (int64_t row = first_row; row < last_row; ++row)
        for (int64_t column = first_column; column < last_column; ++column)
          part[row][column] = load(at(row, column), count);
      transform<Transform>([&](int row, int column) { return part[row][column]; }, write);
    }
  }
}

template <typename T>
void gather_inputs(const T* x, const Tiling& tiling, int64_t tile, const WinogradTiles& tiles, int64_t index) {
  const int64_t place = tile % tiling.per_image();
  gather<InputTransform>(x + tile / tiling.per_image() * tiling.height * tiling.width * tiles.channels, tiling.height,
                         tiling.width, place / tiling.columns * OUTPUTS - tiling.padding,
                         place % tiling.columns * OUTPUTS - tiling.padding, tiles, index);
}

template <typename T>
void gather_gradients(const T* g, const Tiling& tiling, int64_t tile, const WinogradTiles& tiles, int64_t index) {
  const int64_t place = tile % tiling.per_image();
  gather<GradientTransform>(g + tile / tiling.per_image() * tiling.out_height * tiling.out_width * tiles.channels,
                            tiling.out_height, tiling.out_width, place / tiling.columns * OUTPUTS,
                            place % tiling.columns * OUTPUTS, tiles, index);
}

template <typename T>
void scatter_outputs(const WinogradTiles& tiles, int64_t index, const Tiling& tiling, int64_t tile, T* z) {
  const int64_t place = tile % tiling.per_image(), channels = tiles.channels, place_step = tiles.place_step();
  const int64_t top = place / tiling.columns * OUTPUTS, left = place % tiling.columns * OUTPUTS;
  const int64_t row_step = tiling.out_width * channels;
  const int64_t rows = std::min<int64_t>(OUTPUTS, tiling.out_height - top);  // that exist
  const int64_t columns = std::min<int64_t>(OUTPUTS, tiling.out_width - left);
  T* const corner = z + (tile / tiling.per_image() * tiling.out_height + top) * row_step + left * channels;
  for (int64_t vector = 0; vector < vectors(channels); ++vector) {
    const int count = static_cast<int>(std::min<int64_t>(lanes, channels - vector * lanes));
    const float* const from = tiles.values + vector * tiles.vector_step() + index * lanes;
    T* const to = corner + vector * lanes;
    const auto read = [&](int row, int column) { return load(from + (row * INPUTS + column) * place_step); };
    if (rows == OUTPUTS && columns == OUTPUTS && count == lanes) {
      transform<OutputTransform>(
          read, [&](int row, int column, Floats values) { store(to + row * row_step + column * channels, values); });
    } else {
      Floats part[OUTPUTS][OUTPUTS];
      transform<OutputTransform>(read, [&](int row, int column, Floats values) { part[row][column] = values; });
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < columns; ++column)
          store(to + row * row_step + column * channels, part[row][column], count);
    }
  }
}

}  // namespace convscope
