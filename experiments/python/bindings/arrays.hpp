// Arrays of numpy as the kernels see them: binary64 or binary32, any strides, read and written in
// blocks that stay in the cache, so that nothing is copied as a whole.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/contract.hpp"
#include "core/base/matrix.hpp"
#include "experiments/python/bindings/parallel.hpp"

namespace lamp::python {

using In = nanobind::ndarray<nanobind::ro, nanobind::device::cpu>;
using Out = nanobind::ndarray<nanobind::device::cpu>;

/// Elements in row-major order of their indices, whatever the strides: a broadcast array has
/// strides of 0.
class Elements {
 public:
  explicit Elements(const In& array) : Elements(view_of(array)) {}
  explicit Elements(const Out& array) : Elements(view_of(array)) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool is_binary32() const { return binary32_; }
  /// Binary64 numbers one after the other.
  [[nodiscard]] bool is_plain() const { return plain_; }

  /// Elements first .. first + count - 1: where they are, or in `buffer`, which has room for them.
  std::span<const double> read(std::size_t first, std::size_t count,
                               std::span<double> buffer) const;
  /// Where they can be computed: in their place, or in `buffer`; write() takes them from there.
  std::span<double> place(std::size_t first, std::size_t count, std::span<double> buffer) const;
  void write(std::size_t first, std::span<const double> values) const;

  /// (rows, cols) of an array of two dimensions, as binary64 where it is. Pre: is_matrix64().
  [[nodiscard]] bool is_matrix64() const;
  [[nodiscard]] MatrixView<const double> matrix64() const;
  /// The same for results. Pre: is_matrix64().
  [[nodiscard]] MatrixView<double> output64() const;

 private:
  struct View {
    void* data = nullptr;
    std::vector<std::size_t> shape{};
    std::vector<std::int64_t> strides{};
    bool binary32 = false;
  };
  template <class Array>
  static View view_of(const Array& array);
  explicit Elements(View view);
  template <class Visit>
  void runs(std::size_t first, std::size_t count, const Visit& visit) const;

  void* data_;
  std::vector<std::size_t> shape_;     // axes that follow each other in memory are one
  std::vector<std::int64_t> strides_;  // in elements
  std::size_t size_ = 1;
  std::size_t rows_ = 1, cols_ = 1;  // of an array of two dimensions
  std::int64_t row_stride_ = 0, col_stride_ = 0;
  bool binary32_, plain_ = false, two_dimensions_ = false;
};

/// Elements that a thread converts at once: in the first cache.
inline constexpr std::size_t cached_elements = 1024;
/// Elements between two looks for a signal.
inline constexpr std::size_t block_elements = std::size_t{1} << 15;

/// Calls kernel(operands, out, first) for stretches of elements; `work`: of an element, in
/// multiply-accumulates of the fastest kernel. Pre: all have one size.
template <std::size_t n, class Kernel>
void for_each_stretch(const std::array<Elements, n>& x, const Elements& out, std::size_t threads,
                      double work, const Kernel& kernel) {
  bool plain = out.is_plain();
  for (const Elements& operand : x) {
    expects(operand.size() == out.size(), "for_each_stretch: one size");
    plain = plain && operand.is_plain();
  }
  const std::size_t step = plain ? block_elements : cached_elements;
  in_blocks(out.size(), block_elements, threads, work * static_cast<double>(out.size()),
            [&](std::size_t begin, std::size_t end) {
              std::array<std::array<double, cached_elements>, n + 1> buffers;
              for (std::size_t first = begin; first < end; first += step) {
                const std::size_t count = std::min(step, end - first);
                std::array<std::span<const double>, n> operands;
                for (std::size_t i = 0; i < n; ++i)
                  operands[i] = x[i].read(first, count, buffers[i]);
                const std::span<double> y = out.place(first, count, buffers[n]);
                kernel(operands, y, first);
                out.write(first, y);
              }
            });
}

/// Row after row of the last axis: kernel(rows of operands, row of out, index) with whole rows of
/// `length`, `out_length`.
template <std::size_t n, class Kernel>
void for_each_row(const std::array<Elements, n>& x, std::size_t length, const Elements& out,
                  std::size_t out_length, std::size_t rows, std::size_t threads, double work,
                  const Kernel& kernel) {
  const std::size_t together =
      std::max<std::size_t>(1, block_elements / std::max<std::size_t>(1, length));
  in_blocks(rows, together, threads, work * static_cast<double>(rows * length),
            [&](std::size_t begin, std::size_t end) {
              std::array<std::vector<double>, n + 1> buffers;
              for (std::size_t i = 0; i < n; ++i) buffers[i].resize(length);
              buffers[n].resize(out_length);
              for (std::size_t row = begin; row < end; ++row) {
                std::array<std::span<const double>, n> operands;
                for (std::size_t i = 0; i < n; ++i)
                  operands[i] = x[i].read(row * length, length, buffers[i]);
                const std::span<double> y = out.place(row * out_length, out_length, buffers[n]);
                kernel(operands, y, row);
                out.write(row * out_length, y);
              }
            });
}

}  // namespace lamp::python
