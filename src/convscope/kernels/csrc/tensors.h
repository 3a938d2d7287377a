// What the operators share: PyTorch's tensors checked, and taken as plain memory.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <optional>
#include <string_view>
#include <vector>

#include "tail.h"

namespace convscope {

using at::Tensor;
using MaybeTensor = std::optional<Tensor>;

// Dense and channels-last; a tensor that already is comes back as it is.
inline Tensor channels_last(const Tensor& tensor) { return tensor.contiguous(at::MemoryFormat::ChannelsLast); }

// float32 of a length, or undefined where there is none.
inline Tensor vector_of(const MaybeTensor& tensor, int64_t channels, const char* name) {
  if (!tensor.has_value()) return {};
  TORCH_CHECK(tensor->device().is_cpu() && tensor->scalar_type() == at::kFloat && tensor->dim() == 1 &&
                  tensor->size(0) == channels,
              name, " must be a float32 vector of ", channels, " values on the CPU, not ", tensor->scalar_type(),
              " of shape ", tensor->sizes(), ".");
  return tensor->contiguous();
}

inline const float* data(const Tensor& vector) { return vector.defined() ? vector.const_data_ptr<float>() : nullptr; }

inline Tensor new_vector(int64_t channels) { return at::empty({channels}, at::kFloat); }

inline Tensor new_images(at::IntArrayRef sizes, at::ScalarType type) {
  return at::empty(sizes, at::TensorOptions(type).memory_format(at::MemoryFormat::ChannelsLast));
}

inline Activation activation_of(std::string_view name) {
  if (name == "none") return Activation::none;
  if (name == "relu") return Activation::relu;
  if (name == "leaky_relu") return Activation::leaky_relu;
  if (name == "silu") return Activation::silu;
  if (name == "gelu") return Activation::gelu;
  TORCH_CHECK_VALUE(false, "there is no activation '", name, "': choose none, relu, leaky_relu, silu or gelu.");
}

inline Map map_of(const Tensor& z) { return {z.size(2), z.size(3), z.size(1)}; }

inline void check_images(const Tensor& tensor, const char* name) {
  TORCH_CHECK(tensor.device().is_cpu() && tensor.dim() == 4, name, " must be of shape (N, C, H, W) on the CPU, not ",
              tensor.sizes(), " on ", tensor.device(), ".");
  TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16, name,
              " must be float32 or bfloat16, not ", tensor.scalar_type(), ".");
}

inline void check_like(const Tensor& tensor, at::IntArrayRef sizes, at::ScalarType type, const char* name) {
  TORCH_CHECK(tensor.device().is_cpu() && tensor.sizes() == sizes && tensor.scalar_type() == type, name, " must be ",
              type, " of shape ", sizes, " on the CPU, not ", tensor.scalar_type(), " of shape ", tensor.sizes(), ".");
}

inline Tail tail_of(Map map, std::string_view activation, double slope, int64_t pool, bool pool_first, bool residual) {
  const Tail tail{activation_of(activation), static_cast<float>(slope), static_cast<int>(pool), pool_first};
  TORCH_CHECK_VALUE(1 <= pool && pool <= map.height && pool <= map.width, "a pool of ", pool, " x ", pool,
                    " does not fit into maps of ", map.height, " x ", map.width, ".");
  TORCH_CHECK_VALUE(!residual || pool == 1, "after a residual there is no pool, so pool must be 1, not ", pool, ".");
  TORCH_CHECK_VALUE(!residual || (tail.activation != Activation::silu && tail.activation != Activation::gelu),
                    "after a residual the activation must be none, relu or leaky_relu, not ", activation, ".");
  return tail;
}

inline std::vector<int64_t> pooled(const Tensor& z, int64_t pool) {
  return {z.size(0), z.size(1), z.size(2) / pool, z.size(3) / pool};
}

// Calls `work` with a null pointer to the type of the elements.
template <typename Work>
void with_type(at::ScalarType type, const Work& work) {
  if (type == at::kFloat) {
    work(static_cast<float*>(nullptr));
  } else {
    work(static_cast<BFloat16*>(nullptr));
  }
}

template <typename T>
const T* read(const Tensor& tensor) {
  return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}

template <typename T>
T* write(const Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}

}  // namespace convscope
