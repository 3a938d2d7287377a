// The gradients of convolutions and of what follows them.
#include <torch/library.h>

#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "autograd.h"

namespace convscope {
namespace {

using MaybeTensor = std::optional<Tensor>;

MaybeTensor maybe(const Tensor& tensor) { return tensor.defined() ? MaybeTensor(tensor) : std::nullopt; }

Tensor if_wanted(const Tensor& input, const Tensor& gradient) { return input.defined() ? gradient : Tensor(); }

// What follows a convolution, as both operators have it.
struct Settings {
  bool training, normed;
  std::string_view activation;
  double slope;
  int64_t pool;
  bool pool_first;

  void save(AutogradContext* context) const {
    auto& data = context->saved_data;
    data["training"] = training;
    data["normed"] = normed;
    data["activation"] = std::string(activation);
    data["slope"] = slope;
    data["pool"] = pool;
    data["pool_first"] = pool_first;
  }

  static Settings of(AutogradContext* context) {  // lives no longer than the context, which holds the name
    auto& data = context->saved_data;
    return {data["training"].toBool(), data["normed"].toBool(), data["activation"].toStringView(),
            data["slope"].toDouble(),  data["pool"].toInt(),    data["pool_first"].toBool()};
  }
};

// Statistics are results that nothing is to be learned from.
void finish(AutogradContext* context, const Settings& settings, const tensor_list& saved, const Tensor& mean,
            const Tensor& invstd) {
  settings.save(context);
  context->save_for_backward(saved);
  context->mark_non_differentiable({mean, invstd});
  context->set_materialize_grads(false);
}

using Forward = std::tuple<Tensor, Tensor, Tensor>(const Tensor&, const MaybeTensor&, const MaybeTensor&,
                                                   const MaybeTensor&, const MaybeTensor&, const MaybeTensor&, bool,
                                                   double, std::string_view, double, int64_t, bool);
using Backward = std::tuple<Tensor, Tensor, Tensor, Tensor>(const Tensor&, const Tensor&, const MaybeTensor&,
                                                            const MaybeTensor&, const MaybeTensor&, const Tensor&,
                                                            const Tensor&, bool, bool, std::string_view, double,
                                                            int64_t, bool);

struct NormActPool : Function<NormActPool> {
  static tensor_list forward(AutogradContext* context, const Tensor& z, const MaybeTensor& gamma,
                             const MaybeTensor& beta, const MaybeTensor& residual, const MaybeTensor& old_mean,
                             const MaybeTensor& old_var, double eps, const Settings& settings) {
    static const auto call = operation<Forward>("convscope::norm_act_pool");
    const at::AutoDispatchBelowADInplaceOrView below;
    auto [out, mean, invstd] =
        call.call(z, gamma, beta, old_mean, old_var, residual, settings.training, eps, settings.activation,
                  settings.slope, settings.pool, settings.pool_first);
    const Tensor kept = residual.has_value() ? out : Tensor();  // without it, everything is computed anew from z
    finish(context, settings, {z, kept, gamma.value_or(Tensor()), beta.value_or(Tensor()), mean, invstd}, mean, invstd);
    return {out, mean, invstd};
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    static const auto call = operation<Backward>("convscope::norm_act_pool_backward");
    check_once();
    if (!gradients[0].defined()) return tensor_list(8);
    const Settings settings = Settings::of(context);
    const auto saved = context->get_saved_variables();
    const auto &z = saved[0], &out = saved[1], &gamma = saved[2], &beta = saved[3];
    auto [gz, dgamma, dbeta, dresidual] =
        call.call(gradients[0], z, maybe(out), maybe(gamma), maybe(beta), saved[4], saved[5], settings.training,
                  settings.normed, settings.activation, settings.slope, settings.pool, settings.pool_first);
    return {gz, if_wanted(gamma, dgamma), if_wanted(beta, dbeta), if_wanted(out, dresidual), {}, {}, {}, {}};
  }
};

std::tuple<Tensor, Tensor, Tensor> norm_act_pool(const Tensor& z, const MaybeTensor& gamma, const MaybeTensor& beta,
                                                 const MaybeTensor& mean, const MaybeTensor& var,
                                                 const MaybeTensor& residual, bool training, double eps,
                                                 std::string_view activation, double slope, int64_t pool,
                                                 bool pool_first) {
  const Settings settings{training, training || mean.has_value(), activation, slope, pool, pool_first};
  const auto results = NormActPool::apply(z, gamma, beta, residual, mean, var, eps, settings);
  return {results[0], results[1], results[2]};
}

using ConvForward = std::tuple<Tensor, Tensor, Tensor, Tensor>(const Tensor&, const Tensor&, const MaybeTensor&,
                                                               const MaybeTensor&, const MaybeTensor&,
                                                               const MaybeTensor&, const MaybeTensor&, int64_t,
                                                               int64_t, bool, double, std::string_view, double,
                                                               int64_t, bool);
using ConvBackward = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>(
    const Tensor&, const Tensor&, const Tensor&, const Tensor&, const MaybeTensor&, const MaybeTensor&,
    const MaybeTensor&, const Tensor&, const Tensor&, int64_t, int64_t, bool, bool, std::string_view, double, int64_t,
    bool, bool);

struct ConvNormActPool : Function<ConvNormActPool> {
  static tensor_list forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const MaybeTensor& gamma,
                             const MaybeTensor& beta, const MaybeTensor& residual, const MaybeTensor& old_mean,
                             const MaybeTensor& old_var, int64_t stride, int64_t padding, double eps,
                             const Settings& settings) {
    static const auto call = operation<ConvForward>("convscope::conv_norm_act_pool");
    const at::AutoDispatchBelowADInplaceOrView below;
    auto [out, z, mean, invstd] =
        call.call(x, weight, gamma, beta, old_mean, old_var, residual, stride, padding, settings.training, eps,
                  settings.activation, settings.slope, settings.pool, settings.pool_first);
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    const Tensor kept = residual.has_value() ? out : Tensor();
    finish(context, settings,
           {x, weight, z, kept, gamma.value_or(Tensor()), beta.value_or(Tensor()), mean, invstd}, mean, invstd);
    return {out, z, mean, invstd};
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    static const auto call = operation<ConvBackward>("convscope::conv_norm_act_pool_backward");
    check_once();
    if (!gradients[0].defined()) return tensor_list(11);
    const Settings settings = Settings::of(context);
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &z = saved[2], &out = saved[3], &gamma = saved[4], &beta = saved[5];
    const bool need_gx = context->needs_input_grad(0);
    auto [gx, dweight, dgamma, dbeta, dresidual] =
        call.call(gradients[0], x, weight, z, maybe(out), maybe(gamma), maybe(beta), saved[6], saved[7],
                  context->saved_data["stride"].toInt(), context->saved_data["padding"].toInt(), settings.training,
                  settings.normed, settings.activation, settings.slope, settings.pool, settings.pool_first, need_gx);
    return {need_gx ? gx : Tensor(), dweight, if_wanted(gamma, dgamma), if_wanted(beta, dbeta),
            if_wanted(out, dresidual), {}, {}, {}, {}, {}, {}};
  }
};

std::tuple<Tensor, Tensor, Tensor, Tensor> conv_norm_act_pool(const Tensor& x, const Tensor& weight,
                                                              const MaybeTensor& gamma, const MaybeTensor& beta,
                                                              const MaybeTensor& mean, const MaybeTensor& var,
                                                              const MaybeTensor& residual, int64_t stride,
                                                              int64_t padding, bool training, double eps,
                                                              std::string_view activation, double slope, int64_t pool,
                                                              bool pool_first) {
  const Settings settings{training, training || mean.has_value(), activation, slope, pool, pool_first};
  const auto results =
      ConvNormActPool::apply(x, weight, gamma, beta, residual, mean, var, stride, padding, eps, settings);
  return {results[0], results[1], results[2], results[3]};
}

using WinogradForward = Tensor(const Tensor&, const Tensor&, int64_t);
using WinogradBackward = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, int64_t, bool, bool);

struct Winograd : Function<Winograd> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, int64_t padding) {
    static const auto call = operation<WinogradForward>("convscope::winograd");
    const at::AutoDispatchBelowADInplaceOrView below;
    context->saved_data["padding"] = padding;
    context->save_for_backward({x, weight});
    return call.call(x, weight, padding);
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    static const auto call = operation<WinogradBackward>("convscope::winograd_backward");
    check_once();
    const auto saved = context->get_saved_variables();
    const bool need_gx = context->needs_input_grad(0), need_dweight = context->needs_input_grad(1);
    auto [gx, dweight] = call.call(gradients[0], saved[0], saved[1], context->saved_data["padding"].toInt(), need_gx,
                                   need_dweight);
    return {need_gx ? gx : Tensor(), need_dweight ? dweight : Tensor(), {}};
  }
};

Tensor winograd(const Tensor& x, const Tensor& weight, int64_t padding) {
  return Winograd::apply(x, weight, padding);
}

}  // namespace
}  // namespace convscope

TORCH_LIBRARY_IMPL(convscope, Autograd, library) {
  library.impl("norm_act_pool", &convscope::norm_act_pool);
  library.impl("conv_norm_act_pool", &convscope::conv_norm_act_pool);
  library.impl("winograd", &convscope::winograd);
}
