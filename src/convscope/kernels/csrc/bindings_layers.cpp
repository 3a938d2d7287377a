// Operators that are a layer each, as PyTorch calls them.
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <tuple>

#include "max_pool.h"
#include "response_norm.h"
#include "tensors.h"

namespace convscope {
namespace {

// Windows along a side: as many as fit; with `ceil_mode` one more for what is left, unless it were all padding.
int64_t windows_along(int64_t side, int64_t size, int64_t stride, int64_t padding, bool ceil_mode) {
  const int64_t steps = side + 2 * padding - size + (ceil_mode ? stride - 1 : 0);
  if (steps < 0) return 0;
  const int64_t last = steps / stride;
  return ceil_mode && last * stride >= side + padding ? last : last + 1;
}

MaxPool pool_of(Map map, int64_t size, int64_t stride, int64_t padding, bool ceil_mode) {
  TORCH_CHECK_VALUE(1 <= size && size <= 16, "windows must have 1 to 16 pixels a side, not ", size, ".");
  TORCH_CHECK_VALUE(stride >= 1, "the stride must be 1 or more, not ", stride, ".");
  TORCH_CHECK_VALUE(0 <= padding && padding <= size / 2, "the padding must be at most half a window of ", size,
                    ", not ", padding, ".");
  const MaxPool pool{map,
                     size,
                     stride,
                     padding,
                     windows_along(map.height, size, stride, padding, ceil_mode),
                     windows_along(map.width, size, stride, padding, ceil_mode)};
  TORCH_CHECK_VALUE(pool.out_height >= 1 && pool.out_width >= 1, "a window of ", size, " x ", size,
                    " does not fit into maps of ", map.height, " x ", map.width, " with padding ", padding, ".");
  return pool;
}

std::tuple<Tensor, Tensor> max_pool_of_tensors(const Tensor& x_given, int64_t size, int64_t stride, int64_t padding,
                                               bool ceil_mode) {
  check_images(x_given, "x");
  const Tensor x = channels_last(x_given);
  const MaxPool pool = pool_of(map_of(x), size, stride, padding, ceil_mode);
  const std::vector<int64_t> shape{x.size(0), x.size(1), pool.out_height, pool.out_width};
  const Tensor out = new_images(shape, x.scalar_type()), places = new_images(shape, at::kBFloat16);
  with_type(x.scalar_type(), [&]<typename T>(T*) {
    max_pool<T>(read<T>(x), x.size(0), pool, write<T>(out), write<BFloat16>(places), at::get_num_threads());
  });
  return {out, places};
}

Tensor max_pool_backward_of_tensors(const Tensor& g_given, const Tensor& places_given, int64_t height, int64_t width,
                                    int64_t size, int64_t stride, int64_t padding, bool ceil_mode) {
  check_images(g_given, "g");
  const MaxPool pool = pool_of({height, width, g_given.size(1)}, size, stride, padding, ceil_mode);
  const std::vector<int64_t> shape{g_given.size(0), g_given.size(1), pool.out_height, pool.out_width};
  check_like(g_given, shape, g_given.scalar_type(), "g");
  check_like(places_given, shape, at::kBFloat16, "places");
  const Tensor g = channels_last(g_given), places = channels_last(places_given);
  const Tensor gx = new_images({g.size(0), g.size(1), height, width}, g.scalar_type());
  with_type(g.scalar_type(), [&]<typename T>(T*) {
    max_pool_backward<T>(read<T>(g), read<BFloat16>(places), g.size(0), pool, write<T>(gx), at::get_num_threads());
  });
  return gx;
}

ResponseNorm norm_of(const Tensor& x, int64_t size, double alpha, double k) {
  check_images(x, "x");
  TORCH_CHECK_VALUE(size >= 1 && size % 2 == 1, "size must be odd, not ", size, ".");
  return {size, static_cast<float>(alpha / static_cast<double>(size)), static_cast<float>(k)};
}

Tensor response_norm_of_tensors(const Tensor& x_given, int64_t size, double alpha, double k) {
  const ResponseNorm norm = norm_of(x_given, size, alpha, k);
  const Tensor x = channels_last(x_given), out = new_images(x.sizes(), x.scalar_type());
  with_type(x.scalar_type(), [&]<typename T>(T*) {
    response_norm<T>(read<T>(x), x.size(0) * x.size(2) * x.size(3), x.size(1), norm, write<T>(out),
                     at::get_num_threads());
  });
  return out;
}

Tensor response_norm_backward_of_tensors(const Tensor& g_given, const Tensor& x_given, int64_t size, double alpha,
                                         double k) {
  const ResponseNorm norm = norm_of(x_given, size, alpha, k);
  check_like(g_given, x_given.sizes(), x_given.scalar_type(), "g");
  const Tensor g = channels_last(g_given), x = channels_last(x_given), gx = new_images(x.sizes(), x.scalar_type());
  with_type(x.scalar_type(), [&]<typename T>(T*) {
    response_norm_backward<T>(read<T>(g), read<T>(x), x.size(0) * x.size(2) * x.size(3), x.size(1), norm, write<T>(gx),
                              at::get_num_threads());
  });
  return gx;
}

}  // namespace
}  // namespace convscope

TORCH_LIBRARY_IMPL(convscope, CPU, library) {
  library.impl("max_pool", &convscope::max_pool_of_tensors);
  library.impl("max_pool_backward", &convscope::max_pool_backward_of_tensors);
  library.impl("response_norm", &convscope::response_norm_of_tensors);
  library.impl("response_norm_backward", &convscope::response_norm_backward_of_tensors);
}
