// The operators as PyTorch calls them: what they take is checked here, and the rest works on plain memory.
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <string_view>
#include <tuple>

#include "amx.h"
#include "norm_act_pool.h"
#include "tensors.h"

namespace convscope {
namespace {

std::tuple<Tensor, Tensor, Tensor> norm_act_pool_of_tensors(
    const Tensor& z_given, const MaybeTensor& gamma_given, const MaybeTensor& beta_given,
    const MaybeTensor& mean_given, const MaybeTensor& var_given, const MaybeTensor& residual_given, bool training,
    double eps, std::string_view activation, double slope, int64_t pool, bool pool_first) {
  check_images(z_given, "z");
  const Tensor z = channels_last(z_given);
  const Map map = map_of(z);
  const Tail tail = tail_of(map, activation, slope, pool, pool_first, residual_given.has_value());
  const Tensor gamma = vector_of(gamma_given, map.channels, "gamma");
  const Tensor beta = vector_of(beta_given, map.channels, "beta");
  const Tensor mean = vector_of(mean_given, map.channels, "mean"), var = vector_of(var_given, map.channels, "var");
  TORCH_CHECK_VALUE(mean.defined() == var.defined(), "mean and var must be given together.");
  TORCH_CHECK_VALUE(!training || z.numel() > 0, "a batch without pixels has no statistics.");
  Tensor residual;
  if (residual_given.has_value()) {
    check_like(*residual_given, z.sizes(), z.scalar_type(), "residual");
    residual = channels_last(*residual_given);
  }
  const Norm norm{data(gamma), data(beta), data(mean), data(var), training, static_cast<float>(eps)};
  Tensor out = new_images(pooled(z, pool), z.scalar_type());
  Tensor new_mean = new_vector(map.channels), invstd = new_vector(map.channels);
  with_type(z.scalar_type(), [&]<typename T>(T*) {
    norm_act_pool<T>(read<T>(z), read<T>(residual), z.size(0), map, tail, norm, write<T>(out),
                     write<float>(new_mean), write<float>(invstd), at::get_num_threads());
  });
  return {out, new_mean, invstd};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> norm_act_pool_backward_of_tensors(
    const Tensor& g_given, const Tensor& z_given, const MaybeTensor& out_given, const MaybeTensor& gamma_given,
    const MaybeTensor& beta_given, const Tensor& mean_given, const Tensor& invstd_given, bool training, bool normed,
    std::string_view activation, double slope, int64_t pool, bool pool_first) {
  check_images(z_given, "z");
  const Tensor z = channels_last(z_given);
  const Map map = map_of(z);
  const Tail tail = tail_of(map, activation, slope, pool, pool_first, out_given.has_value());
  const Tensor gamma = vector_of(gamma_given, map.channels, "gamma");
  const Tensor beta = vector_of(beta_given, map.channels, "beta");
  const Tensor mean = vector_of(mean_given, map.channels, "mean");
  const Tensor invstd = vector_of(invstd_given, map.channels, "invstd");
  check_like(g_given, pooled(z, pool), z.scalar_type(), "g");
  const Tensor g = channels_last(g_given);
  Tensor out, dresidual = at::empty({0}, z.options());
  if (out_given.has_value()) {
    check_like(*out_given, z.sizes(), z.scalar_type(), "out");
    out = channels_last(*out_given);
    dresidual = new_images(z.sizes(), z.scalar_type());
  }
  const Norm norm{data(gamma), data(beta), data(mean), nullptr, training, 0};
  Tensor gz = new_images(z.sizes(), z.scalar_type());
  Tensor dgamma = new_vector(map.channels), dbeta = new_vector(map.channels);
  with_type(z.scalar_type(), [&]<typename T>(T*) {
    norm_act_pool_backward<T>(read<T>(g), read<T>(z), read<T>(out), z.size(0), map, tail, norm, normed, data(mean),
                              data(invstd), write<T>(gz), out.defined() ? write<T>(dresidual) : nullptr,
                              write<float>(dgamma), write<float>(dbeta), at::get_num_threads());
  });
  return {gz, dgamma, dbeta, dresidual};
}

// Takes a batch into a norm's running statistics, with a weight of `share`; its variance is that of a sample.
void track(const MaybeTensor& running_mean, const MaybeTensor& running_var, const Tensor& mean, const Tensor& invstd,
           const MaybeTensor& bias_given, double eps, double share, int64_t count) {
  const int64_t channels = mean.size(0);
  const Tensor bias = vector_of(bias_given, channels, "bias");
  const auto follow = [&](const MaybeTensor& running, const char* name, auto&& value) {
    if (!running.has_value()) return;
    check_like(*running, mean.sizes(), at::kFloat, name);
    TORCH_CHECK(running->is_contiguous(), name, " must be dense, because it is written.");
    float* const values = write<float>(*running);
    for (int64_t channel = 0; channel < channels; ++channel)
      values[channel] += static_cast<float>(share * (value(channel) - values[channel]));
  };
  const float *means = data(mean), *invstds = data(invstd), *biases = data(bias);
  follow(running_mean, "running_mean", [&](int64_t channel) {
    return static_cast<double>(means[channel]) + (biases ? biases[channel] : 0.0f);
  });
  follow(running_var, "running_var", [&](int64_t channel) {
    const double variance = 1.0 / (static_cast<double>(invstds[channel]) * invstds[channel]) - eps;
    return std::max(variance, 0.0) * static_cast<double>(count) / static_cast<double>(count - 1);
  });
}

}  // namespace
}  // namespace convscope

TORCH_LIBRARY(convscope, library) {
  library.def(
      "norm_act_pool(Tensor z, Tensor? gamma, Tensor? beta, Tensor? mean, Tensor? var, Tensor? residual, "
      "bool training, float eps, str activation, float slope, int pool, bool pool_first) "
      "-> (Tensor out, Tensor mean, Tensor invstd)");
  library.def(
      "norm_act_pool_backward(Tensor g, Tensor z, Tensor? out, Tensor? gamma, Tensor? beta, Tensor mean, "
      "Tensor invstd, bool training, bool normed, str activation, float slope, int pool, bool pool_first) "
      "-> (Tensor gz, Tensor dgamma, Tensor dbeta, Tensor dresidual)");
  library.def(
      "conv_norm_act_pool(Tensor x, Tensor weight, Tensor? gamma, Tensor? beta, Tensor? mean, Tensor? var, "
      "Tensor? residual, int stride, int padding, bool training, float eps, str activation, float slope, int pool, "
      "bool pool_first) -> (Tensor out, Tensor z, Tensor mean, Tensor invstd)");
  library.def(
      "conv_norm_act_pool_backward(Tensor g, Tensor x, Tensor weight, Tensor z, Tensor? out, Tensor? gamma, "
      "Tensor? beta, Tensor mean, Tensor invstd, int stride, int padding, bool training, bool normed, str activation, "
      "float slope, int pool, bool pool_first, bool need_gx) "
      "-> (Tensor gx, Tensor dweight, Tensor dgamma, Tensor dbeta, Tensor dresidual)");
  library.def("winograd(Tensor x, Tensor weight, int padding) -> Tensor");
  library.def(
      "winograd_backward(Tensor g, Tensor x, Tensor weight, int padding, bool need_gx, bool need_dweight) "
      "-> (Tensor gx, Tensor dweight)");
  library.def("max_pool(Tensor x, int size, int stride, int padding, bool ceil_mode) -> (Tensor out, Tensor places)");
  library.def(
      "max_pool_backward(Tensor g, Tensor places, int height, int width, int size, int stride, int padding, "
      "bool ceil_mode) -> Tensor");
  library.def("response_norm(Tensor x, int size, float alpha, float k) -> Tensor");
  library.def("response_norm_backward(Tensor g, Tensor x, int size, float alpha, float k) -> Tensor");
  library.def(
      "track(Tensor(a!)? running_mean, Tensor(b!)? running_var, Tensor mean, Tensor invstd, Tensor? bias, float eps, "
      "float share, int count) -> ()");
  library.def("has_amx() -> bool", &convscope::amx_available);
}

TORCH_LIBRARY_IMPL(convscope, CPU, library) {
  library.impl("norm_act_pool", &convscope::norm_act_pool_of_tensors);
  library.impl("norm_act_pool_backward", &convscope::norm_act_pool_backward_of_tensors);
  library.impl("track", &convscope::track);
}
