// The convolution with its tail, and the tail alone, as plain C functions for test_amx.py.
#include "amx_conv.h"

#include <vector>

using namespace convscope;

struct Settings {
  int64_t images, height, width, in_channels, out_channels, kernel, stride, padding;
  int64_t activation, pool, pool_first, training, normed, wide, threads;  // wide: x is float32
  double slope, eps;

  Convolution convolution() const { return {height, width, in_channels, out_channels, kernel, stride, padding}; }
  Map map() const { return {convolution().out_height(), convolution().out_width(), out_channels}; }
  Tail tail() const {
    return {static_cast<Activation>(activation), static_cast<float>(slope), static_cast<int>(pool), pool_first != 0};
  }
};

extern "C" {

bool available() { return amx_available(); }

void forward(const Settings& s, const void* x, const float* weight, const float* gamma, const float* beta,
             const float* old_mean, const float* old_var, const BFloat16* residual, BFloat16* z, BFloat16* out,
             float* mean, float* invstd) {
  const Norm norm{gamma, beta, old_mean, old_var, s.training != 0, static_cast<float>(s.eps)};
  const auto call = [&](const auto* images) {
    conv_norm_act_pool(images, weight, residual, s.images, s.convolution(), s.tail(), norm, z, out, mean, invstd,
                       static_cast<int>(s.threads));
  };
  s.wide ? call(static_cast<const float*>(x)) : call(static_cast<const BFloat16*>(x));
}

void backward(const Settings& s, const BFloat16* g, const void* x, const float* weight, const BFloat16* z,
              const BFloat16* out, const float* gamma, const float* beta, const float* mean, const float* invstd,
              BFloat16* gx, float* gweight, float* dgamma, float* dbeta, BFloat16* dresidual) {
  const Norm norm{gamma, beta, mean, nullptr, s.training != 0, static_cast<float>(s.eps)};
  const auto call = [&](const auto* images) {
    conv_norm_act_pool_backward(g, images, weight, z, out, s.images, s.convolution(), s.tail(), norm, s.normed != 0,
                                mean, invstd, gx, gweight, dgamma, dbeta, dresidual, static_cast<int>(s.threads));
  };
  s.wide ? call(static_cast<const float*>(x)) : call(static_cast<const BFloat16*>(x));
}

// What follows z, by statistics that are there already.
void tail_forward(const Settings& s, const BFloat16* z, const float* gamma, const float* beta, const float* mean,
                  const float* invstd, const BFloat16* residual, BFloat16* out) {
  const Map map = s.map();
  const Norm norm{gamma, beta, nullptr, nullptr, false, 0};
  std::vector<float> scale(map.channels), shift(map.channels);
  affine(norm, mean, invstd, map.channels, scale.data(), shift.data());
  const int64_t size = map.height * map.width * map.channels;
  const int64_t out_size = (map.height / s.pool) * (map.width / s.pool) * map.channels;
  for (int64_t image = 0; image < s.images; ++image)
    forward_tail(z + image * size, residual ? residual + image * size : nullptr, map, s.tail(),
                 {scale.data(), shift.data()}, out + image * out_size);
}

void tail_backward(const Settings& s, const BFloat16* g, const BFloat16* z, const BFloat16* out, const float* gamma,
                   const float* beta, const float* mean, const float* invstd, BFloat16* gz, BFloat16* dresidual,
                   float* dgamma, float* dbeta) {
  const Norm norm{gamma, beta, mean, nullptr, s.training != 0, static_cast<float>(s.eps)};
  norm_act_pool_backward(g, z, out, s.images, s.map(), s.tail(), norm, s.normed != 0, mean, invstd, gz, dresidual,
                         dgamma, dbeta, 1);
}

}  // extern "C"
