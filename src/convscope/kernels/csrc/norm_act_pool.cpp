#include "norm_act_pool.h"

#include <cmath>
#include <vector>

#include "parallel.h"

namespace convscope {

static float at(const float* values, int64_t channel, float otherwise) {
  return values ? values[channel] : otherwise;
}

// The sum over images of moments (images, 2, C), in image order.
static std::vector<double> total(const float* moments, int64_t images, int64_t channels) {
  std::vector<double> sums(2 * channels);
  for (int64_t image = 0; image < images; ++image)
    for (int64_t i = 0; i < 2 * channels; ++i) sums[i] += moments[image * 2 * channels + i];
  return sums;
}

bool combine_moments(const float* moments, int64_t images, int64_t pixels, int64_t channels, const float* centre,
                     float eps, float* mean, float* invstd) {
  const std::vector<double> sums = total(moments, images, channels);
  const double count = static_cast<double>(images) * static_cast<double>(pixels);
  bool near = true;
  for (int64_t channel = 0; channel < channels; ++channel) {
    const double distance = sums[channel] / count;
    double variance = sums[channels + channel] / count - distance * distance;
    if (variance < 0) variance = 0;  // by rounding
    mean[channel] = static_cast<float>(at(centre, channel, 0) + distance);
    invstd[channel] = static_cast<float>(1 / std::sqrt(variance + eps));
    // The squares carry a relative error near 1e-6, the variance that of distance^2 / variance times as much.
    near &= !(distance * distance > 1e3 * (variance + eps));
  }
  return near;
}

void affine(const Norm& norm, const float* mean, const float* invstd, int64_t channels, float* scale, float* shift) {
  for (int64_t channel = 0; channel < channels; ++channel) {
    scale[channel] = at(norm.gamma, channel, 1) * invstd[channel];
    shift[channel] = at(norm.beta, channel, 0) - mean[channel] * scale[channel];
  }
}

void gradient_coefficients(const float* moments, int64_t images, int64_t pixels, int64_t channels, const Norm& norm,
                           const float* mean, const float* invstd, float* dgamma, float* dbeta, float* a, float* b,
                           float* c) {
  const std::vector<double> sums = total(moments, images, channels);
  const double count = static_cast<double>(images) * static_cast<double>(pixels);
  for (int64_t channel = 0; channel < channels; ++channel) {
    const double sum = sums[channel], product = sums[channels + channel] * invstd[channel];
    const double scale = static_cast<double>(at(norm.gamma, channel, 1)) * invstd[channel];
    dgamma[channel] = static_cast<float>(product);
    dbeta[channel] = static_cast<float>(sum);
    a[channel] = static_cast<float>(scale);
    // dz = scale * (dv - mean of dv - normalised z * mean of dv * normalised z)
    const double along = norm.training ? -scale * invstd[channel] * product / count : 0;
    b[channel] = static_cast<float>(along);
    c[channel] = norm.training ? static_cast<float>(-scale * sum / count - along * mean[channel]) : 0;
  }
}

template <typename T>
static std::vector<float> batch_moments(const T* z, int64_t images, Map map, const float* centre, int threads) {
  const int64_t size = map.height * map.width * map.channels;
  std::vector<float> moments(images * 2 * map.channels);
  for_each(images, threads, [&](int64_t image) {
    float* sum = moments.data() + image * 2 * map.channels;
    add_moments(z + image * size, map, centre, sum, sum + map.channels);
  });
  return moments;
}

template <typename T>
void batch_statistics(const T* z, const float* moments, int64_t images, Map map, const Norm& norm, float* mean,
                      float* invstd, int threads) {
  const int64_t pixels = map.height * map.width;
  if (combine_moments(moments, images, pixels, map.channels, norm.mean, norm.eps, mean, invstd)) return;
  const std::vector<float> centre(mean, mean + map.channels);
  const std::vector<float> again = batch_moments(z, images, map, centre.data(), threads);
  combine_moments(again.data(), images, pixels, map.channels, centre.data(), norm.eps, mean, invstd);
}

void given_statistics(const Norm& norm, int64_t channels, float* mean, float* invstd) {
  for (int64_t channel = 0; channel < channels; ++channel) {
    mean[channel] = at(norm.mean, channel, 0);
    invstd[channel] = norm.var ? 1 / std::sqrt(norm.var[channel] + norm.eps) : 1;
  }
}

template <typename T>
void norm_act_pool(const T* z, const T* residual, int64_t images, Map map, Tail tail, const Norm& norm, T* out,
                   float* mean, float* invstd, int threads) {
  const int64_t channels = map.channels, size = map.height * map.width * channels;
  const int64_t out_size = (map.height / tail.pool) * (map.width / tail.pool) * channels;
  if (norm.training) {
    const std::vector<float> moments = batch_moments(z, images, map, norm.mean, threads);
    batch_statistics(z, moments.data(), images, map, norm, mean, invstd, threads);
  } else {
    given_statistics(norm, channels, mean, invstd);
  }
  std::vector<float> scale(channels), shift(channels);
  affine(norm, mean, invstd, channels, scale.data(), shift.data());
  for_each(images, threads, [&](int64_t image) {
    forward_tail(z + image * size, residual ? residual + image * size : nullptr, map, tail,
                 {scale.data(), shift.data()}, out + image * out_size);
  });
}

template <typename T>
void norm_act_pool_backward(const T* g, const T* z, const T* out, int64_t images, Map map, Tail tail, const Norm& norm,
                            bool normed, const float* mean, const float* invstd, T* gz, T* dresidual, float* dgamma,
                            float* dbeta, int threads) {
  const int64_t channels = map.channels, pixels = map.height * map.width, size = pixels * channels;
  const int64_t out_size = (map.height / tail.pool) * (map.width / tail.pool) * channels;
  std::vector<float> scale(channels), shift(channels), a(channels), b(channels), c(channels);
  affine(norm, mean, invstd, channels, scale.data(), shift.data());
  std::vector<float> moments(images * 2 * channels);
  for_each(images, threads, [&](int64_t image) {
    float* sum = moments.data() + image * 2 * channels;
    add_gradient_moments(g + image * out_size, z + image * size, out ? out + image * size : nullptr, map, tail,
                         {scale.data(), shift.data()}, mean, sum, sum + channels);
  });
  gradient_coefficients(moments.data(), images, pixels, channels, norm, mean, invstd, dgamma, dbeta, a.data(),
                        b.data(), c.data());
  const bool corrected = norm.training && normed;
  const Slope slope{a.data(), corrected ? b.data() : nullptr, corrected ? c.data() : nullptr};
  for_each(images, threads, [&](int64_t image) {
    backward_tail(g + image * out_size, z + image * size, out ? out + image * size : nullptr, map, tail,
                  {scale.data(), shift.data()}, slope, gz + image * size, map.width * channels,
                  dresidual ? dresidual + image * size : nullptr);
  });
}

#define CONVSCOPE_INSTANTIATE(T)                                                                                     \
  template void batch_statistics(const T*, const float*, int64_t, Map, const Norm&, float*, float*, int);            \
  template void norm_act_pool(const T*, const T*, int64_t, Map, Tail, const Norm&, T*, float*, float*, int);         \
  template void norm_act_pool_backward(const T*, const T*, const T*, int64_t, Map, Tail, const Norm&, bool,          \
                                       const float*, const float*, T*, T*, float*, float*, int);
CONVSCOPE_INSTANTIATE(float)
CONVSCOPE_INSTANTIATE(BFloat16)

}  // namespace convscope
