// The products of Winograd's convolution, at one of its places: what is multiplied are matrices of tiles and channels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vector.h"

namespace convscope {

// As many sums as registers hold beside what is multiplied: rows of tiles times two vectors of channels.
#if defined(CONVSCOPE_AVX512) || defined(__aarch64__)
constexpr int ROWS = 14;
#else
constexpr int ROWS = 6;
#endif
constexpr int SUM_ROWS = lanes / 2;  // channels of the input, of sums over tiles

// out (R, VECTORS x lanes) = tiles (R, channels) times weights (channels, VECTORS x lanes), at one place.
template <int R, int VECTORS>
void multiply(const float* tiles, int64_t step, int64_t channels, const float* weights, float* out) {
  Floats sums[R][VECTORS] = {};
  for (int64_t first = 0; first < channels; first += lanes, tiles += step) {
    const int64_t count = std::min<int64_t>(lanes, channels - first);
    for (int64_t channel = 0; channel < count; ++channel, weights += VECTORS * lanes) {
      Floats right[VECTORS];
#pragma GCC unroll 2
      for (int vector = 0; vector < VECTORS; ++vector) right[vector] = load(weights + vector * lanes);
#pragma GCC unroll 14
      for (int row = 0; row < R; ++row) {
        const Floats left = all(tiles[row * lanes + channel]);
#pragma GCC unroll 2
        for (int vector = 0; vector < VECTORS; ++vector) sums[row][vector] += left * right[vector];
      }
    }
  }
#pragma GCC unroll 14
  for (int row = 0; row < R; ++row)
#pragma GCC unroll 2
    for (int vector = 0; vector < VECTORS; ++vector) store(out + vector * step + row * lanes, sums[row][vector]);
}

// The same for `count` tiles.
template <int VECTORS>
void multiply_all(const float* tiles, int64_t step, int64_t channels, const float* weights, float* out, int64_t count) {
  int64_t tile = 0;
  for (; tile + ROWS <= count; tile += ROWS)
    multiply<ROWS, VECTORS>(tiles + tile * lanes, step, channels, weights, out + tile * lanes);
  for (; tile + 4 <= count; tile += 4)
    multiply<4, VECTORS>(tiles + tile * lanes, step, channels, weights, out + tile * lanes);
  for (; tile < count; ++tile)
    multiply<1, VECTORS>(tiles + tile * lanes, step, channels, weights, out + tile * lanes);
}

// sums (SUM_ROWS, VECTORS x lanes), with `step` floats from row to row: the products of inputs and gradients at one
// place, added up over the tiles; on top of what is there, unless this is the beginning.
template <int VECTORS>
void add_products(const float* inputs, const float* gradients, int64_t gradient_step, int64_t count, bool beginning,
                  float* sums, int64_t step) {
  Floats held[SUM_ROWS][VECTORS] = {};
  if (!beginning)
    for (int row = 0; row < SUM_ROWS; ++row)
      for (int vector = 0; vector < VECTORS; ++vector) held[row][vector] = load(sums + row * step + vector * lanes);
  for (int64_t tile = 0; tile < count; ++tile) {
    Floats right[VECTORS];
#pragma GCC unroll 2
    for (int vector = 0; vector < VECTORS; ++vector)
      right[vector] = load(gradients + vector * gradient_step + tile * lanes);
#pragma GCC unroll 8
    for (int row = 0; row < SUM_ROWS; ++row) {
      const Floats left = all(inputs[tile * lanes + row]);
#pragma GCC unroll 2
      for (int vector = 0; vector < VECTORS; ++vector) held[row][vector] += left * right[vector];
    }
  }
  for (int row = 0; row < SUM_ROWS; ++row)
    for (int vector = 0; vector < VECTORS; ++vector) store(sums + row * step + vector * lanes, held[row][vector]);
}

}  // namespace convscope
