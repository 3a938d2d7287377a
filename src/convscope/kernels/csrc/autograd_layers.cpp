// The gradients of operators that are a layer each.
#include <torch/library.h>

#include <tuple>

#include "autograd.h"

namespace convscope {
namespace {

using PoolForward = std::tuple<Tensor, Tensor>(const Tensor&, int64_t, int64_t, int64_t, bool);
using PoolBackward = Tensor(const Tensor&, const Tensor&, int64_t, int64_t, int64_t, int64_t, int64_t, bool);

struct MaxPoolGradient : Function<MaxPoolGradient> {
  static tensor_list forward(AutogradContext* context, const Tensor& x, int64_t size, int64_t stride, int64_t padding,
                             bool ceil_mode) {
    static const auto call = operation<PoolForward>("convscope::max_pool");
    const at::AutoDispatchBelowADInplaceOrView below;
    auto [out, places] = call.call(x, size, stride, padding, ceil_mode);
    auto& data = context->saved_data;
    data["height"] = x.size(2);
    data["width"] = x.size(3);
    data["size"] = size;
    data["stride"] = stride;
    data["padding"] = padding;
    data["ceil_mode"] = ceil_mode;
    context->save_for_backward({places});
    context->mark_non_differentiable({places});
    context->set_materialize_grads(false);
    return {out, places};
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    static const auto call = operation<PoolBackward>("convscope::max_pool_backward");
    check_once();
    if (!gradients[0].defined()) return tensor_list(5);
    auto& data = context->saved_data;
    return {call.call(gradients[0], context->get_saved_variables()[0], data["height"].toInt(), data["width"].toInt(),
                      data["size"].toInt(), data["stride"].toInt(), data["padding"].toInt(),
                      data["ceil_mode"].toBool()),
            {}, {}, {}, {}};
  }
};

std::tuple<Tensor, Tensor> max_pool(const Tensor& x, int64_t size, int64_t stride, int64_t padding, bool ceil_mode) {
  const auto results = MaxPoolGradient::apply(x, size, stride, padding, ceil_mode);
  return {results[0], results[1]};
}

using NormForward = Tensor(const Tensor&, int64_t, double, double);
using NormBackward = Tensor(const Tensor&, const Tensor&, int64_t, double, double);

struct ResponseNormGradient : Function<ResponseNormGradient> {
  static Tensor forward(AutogradContext* context, const Tensor& x, int64_t size, double alpha, double k) {
    static const auto call = operation<NormForward>("convscope::response_norm");
    const at::AutoDispatchBelowADInplaceOrView below;
    auto& data = context->saved_data;
    data["size"] = size;
    data["alpha"] = alpha;
    data["k"] = k;
    context->save_for_backward({x});
    return call.call(x, size, alpha, k);
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    static const auto call = operation<NormBackward>("convscope::response_norm_backward");
    check_once();
    auto& data = context->saved_data;
    return {call.call(gradients[0], context->get_saved_variables()[0], data["size"].toInt(), data["alpha"].toDouble(),
                      data["k"].toDouble()),
            {}, {}, {}};
  }
};

Tensor response_norm(const Tensor& x, int64_t size, double alpha, double k) {
  return ResponseNormGradient::apply(x, size, alpha, k);
}

}  // namespace
}  // namespace convscope

TORCH_LIBRARY_IMPL(convscope, Autograd, library) {
  library.impl("max_pool", &convscope::max_pool);
  library.impl("response_norm", &convscope::response_norm);
}
