#include "max_pool.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "parallel.h"
#include "windows.h"

namespace convscope {

struct Span {  // [first, last)
  int64_t first, last;
};

// The pixels of the window that makes result `out`, along a side of so many pixels.
static Span window(const MaxPool& pool, int64_t out, int64_t side) {
  const int64_t begin = out * pool.stride - pool.padding;
  return {std::max<int64_t>(begin, 0), std::min(begin + pool.size, side)};
}

// The results whose windows have pixel `at` in them, along a side of so many results.
static Span results(const MaxPool& pool, int64_t at, int64_t side) {
  const int64_t begin = at + pool.padding - pool.size;  // the last pixel too early, from a result's first
  return {begin < 0 ? 0 : begin / pool.stride + 1, std::min((at + pool.padding) / pool.stride + 1, side)};
}

// The place of a pixel in a window, of which each is given by row and column.
static float place_in(const MaxPool& pool, int64_t row, int64_t column, int64_t out_row, int64_t out_column) {
  const int64_t y = row + pool.padding - out_row * pool.stride, x = column + pool.padding - out_column * pool.stride;
  return static_cast<float>(y * pool.size + x);
}

// A pixel of a result's window, or a result that a pixel takes part in.
struct Partner {
  int64_t offset;  // of its first channel
  float place;     // of the pixel in the window
};

template <typename T>
void max_pool(const T* x, int64_t images, const MaxPool& pool, T* out, BFloat16* places, int threads) {
  const auto [height, width, channels] = pool.map;
  for_each(images * pool.out_height, threads, [&](int64_t line) {
    const int64_t image = line / pool.out_height, out_row = line % pool.out_height;
    const Span rows = window(pool, out_row, height);
    std::vector<Partner> pixels;
    for (int64_t out_column = 0; out_column < pool.out_width; ++out_column) {
      const Span columns = window(pool, out_column, width);
      pixels.clear();
      for (int64_t row = rows.first; row < rows.last; ++row)
        for (int64_t column = columns.first; column < columns.last; ++column)
          pixels.push_back({((image * height + row) * width + column) * channels,
                            place_in(pool, row, column, out_row, out_column)});
      const int64_t result = (line * pool.out_width + out_column) * channels;
      for_each_tile(channels, [&](auto tile, int64_t channel) {
        for (int vector = 0; vector < tile.vectors; ++vector) {
          Floats best = all(-std::numeric_limits<float>::infinity()), winner = all(pixels.front().place);
          for (const auto& [offset, place] : pixels) {
            const Floats here = tile.load(x + offset + channel, vector);
            const Ints better = (here > best) | (here != here);
            best = better ? here : best;
            winner = better ? all(place) : winner;
          }
          tile.store(out + result + channel, vector, best);
          tile.store(places + result + channel, vector, winner);
        }
      });
    }
  });
}

template <typename T>
void max_pool_backward(const T* g, const BFloat16* places, int64_t images, const MaxPool& pool, T* gx, int threads) {
  const auto [height, width, channels] = pool.map;
  for_each(images * height, threads, [&](int64_t line) {
    const int64_t image = line / height, row = line % height;
    const Span out_rows = results(pool, row, pool.out_height);
    std::vector<Partner> sharers;
    for (int64_t column = 0; column < width; ++column) {
      const Span out_columns = results(pool, column, pool.out_width);
      sharers.clear();
      for (int64_t out_row = out_rows.first; out_row < out_rows.last; ++out_row)
        for (int64_t out_column = out_columns.first; out_column < out_columns.last; ++out_column)
          sharers.push_back({((image * pool.out_height + out_row) * pool.out_width + out_column) * channels,
                             place_in(pool, row, column, out_row, out_column)});
      const int64_t pixel = (line * width + column) * channels;
      for_each_tile(channels, [&](auto tile, int64_t channel) {
        for (int vector = 0; vector < tile.vectors; ++vector) {
          Floats sum{};
          for (const auto& [offset, place] : sharers) {
            const Floats winner = tile.load(places + offset + channel, vector);
            sum += winner == all(place) ? tile.load(g + offset + channel, vector) : Floats{};
          }
          tile.store(gx + pixel + channel, vector, sum);
        }
      });
    }
  });
}

#define CONVSCOPE_INSTANTIATE(T)                                                                  \
  template void max_pool(const T*, int64_t, const MaxPool&, T*, BFloat16*, int);                  \
  template void max_pool_backward(const T*, const BFloat16*, int64_t, const MaxPool&, T*, int);
CONVSCOPE_INSTANTIATE(float)
CONVSCOPE_INSTANTIATE(BFloat16)

}  // namespace convscope
