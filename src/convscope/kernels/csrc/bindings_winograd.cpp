// Winograd's convolution as PyTorch calls it.
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <tuple>

#include "tensors.h"
#include "winograd.h"

namespace convscope {
namespace {

Convolution3x3 convolution_of(const Tensor& x, const Tensor& weight, int64_t padding) {
  check_images(x, "x");
  TORCH_CHECK(weight.device().is_cpu() && weight.scalar_type() == at::kFloat && weight.dim() == 4 &&
                  weight.size(1) == x.size(1) && weight.size(2) == 3 && weight.size(3) == 3,
              "weight must be float32 of shape (out channels, ", x.size(1), ", 3, 3) on the CPU, not ",
              weight.scalar_type(), " of shape ", weight.sizes(), ".");
  TORCH_CHECK_VALUE(0 <= padding && padding <= 2, "the padding must be 0, 1 or 2, not ", padding, ".");
  const Convolution3x3 convolution{x.size(0), x.size(2), x.size(3), x.size(1), weight.size(0), padding};
  TORCH_CHECK_VALUE(convolution.out_height() >= 1 && convolution.out_width() >= 1,
                    "a kernel of 3 x 3 does not fit into maps of ", x.size(2), " x ", x.size(3), " with padding ",
                    padding, ".");
  return convolution;
}

Tensor winograd_of_tensors(const Tensor& x_given, const Tensor& weight_given, int64_t padding) {
  const Convolution3x3 c = convolution_of(x_given, weight_given, padding);
  const Tensor x = channels_last(x_given), weight = channels_last(weight_given);
  const Tensor z = new_images({c.images, c.out_channels, c.out_height(), c.out_width()}, x.scalar_type());
  with_type(x.scalar_type(), [&]<typename T>(T*) {
    winograd(read<T>(x), read<float>(weight), c, write<T>(z), at::get_num_threads());
  });
  return z;
}

std::tuple<Tensor, Tensor> winograd_backward_of_tensors(const Tensor& g_given, const Tensor& x_given,
                                                        const Tensor& weight_given, int64_t padding, bool need_gx,
                                                        bool need_dweight) {
  const Convolution3x3 c = convolution_of(x_given, weight_given, padding);
  check_like(g_given, {c.images, c.out_channels, c.out_height(), c.out_width()}, x_given.scalar_type(), "g");
  const Tensor g = channels_last(g_given), x = channels_last(x_given), weight = channels_last(weight_given);
  const Tensor gx = need_gx ? new_images(x.sizes(), x.scalar_type()) : at::empty({0}, x.options());
  const Tensor dweight = need_dweight ? new_images(weight.sizes(), at::kFloat) : at::empty({0}, weight.options());
  if (c.images == 0) return {gx, dweight.zero_()};
  const int threads = at::get_num_threads();
  with_type(x.scalar_type(), [&]<typename T>(T*) {
    if (need_gx) winograd_by_input(read<T>(g), read<float>(weight), c, write<T>(gx), threads);
    if (need_dweight) winograd_by_weight(read<T>(g), read<T>(x), c, write<float>(dweight), threads);
  });
  return {gx, dweight};
}

}  // namespace
}  // namespace convscope

TORCH_LIBRARY_IMPL(convscope, CPU, library) {
  library.impl("winograd", &convscope::winograd_of_tensors);
  library.impl("winograd_backward", &convscope::winograd_backward_of_tensors);
}
