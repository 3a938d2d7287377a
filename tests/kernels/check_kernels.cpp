// The kernels against loops that anyone can read, without Python, so that sanitizers can watch. Every buffer is of its
// own on the heap and ends with its last value. Prints what is wrong, and answers 1 then.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "amx_conv.h"
#include "amx_pack.h"
#include "arena.h"
#include "max_pool.h"
#include "response_norm.h"
#include "winograd.h"

using namespace convscope;

namespace {

int failures = 0;
std::mt19937 engine;

void fail(const char* what, int64_t place, double got, double expected) {
  if (++failures <= 20) std::printf("%s at %lld: %.9g, not %.9g\n", what, static_cast<long long>(place), got, expected);
}

int64_t between(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine); }

double wide(float value) { return value; }
double wide(BFloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

template <typename T>
T narrow(double value);
template <>
float narrow<float>(double value) {
  return static_cast<float>(value);
}
template <>
BFloat16 narrow<BFloat16>(double value) {  // round to nearest even
  const float single = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof bits);
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

template <typename T>
constexpr double rounding = sizeof(T) == 2 ? 1.0 / 256 : 1e-7;

// Multiples of 1/8, whose products float32 adds up without rounding.
template <typename T>
std::vector<T> eighths(int64_t count) {
  std::vector<T> values(count);
  for (T& value : values) value = narrow<T>(static_cast<double>(between(-12, 12)) / 8);
  return values;
}

template <typename T>
std::vector<T> room(int64_t count) {
  std::vector<T> values(count);
  for (T& value : values) std::memset(&value, 0xff, sizeof value);  // a NaN
  return values;
}

template <typename T>
void expect_near(const char* what, const std::vector<T>& got, const std::vector<double>& expected,
                 const std::vector<double>& magnitude) {
  for (size_t i = 0; i < got.size(); ++i)
    if (!(std::abs(wide(got[i]) - expected[i]) <= rounding<T> * std::abs(expected[i]) + 2e-4 * magnitude[i] + 1e-6))
      fail(what, i, wide(got[i]), expected[i]);
}

struct Numbers {  // values, and the sums of the magnitudes that they were added up from
  explicit Numbers(int64_t count) : value(count), magnitude(count) {}
  void add(int64_t place, double term) {
    value[place] += term;
    magnitude[place] += std::abs(term);
  }
  std::vector<double> value, magnitude;
};

double activated(double v, Tail tail) {
  switch (tail.activation) {
    case Activation::none: return v;
    case Activation::relu: return v > 0 ? v : 0;
    case Activation::leaky_relu: return v > 0 ? v : v * tail.slope;
    case Activation::silu: return v / (1 + std::exp(-v));
    case Activation::gelu: return v * std::erfc(-v / std::sqrt(2)) / 2;
  }
  return 0;
}

double derivative(double v, Tail tail) {
  const double pi = 3.14159265358979, logistic = 1 / (1 + std::exp(-v));
  switch (tail.activation) {
    case Activation::none: return 1;
    case Activation::relu: return v > 0;
    case Activation::leaky_relu: return v > 0 ? 1 : tail.slope;
    case Activation::silu: return logistic * (1 + v * (1 - logistic));
    case Activation::gelu: return std::erfc(-v / std::sqrt(2)) / 2 + v * std::exp(-v * v / 2) / std::sqrt(2 * pi);
  }
  return 0;
}

struct Buffers {  // of a tail, its input excepted
  std::vector<float> gamma, beta, old_mean, old_var, mean, invstd, dgamma, dbeta;
  Norm norm{};
  bool normed;

  explicit Buffers(int64_t channels)
      : gamma(eighths<float>(channels)), beta(eighths<float>(channels)), old_mean(eighths<float>(channels)),
        old_var(channels), mean(room<float>(channels)), invstd(mean), dgamma(mean), dbeta(mean) {
    const int64_t kind = between(0, 2);
    // The deviation is a power of 2, so that what is left of 0 is so in every arithmetic.
    for (float& variance : old_var) variance = between(0, 1) ? 4 : 0.25f;
    norm.training = kind == 0;
    norm.eps = norm.training ? 1e-5f : 0;
    if (between(0, 3)) norm.gamma = gamma.data();
    if (norm.training)  // no pixel that equals the mean lies at 0, where rounding would decide whether it passes
      for (float& value : beta) value += 1.0f / 16;
    if (norm.training || between(0, 3)) norm.beta = beta.data();
    if (kind == 1 || (kind == 0 && between(0, 1))) norm.mean = old_mean.data(), norm.var = old_var.data();
    normed = kind < 2;
  }

  Norm of_backward() const { return {norm.gamma, norm.beta, mean.data(), nullptr, norm.training, 0}; }
};

Tail any_tail(Map map, bool residual) {
  if (residual) return {static_cast<Activation>(between(0, 2)), 0.25f, 1, between(0, 1) == 1};
  const int pool = static_cast<int>(between(1, std::min<int64_t>(3, std::min(map.height, map.width))));
  return {static_cast<Activation>(between(0, 4)), between(0, 1) ? 0.25f : -0.5f, pool, between(0, 1) == 1};
}

int64_t size_of(int64_t images, Map map, int64_t pool) {
  return images * (map.height / pool) * (map.width / pool) * map.channels;
}

template <typename T>
void check_statistics(const std::vector<T>& z, int64_t channels, const Buffers& buffers) {
  Numbers mean(channels), invstd(channels);
  const double pixels = static_cast<double>(z.size() / channels);
  for (size_t i = 0; i < z.size(); ++i) mean.add(i % channels, wide(z[i]) / pixels);
  std::vector<double> variance(channels);
  for (size_t i = 0; i < z.size(); ++i) variance[i % channels] += std::pow(wide(z[i]) - mean.value[i % channels], 2) / pixels;
  for (int64_t channel = 0; channel < channels; ++channel) {
    if (!buffers.norm.training) {
      mean.value[channel] = buffers.normed ? buffers.old_mean[channel] : 0;
      variance[channel] = buffers.normed ? buffers.old_var[channel] : 1;
    }
    invstd.add(channel, 1 / std::sqrt(variance[channel] + buffers.norm.eps));
  }
  expect_near("mean", buffers.mean, mean.value, mean.magnitude);
  expect_near("invstd", buffers.invstd, invstd.value, invstd.magnitude);
}

// What forward and backward of the tail answered for z.
template <typename T>
void check_tail(const std::vector<T>& z, const std::vector<T>& residual, const std::vector<T>& g, Map map, Tail tail,
                const Buffers& buffers, const std::vector<T>& out, const std::vector<T>& gz,
                const std::vector<T>& dresidual) {
  const int64_t channels = map.channels, rows = map.height / tail.pool, columns = map.width / tail.pool;
  const auto gamma = [&](int64_t c) { return buffers.norm.gamma ? buffers.gamma[c] : 1.0; };
  const auto normal = [&](int64_t place) {
    return (wide(z[place]) - buffers.mean[place % channels]) * buffers.invstd[place % channels];
  };
  check_statistics(z, channels, buffers);
  Numbers expected(out.size()), dv(z.size()), dgamma(channels), dbeta(channels), dz(z.size());
  for (int64_t i = 0; i < static_cast<int64_t>(out.size()); ++i) {
    const int64_t c = i % channels, column = i / channels % columns, row = i / channels / columns % rows;
    const int64_t image = i / channels / columns / rows;
    double best = -std::numeric_limits<double>::infinity(), at_best = 0;
    int64_t winner = 0;
    for (int64_t down = 0; down < tail.pool; ++down)
      for (int64_t right = 0; right < tail.pool; ++right) {
        const int64_t line = image * map.height + row * tail.pool + down;
        const int64_t place = (line * map.width + column * tail.pool + right) * channels + c;
        const double v = normal(place) * gamma(c) + (buffers.norm.beta ? buffers.beta[c] : 0) +
                         (residual.empty() ? 0 : wide(residual[place]));
        const double rank = tail.pool_first ? v : activated(v, tail);
        if (rank > best) best = rank, at_best = v, winner = place;
      }
    expected.add(i, activated(at_best, tail));
    expected.magnitude[i] += std::abs(wide(z[winner])) * buffers.invstd[c] * std::abs(gamma(c));
    dv.add(winner, wide(g[i]) * derivative(at_best, tail));
    dgamma.add(c, dv.value[winner] * normal(winner));
    dbeta.add(c, dv.value[winner]);
  }
  const double pixels = static_cast<double>(z.size() / channels);
  for (int64_t i = 0; i < static_cast<int64_t>(z.size()); ++i) {
    const int64_t c = i % channels;
    const double scale = gamma(c) * buffers.invstd[c];
    dz.add(i, scale * dv.value[i]);
    if (!buffers.norm.training) continue;
    dz.add(i, -scale * dbeta.value[c] / pixels);
    dz.add(i, -scale * normal(i) * dgamma.value[c] / pixels);
    dz.magnitude[i] += std::abs(scale) * (1 + std::abs(normal(i))) * (dbeta.magnitude[c] + dgamma.magnitude[c]) / pixels;
  }
  expect_near("out", out, expected.value, expected.magnitude);
  expect_near("gz", gz, dz.value, dz.magnitude);
  expect_near("dgamma", buffers.dgamma, dgamma.value, dgamma.magnitude);
  expect_near("dbeta", buffers.dbeta, dbeta.value, dbeta.magnitude);
  if (!residual.empty()) expect_near("dresidual", dresidual, dv.value, dv.magnitude);
}

template <typename T>
void try_tail(int threads) {
  const int64_t images = between(1, 5);
  const Map map{between(1, 9), between(1, 9), between(1, 70)};
  const bool has_residual = between(0, 3) == 0;
  const Tail tail = any_tail(map, has_residual);
  const int64_t size = size_of(images, map, 1), out_size = size_of(images, map, tail.pool);
  const auto z = eighths<T>(size), residual = eighths<T>(has_residual ? size : 0), g = eighths<T>(out_size);
  auto out = room<T>(out_size), gz = room<T>(size), dresidual = room<T>(residual.size());
  Buffers buffers(map.channels);
  norm_act_pool(z.data(), has_residual ? residual.data() : nullptr, images, map, tail, buffers.norm, out.data(),
                buffers.mean.data(), buffers.invstd.data(), threads);
  norm_act_pool_backward(g.data(), z.data(), has_residual ? out.data() : nullptr, images, map, tail,
                         buffers.of_backward(), buffers.normed, buffers.mean.data(), buffers.invstd.data(), gz.data(),
                         has_residual ? dresidual.data() : nullptr, buffers.dgamma.data(), buffers.dbeta.data(), threads);
  check_tail(z, residual, g, map, tail, buffers, out, gz, dresidual);
}

void try_arena() {
  for (const int64_t count : {5, 1000, 1, 70000, 300}) {
    Arena arena(Arena::size<float>(count) + Arena::size<BFloat16>(count));
    float* const first = arena.take<float>(count);
    BFloat16* const second = arena.take<BFloat16>(count);
    if (reinterpret_cast<uintptr_t>(first) % 64 || reinterpret_cast<uintptr_t>(second) % 64) fail("alignment", count, 1, 0);
    if (reinterpret_cast<char*>(second) < reinterpret_cast<char*>(first + count)) fail("rooms overlap", count, 1, 0);
    std::memset(first, 0xff, count * sizeof(float));
    std::memset(second, 0xff, count * sizeof(BFloat16));
  }
}

// Visits (input, weight, output) of every product in a convolution.
template <typename Visit>
void for_each_product(int64_t images, const Convolution& c, Visit&& visit) {
  for (int64_t pixel = 0; pixel < images * c.out_height() * c.out_width(); ++pixel) {
    const int64_t column = pixel % c.out_width(), row = pixel / c.out_width() % c.out_height();
    const int64_t image = pixel / c.out_width() / c.out_height();
    for (int64_t tap = 0; tap < c.kernel * c.kernel; ++tap) {
      const int64_t y = row * c.stride + tap / c.kernel - c.padding, x = column * c.stride + tap % c.kernel - c.padding;
      if (y < 0 || y >= c.height || x < 0 || x >= c.width) continue;
      for (int64_t out = 0; out < c.out_channels; ++out)
        for (int64_t in = 0; in < c.in_channels; ++in)
          visit(((image * c.height + y) * c.width + x) * c.in_channels + in,
                (out * c.kernel * c.kernel + tap) * c.in_channels + in, pixel * c.out_channels + out);
    }
  }
}

template <typename T>
void try_winograd(int threads) {
  Convolution c{};
  int64_t images;
  do {
    c = {between(1, 12), between(1, 12), between(1, 40), between(1, 40), 3, 1, between(0, 2)};
    images = between(0, 9) ? between(1, 4) : 20;  // more tiles than are computed at a time
  } while (c.height + 2 * c.padding < 3 || c.width + 2 * c.padding < 3 ||
           images * c.out_height() * c.out_width() * c.row_values() * 3 * c.out_channels > 2000000);
  const Convolution3x3 same{images, c.height, c.width, c.in_channels, c.out_channels, c.padding};
  const int64_t size = images * c.out_height() * c.out_width() * c.out_channels;
  const auto x = eighths<T>(images * c.height * c.width * c.in_channels), g = eighths<T>(size);
  const auto weight = eighths<float>(c.out_channels * 3 * c.row_values());
  auto z = room<T>(size), gx = room<T>(x.size());
  auto gweight = room<float>(weight.size());
  winograd(x.data(), weight.data(), same, z.data(), threads);
  winograd_by_input(g.data(), weight.data(), same, gx.data(), threads);
  winograd_by_weight(g.data(), x.data(), same, gweight.data(), threads);

  Numbers exact(size), by_x(x.size()), by_weight(weight.size());
  for_each_product(images, c, [&](int64_t from, int64_t by, int64_t to) {
    exact.add(to, wide(x[from]) * weight[by]);
    by_x.add(from, wide(g[to]) * weight[by]);
    by_weight.add(by, wide(g[to]) * wide(x[from]));
  });
  for (Numbers* numbers : {&exact, &by_x, &by_weight})
    for (double& magnitude : numbers->magnitude) magnitude += 1;  // a result takes part in the rounding of its neighbours
  expect_near("winograd", z, exact.value, exact.magnitude);
  expect_near("winograd by input", gx, by_x.value, by_x.magnitude);
  expect_near("winograd by weight", gweight, by_weight.value, by_weight.magnitude);
}

template <typename T>
void try_max_pool(int threads) {
  const int64_t size = between(1, 5), stride = between(1, 3), padding = between(0, size / 2);
  const Map map{between(size, 9), between(size, 9), between(1, 40)};
  const int64_t images = between(1, 3), height = (map.height + 2 * padding - size) / stride + 1;
  const MaxPool pool{map, size, stride, padding, height, (map.width + 2 * padding - size) / stride + 1};
  const auto x = eighths<T>(images * map.height * map.width * map.channels);
  const auto g = eighths<T>(images * pool.out_height * pool.out_width * map.channels);
  auto out = room<T>(g.size()), gx = room<T>(x.size());
  auto places = room<BFloat16>(g.size());
  max_pool(x.data(), images, pool, out.data(), places.data(), threads);
  max_pool_backward(g.data(), places.data(), images, pool, gx.data(), threads);

  Numbers by_x(x.size());
  for (int64_t result = 0; result < static_cast<int64_t>(g.size()); ++result) {
    const int64_t channel = result % map.channels, column = result / map.channels % pool.out_width;
    const int64_t line = result / map.channels / pool.out_width, image = line / height;
    double best = -std::numeric_limits<double>::infinity();
    int64_t winner = -1;
    for (int64_t pixel = 0; pixel < size * size; ++pixel) {
      const int64_t y = line % height * stride - padding + pixel / size, across = column * stride - padding + pixel % size;
      if (y < 0 || y >= map.height || across < 0 || across >= map.width) continue;
      const int64_t place = ((image * map.height + y) * map.width + across) * map.channels + channel;
      if (wide(x[place]) > best) best = wide(x[winner = place]);
    }
    if (wide(out[result]) != best) fail("max_pool", result, wide(out[result]), best);
    by_x.add(winner, wide(g[result]));
  }
  expect_near("max_pool_backward", gx, by_x.value, by_x.magnitude);
}

template <typename T>
void try_response_norm(int threads) {
  const int64_t pixels = between(1, 150), channels = between(1, 40);
  const ResponseNorm norm{2 * between(0, 4) + 1, 0.1f, 2.0f};
  const auto x = eighths<T>(pixels * channels), g = eighths<T>(pixels * channels);
  auto out = room<T>(x.size()), gx = room<T>(x.size());
  response_norm(x.data(), pixels, channels, norm, out.data(), threads);
  response_norm_backward(g.data(), x.data(), pixels, channels, norm, gx.data(), threads);

  Numbers exact(x.size()), by_x(x.size());
  for (int64_t to = 0; to < static_cast<int64_t>(x.size()); ++to) {
    const int64_t first = to / channels * channels;
    const int64_t begin = std::max(first, to - norm.size / 2), end = std::min(first + channels, to + norm.size / 2 + 1);
    double base = norm.floor;
    for (int64_t from = begin; from < end; ++from) base += norm.share * wide(x[from]) * wide(x[from]);
    exact.add(to, wide(x[to]) * std::pow(base, -0.75));
    by_x.add(to, wide(g[to]) * std::pow(base, -0.75));
    for (int64_t from = begin; from < end; ++from)
      by_x.add(from, -1.5 * norm.share * wide(x[from]) * wide(g[to]) * wide(x[to]) * std::pow(base, -1.75));
  }
  expect_near("response_norm", out, exact.value, exact.magnitude);
  expect_near("response_norm_backward", gx, by_x.value, by_x.magnitude);
}

#if defined(CONVSCOPE_AMX)

template <typename T>
void try_convolution(int threads) {
  Convolution c{};
  do {
    const int64_t kernel = between(1, 8) < 8 ? between(1, 5) : 11;
    c = {between(1, 12), between(1, 12), between(1, 40), between(1, 40), kernel, between(1, 3), between(0, kernel - 1)};
  } while (c.height + 2 * c.padding < c.kernel || c.width + 2 * c.padding < c.kernel ||
           c.out_height() * c.out_width() * c.row_values() * c.kernel * c.out_channels > 200000);
  const int64_t images = between(1, 4);
  const Map map{c.out_height(), c.out_width(), c.out_channels};
  const bool has_residual = between(0, 3) == 0, wants_gx = between(0, 4) > 0;
  const Tail tail = any_tail(map, has_residual);
  const int64_t size = size_of(images, map, 1), out_size = size_of(images, map, tail.pool);
  const auto x = eighths<T>(images * c.height * c.width * c.in_channels);
  const auto weight = eighths<float>(c.out_channels * c.kernel * c.row_values());
  const auto residual = eighths<BFloat16>(has_residual ? size : 0), g = eighths<BFloat16>(out_size);
  auto z = room<BFloat16>(size), out = room<BFloat16>(out_size), gz = room<BFloat16>(size);
  auto gx = room<BFloat16>(wants_gx ? x.size() : 0), dresidual = room<BFloat16>(residual.size());
  auto gweight = room<float>(weight.size());
  Buffers buffers(map.channels);
  conv_norm_act_pool(x.data(), weight.data(), has_residual ? residual.data() : nullptr, images, c, tail, buffers.norm,
                     z.data(), out.data(), buffers.mean.data(), buffers.invstd.data(), threads);
  norm_act_pool_backward(g.data(), z.data(), has_residual ? out.data() : nullptr, images, map, tail,
                         buffers.of_backward(), buffers.normed, buffers.mean.data(), buffers.invstd.data(), gz.data(),
                         has_residual ? dresidual.data() : nullptr, buffers.dgamma.data(), buffers.dbeta.data(), 1);
  conv_norm_act_pool_backward(g.data(), x.data(), weight.data(), z.data(), has_residual ? out.data() : nullptr, images, c,
                              tail, buffers.of_backward(), buffers.normed, buffers.mean.data(), buffers.invstd.data(),
                              wants_gx ? gx.data() : nullptr, gweight.data(), buffers.dgamma.data(),
                              buffers.dbeta.data(), has_residual ? dresidual.data() : nullptr, threads);

  Numbers exact(size), by_x(x.size()), by_weight(weight.size());
  for_each_product(images, c, [&](int64_t from, int64_t by, int64_t to) {
    exact.value[to] += wide(x[from]) * weight[by];
    by_x.add(from, wide(gz[to]) * weight[by]);
    by_weight.add(by, wide(gz[to]) * wide(x[from]));
  });
  for (int64_t i = 0; i < size; ++i)
    if (z[i].bits != narrow<BFloat16>(exact.value[i]).bits) fail("z", i, wide(z[i]), exact.value[i]);
  check_tail(z, residual, g, map, tail, buffers, out, gz, dresidual);
  if (wants_gx) expect_near("gx", gx, by_x.value, by_x.magnitude);
  expect_near("gweight", gweight, by_weight.value, by_weight.magnitude);
}

// Packed values lie where the tiles expect them.
void try_packing() {
  const int64_t channels = between(1, 40), count = DEPTH * between(1, 3), stride = count + DEPTH;
  const int64_t whole = round_up(channels, TILE);
  const auto image = eighths<BFloat16>(50 * channels);
  std::vector<int32_t> pixels(count);
  for (int32_t& pixel : pixels) pixel = static_cast<int32_t>(between(-1, 49));
  auto rows = room<BFloat16>(whole * stride), pairs = room<BFloat16>(whole * stride);
  transpose(image.data(), channels, pixels.data(), count, rows.data(), stride);
  pack_pairs(image.data(), channels, pixels.data(), count, pairs.data(), stride);
  for (int64_t channel = 0; channel < channels; ++channel)
    for (int64_t i = 0; i < count; ++i) {
      const double expected = pixels[i] < 0 ? 0 : wide(image[pixels[i] * channels + channel]);
      const double in_rows = wide(rows[channel * stride + i]);
      const double in_pairs = wide(pairs[(channel / TILE * stride + i / 2 * 2) * TILE + channel % TILE * 2 + i % 2]);
      if (in_rows != expected) fail("transpose", i, in_rows, expected);
      if (in_pairs != expected) fail("pack_pairs", i, in_pairs, expected);
    }
}

#endif

}  // namespace

int main() {
  try_arena();
  for (int turn = 0; turn < 60; ++turn) {
    const int threads = turn % 4 + 1;
    try_tail<float>(threads);
    try_tail<BFloat16>(threads);
    if (turn < 20) try_winograd<float>(threads);
    if (turn < 20) try_winograd<BFloat16>(threads);
    try_max_pool<float>(threads);
    try_max_pool<BFloat16>(threads);
    try_response_norm<float>(threads);
    try_response_norm<BFloat16>(threads);
#if defined(CONVSCOPE_AMX)
    try_packing();
    try_convolution<float>(threads);
    try_convolution<BFloat16>(threads);
#endif
  }
  std::printf("%d failures\n", failures);
  return failures > 0;
}
