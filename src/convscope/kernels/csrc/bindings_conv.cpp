// The convolution on AMX as PyTorch calls it.
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <string_view>
#include <tuple>

#include "amx_conv.h"
#include "tensors.h"

#if defined(CONVSCOPE_AMX)

namespace convscope {
namespace {

Convolution convolution_of(const Tensor& x, const Tensor& weight, int64_t stride, int64_t padding) {
  check_images(x, "x");
  TORCH_CHECK(weight.device().is_cpu() && weight.scalar_type() == at::kFloat && weight.dim() == 4 &&
                  weight.size(1) == x.size(1) && weight.size(2) == weight.size(3) && weight.size(2) >= 1,
              "weight must be float32 of shape (out channels, ", x.size(1), ", k, k) on the CPU, not ",
              weight.scalar_type(), " of shape ", weight.sizes(), ".");
  const Convolution convolution{x.size(2), x.size(3), x.size(1), weight.size(0), weight.size(2), stride, padding};
  TORCH_CHECK_VALUE(convolution.kernel <= LONGEST_KERNEL, "kernels have at most ", LONGEST_KERNEL, " rows, not ",
                    convolution.kernel, ".");
  TORCH_CHECK_VALUE(stride >= 1 && 0 <= padding && padding < convolution.kernel,
                    "the stride must be at least 1 and the padding less than the kernel, not ", stride, " and ",
                    padding, ".");
  TORCH_CHECK_VALUE(convolution.height + 2 * padding >= convolution.kernel &&
                        convolution.width + 2 * padding >= convolution.kernel,
                    "a kernel of ", convolution.kernel, " x ", convolution.kernel, " does not fit into maps of ",
                    x.size(2), " x ", x.size(3), " with padding ", padding, ".");
  TORCH_CHECK(amx_available(), "this machine has no AMX: take convscope::norm_act_pool after a convolution.");
  return convolution;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> conv_norm_act_pool_of_tensors(
    const Tensor& x_given, const Tensor& weight_given, const MaybeTensor& gamma_given, const MaybeTensor& beta_given,
    const MaybeTensor& mean_given, const MaybeTensor& var_given, const MaybeTensor& residual_given, int64_t stride,
    int64_t padding, bool training, double eps, std::string_view activation, double slope, int64_t pool,
    bool pool_first) {
  const Convolution convolution = convolution_of(x_given, weight_given, stride, padding);
  const Tensor x = channels_last(x_given), weight = channels_last(weight_given);
  const int64_t channels = convolution.out_channels;
  const Map map{convolution.out_height(), convolution.out_width(), channels};
  const Tail tail = tail_of(map, activation, slope, pool, pool_first, residual_given.has_value());
  const Tensor gamma = vector_of(gamma_given, channels, "gamma"), beta = vector_of(beta_given, channels, "beta");
  const Tensor mean = vector_of(mean_given, channels, "mean"), var = vector_of(var_given, channels, "var");
  TORCH_CHECK_VALUE(mean.defined() == var.defined(), "mean and var must be given together.");
  TORCH_CHECK_VALUE(!training || x.numel() > 0, "a batch without pixels has no statistics.");
  const Tensor z = new_images({x.size(0), channels, map.height, map.width}, at::kBFloat16);
  Tensor residual;
  if (residual_given.has_value()) {
    check_like(*residual_given, z.sizes(), at::kBFloat16, "residual");
    residual = channels_last(*residual_given);
  }
  const Norm norm{data(gamma), data(beta), data(mean), data(var), training, static_cast<float>(eps)};
  const Tensor out = new_images(pooled(z, pool), at::kBFloat16);
  const Tensor new_mean = new_vector(channels), invstd = new_vector(channels);
  with_type(x.scalar_type(), [&]<typename T>(T*) {
    conv_norm_act_pool<T>(read<T>(x), read<float>(weight), read<BFloat16>(residual), x.size(0), convolution, tail,
                          norm, write<BFloat16>(z), write<BFloat16>(out), write<float>(new_mean),
                          write<float>(invstd), at::get_num_threads());
  });
  return {out, z, new_mean, invstd};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> conv_norm_act_pool_backward_of_tensors(
    const Tensor& g_given, const Tensor& x_given, const Tensor& weight_given, const Tensor& z_given,
    const MaybeTensor& out_given, const MaybeTensor& gamma_given, const MaybeTensor& beta_given,
    const Tensor& mean_given, const Tensor& invstd_given, int64_t stride, int64_t padding, bool training, bool normed,
    std::string_view activation, double slope, int64_t pool, bool pool_first, bool need_gx) {
  const Convolution convolution = convolution_of(x_given, weight_given, stride, padding);
  const Tensor x = channels_last(x_given), weight = channels_last(weight_given);
  const int64_t channels = convolution.out_channels;
  const Map map{convolution.out_height(), convolution.out_width(), channels};
  const Tail tail = tail_of(map, activation, slope, pool, pool_first, out_given.has_value());
  check_like(z_given, {x.size(0), channels, map.height, map.width}, at::kBFloat16, "z");
  const Tensor z = channels_last(z_given);
  const Tensor gamma = vector_of(gamma_given, channels, "gamma"), beta = vector_of(beta_given, channels, "beta");
  const Tensor mean = vector_of(mean_given, channels, "mean"), invstd = vector_of(invstd_given, channels, "invstd");
  check_like(g_given, pooled(z, pool), at::kBFloat16, "g");
  const Tensor g = channels_last(g_given);
  Tensor out, dresidual = at::empty({0}, z.options());
  if (out_given.has_value()) {
    check_like(*out_given, z.sizes(), at::kBFloat16, "out");
    out = channels_last(*out_given);
    dresidual = new_images(z.sizes(), at::kBFloat16);
  }
  const Norm norm{data(gamma), data(beta), data(mean), nullptr, training, 0};
  const Tensor gx = need_gx ? new_images(x.sizes(), at::kBFloat16) : at::empty({0}, z.options());
  const Tensor dweight = new_images(weight.sizes(), at::kFloat);
  const Tensor dgamma = new_vector(channels), dbeta = new_vector(channels);
  with_type(x.scalar_type(), [&]<typename T>(T*) {
    conv_norm_act_pool_backward<T>(
        read<BFloat16>(g), read<T>(x), read<float>(weight), read<BFloat16>(z), read<BFloat16>(out), x.size(0),
        convolution, tail, norm, normed, data(mean), data(invstd), need_gx ? write<BFloat16>(gx) : nullptr,
        write<float>(dweight), write<float>(dgamma), write<float>(dbeta),
        out.defined() ? write<BFloat16>(dresidual) : nullptr, at::get_num_threads());
  });
  return {gx.to(x.scalar_type()), dweight, dgamma, dbeta, dresidual};
}

}  // namespace
}  // namespace convscope

TORCH_LIBRARY_IMPL(convscope, CPU, library) {
  library.impl("conv_norm_act_pool", &convscope::conv_norm_act_pool_of_tensors);
  library.impl("conv_norm_act_pool_backward", &convscope::conv_norm_act_pool_backward_of_tensors);
}

#endif
