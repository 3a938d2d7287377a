#include "tail.h"
#include "windows.h"

namespace convscope {

template <typename T>
void add_gradient_moments(const T* g, const T* z, const T* out, Map map, Tail tail, Affine affine, const float* centre,
                          float* sum, float* product) {
  const int64_t step = map.channels, line = map.width * step, width = map.width / tail.pool;
  with_windows(tail, [&](auto windows) {
    for_each_band<T>(map, windows.size(), [&](auto tile, int64_t channel, int64_t first, int64_t last) {
      using Tile = decltype(tile);
      constexpr bool single = decltype(windows)::fixed_size == 1;
      const Constants<Tile> scale(tile, affine.scale, channel), shift(tile, affine.shift, channel);
      const Constants<Tile> centres(tile, centre, channel);
      Sums<Tile> sums, products;
      for (int64_t row = first; row < last; ++row) {
        int64_t at = row * windows.size() * line + channel, from = row * width * step + channel;
        for (int64_t column = 0; column < width; ++column, at += windows.size() * step, from += step)
          for (int i = 0; i < Tile::vectors; ++i) {
            const auto best = winner(windows, tile, z + at, step, line, i, scale[i], shift[i]);
            const Floats v = single && out ? tile.load(out + at, i) : best.v;
            const Floats dv = windows.activation.gradient(tile.load(g + from, i), v);
            sums[i] += dv;
            products[i] += dv * (best.z - centres[i]);
          }
      }
      sums.add_to(sum, tile, channel);
      products.add_to(product, tile, channel);
    });
  });
}

// dz of pixels that no window covers: dv is 0 there.
template <typename T>
static void backward_uncovered(const T* z, int64_t pixels, int64_t channels, Slope slope, T* dz) {
  for_each_tile(channels, [&](auto tile, int64_t channel) {
    using Tile = decltype(tile);
    const Constants<Tile> b(tile, slope.b, channel), c(tile, slope.c, channel);
    for (int64_t at = channel; at < pixels * channels; at += channels)
      for (int i = 0; i < Tile::vectors; ++i)
        tile.store(dz + at, i, slope.b ? tile.load(z + at, i) * b[i] + c[i] : Floats{});
  });
}

template <typename T>
void backward_tail(const T* g, const T* z, const T* out, Map map, Tail tail, Affine affine, Slope slope, T* dz,
                   int64_t pitch, T* dresidual) {
  const int64_t step = map.channels, line = map.width * step;
  const int64_t width = map.width / tail.pool, height = map.height / tail.pool;
  with_windows(tail, [&](auto windows) {
    for_each_band<T>(map, windows.size(), [&](auto tile, int64_t channel, int64_t first, int64_t last) {
      using Tile = decltype(tile);
      constexpr bool single = decltype(windows)::fixed_size == 1;
      const Constants<Tile> scale(tile, affine.scale, channel), shift(tile, affine.shift, channel);
      const Constants<Tile> a(tile, slope.a, channel), b(tile, slope.b, channel), c(tile, slope.c, channel);
      for (int64_t row = first; row < last; ++row) {
        int64_t at = row * windows.size() * line + channel, from = row * width * step + channel;
        T* to = dz + row * windows.size() * pitch + channel;
        for (int64_t column = 0; column < width; ++column) {
          for (int i = 0; i < Tile::vectors; ++i) {
            const auto best = winner(windows, tile, z + at, step, line, i, scale[i], shift[i]);
            const Floats v = single && out ? tile.load(out + at, i) : best.v;
            const Floats dv = windows.activation.gradient(tile.load(g + from, i), v);
            if (single && dresidual) tile.store(dresidual + at, i, dv);
            Floats left = dv * a[i];
            for (int down = windows.size() - 1, place = down * (down + 2); down >= 0; --down)
              for (int right = windows.size() - 1; right >= 0; --right, --place) {
                Floats value = best.take(place, left);
                if (slope.b) {
                  const T* pixel = z + at + down * line + right * step;
                  value += (decltype(windows)::fixed_size ? best.seen[place] : tile.load(pixel, i)) * b[i] + c[i];
                }
                tile.store(to + down * pitch + right * step, i, value);
              }
          }
          at += windows.size() * step;
          to += windows.size() * step;
          from += step;
        }
      }
    });
  });
  for (int64_t row = 0; row < map.height; ++row) {
    const int64_t covered = row < height * tail.pool ? width * tail.pool : 0;
    if (covered < map.width)
      backward_uncovered(z + row * line + covered * step, map.width - covered, map.channels, slope,
                         dz + row * pitch + covered * step);
  }
}

#define CONVSCOPE_INSTANTIATE(T)                                                                                    \
  template void add_gradient_moments(const T*, const T*, const T*, Map, Tail, Affine, const float*, float*, float*); \
  template void backward_tail(const T*, const T*, const T*, Map, Tail, Affine, Slope, T*, int64_t, T*);
CONVSCOPE_INSTANTIATE(float)
CONVSCOPE_INSTANTIATE(BFloat16)

}  // namespace convscope
