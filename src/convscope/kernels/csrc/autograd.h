// What the operators' gradients share. They are in C++ because a call through Python takes longer than a small layer's
// arithmetic.
#pragma once

#include <torch/csrc/autograd/custom_function.h>

namespace convscope {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

// The operator itself, which the dispatcher takes on to the CPU or to another device's implementation.
template <typename Signature>
auto operation(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

inline void check_once() {
  TORCH_CHECK_NOT_IMPLEMENTED(!at::GradMode::is_enabled(),
                              "fused layers have no second derivatives: take the network's own layers for those.");
}

}  // namespace convscope
