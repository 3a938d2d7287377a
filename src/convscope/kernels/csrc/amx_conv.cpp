#include "amx_conv.h"

#if defined(CONVSCOPE_AMX)

#include <algorithm>
#include <cstring>
#include <vector>

#include "amx_pack.h"
#include "amx_weight_gradient.h"
#include "arena.h"
#include "parallel.h"

namespace convscope {

namespace {

constexpr int64_t SCRATCH_BYTES = 1 << 20;  // for the images that a thread works on at a time: half of a second-level cache

int64_t panels(int64_t channels) { return (channels + PANEL - 1) / PANEL; }

// How many images to work on at a time. Weights that do not fit into the cache are read again for each group, and sums as
// large are read and written, so that they want larger groups.
int64_t group_size(int64_t image_bytes, int64_t weight_bytes, int64_t images) {
  const int64_t budget = std::max(SCRATCH_BYTES, 2 * weight_bytes);
  return std::clamp<int64_t>(budget / image_bytes, 1, std::max<int64_t>(images, 1));
}

// The tiles of all panels, packed by all threads; kept by the calling thread from call to call.
BFloat16* shared_tiles(int64_t values) {
  static thread_local std::vector<BFloat16> tiles;
  if (static_cast<int64_t>(tiles.size()) < values + DEPTH) tiles.resize(values + DEPTH);
  const auto address = reinterpret_cast<uintptr_t>(tiles.data());
  return tiles.data() + ((64 - address % 64) % 64) / sizeof(BFloat16);
}

}  // namespace

template <typename T>
void conv_norm_act_pool(const T* x, const float* weight, const BFloat16* residual, int64_t images,
                        const Convolution& c, Tail tail, const Norm& norm, BFloat16* z, BFloat16* out, float* mean,
                        float* invstd, int threads) {
  const ForwardPlan plan(c);
  const int64_t panel_values = plan.taps.rows * plan.taps.blocks * 2 * TILE_VALUES;
  const int64_t count = panels(c.out_channels);
  BFloat16* const tiles = shared_tiles(count * panel_values);
  parallel(threads, [&](int index) {
    const Share mine = share(count, threads, index);
    for (int64_t panel = mine.first; panel < mine.last; ++panel)
      pack_weights(weight, c, plan.taps, panel * PANEL, tiles + panel * panel_values);
  });

  const Map map{c.out_height(), c.out_width(), c.out_channels};
  const int64_t x_values = c.height * c.width * c.in_channels, z_values = map.height * map.width * map.channels;
  const int64_t out_values = (map.height / tail.pool) * (map.width / tail.pool) * map.channels;
  std::vector<float> moments(norm.training ? images * 2 * c.out_channels : 0);
  std::vector<float> scale(c.out_channels), shift(c.out_channels);
  if (!norm.training) {
    given_statistics(norm, c.out_channels, mean, invstd);
    affine(norm, mean, invstd, c.out_channels, scale.data(), shift.data());
  }
  const auto finish = [&](int64_t n) {
    forward_tail(z + n * z_values, residual ? residual + n * z_values : nullptr, map, tail,
                 {scale.data(), shift.data()}, out + n * out_values);
  };
  parallel(threads, [&](int index) {
    const Share mine = share(images, threads, index);
    if (mine.first == mine.last) return;
    const int64_t group = group_size(plan.values * sizeof(BFloat16), count * panel_values * sizeof(BFloat16),
                                     mine.last - mine.first);
    Arena arena(Arena::size<BFloat16>(group * plan.values) + Arena::size<BFloat16>(plan.padded_values));
    BFloat16* const packed = arena.take<BFloat16>(group * plan.values);
    BFloat16* const padded = arena.take<BFloat16>(plan.padded_values);
    const Tiles in_use;
    for (int64_t begin = mine.first; begin < mine.last; begin += group) {
      const int64_t end = std::min(begin + group, mine.last);
      for (int64_t n = begin; n < end; ++n)
        pack_input(x + n * x_values, c, plan, padded, packed + (n - begin) * plan.values);
      for (int64_t panel = 0; panel < count; ++panel)
        for (int64_t n = begin; n < end; ++n) {
          const int64_t channel = panel * PANEL;
          float* const sums = norm.training ? moments.data() + n * 2 * c.out_channels + channel : nullptr;
          const Target target{z + n * z_values + channel, map.width * map.channels, map.channels,
                              std::min(PANEL, c.out_channels - channel), norm.mean ? norm.mean + channel : nullptr,
                              sums, sums ? sums + c.out_channels : nullptr};
          convolve(packed + (n - begin) * plan.values, plan.taps, tiles + panel * panel_values, plan.grid, target);
        }
      if (!norm.training)
        for (int64_t n = begin; n < end; ++n) finish(n);
    }
  });
  if (!norm.training) return;

  batch_statistics(z, moments.data(), images, map, norm, mean, invstd, threads);
  affine(norm, mean, invstd, c.out_channels, scale.data(), shift.data());
  parallel(threads, [&](int index) {
    const Share mine = share(images, threads, index);
    for (int64_t n = mine.first; n < mine.last; ++n) finish(n);
  });
}

template <typename T>
void conv_norm_act_pool_backward(const BFloat16* g, const T* x, const float* weight, const BFloat16* z,
                                 const BFloat16* out, int64_t images, const Convolution& c, Tail tail,
                                 const Norm& norm, bool normed, const float* mean, const float* invstd, BFloat16* gx,
                                 float* gweight, float* dgamma, float* dbeta, BFloat16* dresidual, int threads) {
  const ForwardPlan forward(c);
  const InputGradientPlan plan(c);
  const WeightGradientPlan weight_plan(c, plan);
  const int64_t count = gx ? panels(c.in_channels) : 0;
  BFloat16* const tiles = shared_tiles(count * plan.panel_values);

  const Map map{c.out_height(), c.out_width(), c.out_channels};
  const int64_t x_values = c.height * c.width * c.in_channels, z_values = map.height * map.width * map.channels;
  const int64_t out_values = (map.height / tail.pool) * (map.width / tail.pool) * map.channels;
  std::vector<float> scale(c.out_channels), shift(c.out_channels);
  affine(norm, mean, invstd, c.out_channels, scale.data(), shift.data());
  const Affine affine{scale.data(), shift.data()};
  const auto part = [](auto* values, int64_t place) { return values ? values + place : nullptr; };
  std::vector<float> moments(images * 2 * c.out_channels);
  parallel(threads, [&](int index) {
    const Share packing = share(count, threads, index);
    for (int64_t panel = packing.first; panel < packing.last; ++panel)
      pack_turned_weights(weight, c, plan, panel * PANEL, tiles + panel * plan.panel_values);
    const Share mine = share(images, threads, index);
    for (int64_t n = mine.first; n < mine.last; ++n) {
      float* const sums = moments.data() + n * 2 * c.out_channels;
      add_gradient_moments(g + n * out_values, z + n * z_values, part(out, n * out_values), map, tail, affine, mean,
                           sums, sums + c.out_channels);
    }
  });
  std::vector<float> coefficients(3 * c.out_channels);
  float* const a = coefficients.data();
  float *const b = a + c.out_channels, *const constant = b + c.out_channels;
  gradient_coefficients(moments.data(), images, map.height * map.width, c.out_channels, norm, mean, invstd, dgamma,
                        dbeta, a, b, constant);
  const bool corrected = norm.training && normed;
  const Slope slope{a, corrected ? b : nullptr, corrected ? constant : nullptr};

  std::vector<std::vector<float>> sums(threads);
  const WeightGradient sizes(c, weight_plan, 1);
  parallel(threads, [&](int index) {
    const Share mine = share(images, threads, index);
    if (mine.first == mine.last) return;
    const int64_t image_bytes = (plan.values + sizes.gradients() + sizes.inputs()) * sizeof(BFloat16);
    const int64_t group = group_size(image_bytes, sizes.sums() * sizeof(float), mine.last - mine.first);
    const WeightGradient gradient(c, weight_plan, group);
    Arena arena(Arena::size<BFloat16>(group * plan.values) + Arena::size<BFloat16>(gradient.gradients()) +
                Arena::size<BFloat16>(gradient.inputs()) + Arena::size<BFloat16>(forward.values) +
                Arena::size<BFloat16>(forward.padded_values));
    BFloat16* const gradients = arena.take<BFloat16>(group * plan.values);
    BFloat16* const rows = arena.take<BFloat16>(gradient.gradients());
    BFloat16* const pairs = arena.take<BFloat16>(gradient.inputs());
    BFloat16* const unfolded = arena.take<BFloat16>(forward.values);
    BFloat16* const padded = arena.take<BFloat16>(forward.padded_values);
    sums[index].assign(gradient.sums(), 0.0f);
    const Tiles in_use;
    for (int64_t place = 0; place < group; ++place) clear_halo(c, plan, gradients + place * plan.values);
    for (int64_t begin = mine.first; begin < mine.last; begin += group) {
      const int64_t end = std::min(begin + group, mine.last);
      for (int64_t n = begin; n < end; ++n) {
        BFloat16* const dz = gradients + (n - begin) * plan.values;
        backward_tail(g + n * out_values, z + n * z_values, part(out, n * out_values), map, tail, affine, slope,
                      dz + (plan.top * plan.pitch + plan.left) * c.out_channels, plan.pitch * c.out_channels,
                      part(dresidual, n * z_values));
        gradient.add_gradient(dz, n - begin, rows);
        if (c.unfolds()) {
          pack_input(x + n * x_values, c, forward, padded, unfolded);
          gradient.add_input(unfolded, n - begin, pairs);
        } else {
          gradient.add_input(x + n * x_values, n - begin, pairs);
        }
        if (gx && !plan.covers_all) std::memset(gx + n * x_values, 0, x_values * sizeof(BFloat16));
      }
      for (int64_t panel = 0; panel < count; ++panel)
        for (const auto& phase : plan.phases)
          for (int64_t n = begin; n < end; ++n) {
            const int64_t channel = panel * PANEL;
            const Target target{
                gx + n * x_values + (phase.row * c.width + phase.column) * c.in_channels + channel,
                c.stride * c.width * c.in_channels, c.stride * c.in_channels,
                std::min(PANEL, c.in_channels - channel), nullptr, nullptr, nullptr};
            convolve(gradients + (n - begin) * plan.values + phase.start, phase.taps,
                     tiles + panel * plan.panel_values + phase.weights, phase.grid, target);
          }
      gradient.add_to(sums[index].data(), end - begin, rows, pairs);
    }
  });
  sums.erase(std::remove_if(sums.begin(), sums.end(), [](const auto& part) { return part.empty(); }), sums.end());
  parallel(threads, [&](int index) {
    const Share mine = share(c.out_channels, threads, index);
    const int64_t all = c.kernel * c.row_values();
    for (int64_t channel = mine.first; channel < mine.last; ++channel)
      sizes.finish(sums, channel, gweight + channel * all);
  });
}

template void conv_norm_act_pool(const float*, const float*, const BFloat16*, int64_t, const Convolution&, Tail,
                                 const Norm&, BFloat16*, BFloat16*, float*, float*, int);
template void conv_norm_act_pool(const BFloat16*, const float*, const BFloat16*, int64_t, const Convolution&, Tail,
                                 const Norm&, BFloat16*, BFloat16*, float*, float*, int);
template void conv_norm_act_pool_backward(const BFloat16*, const float*, const float*, const BFloat16*,
                                          const BFloat16*, int64_t, const Convolution&, Tail, const Norm&, bool,
                                          const float*, const float*, BFloat16*, float*, float*, float*, BFloat16*,
                                          int);
template void conv_norm_act_pool_backward(const BFloat16*, const BFloat16*, const float*, const BFloat16*,
                                          const BFloat16*, int64_t, const Convolution&, Tail, const Norm&, bool,
                                          const float*, const float*, BFloat16*, float*, float*, float*, BFloat16*,
                                          int);

}  // namespace convscope

#endif
