// Lone operations of one arithmetic on arrays: the elementwise sites of a network. The bits are
// those of GeneralArithmetic; vectors compute them where they can.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/arith/gemm/backend.hpp"
#include "core/arith/spec.hpp"
#include "core/arith/vector/spec.hpp"
#include "core/fp/elementary.hpp"

namespace lamp {
namespace elementwise_detail {
enum class Operation : std::uint8_t { round, add, sub, mul, div, mac };
}

/// One number for each element, or one for all of them.
class Operand {
 public:
  Operand(std::span<const double> x) : data_(x.data()), size_(x.size()) {}
  Operand(std::span<double> x) : data_(x.data()), size_(x.size()) {}
  Operand(const std::vector<double>& x) : data_(x.data()), size_(x.size()) {}
  Operand(double x) : same_(x) {}
  [[nodiscard]] double operator[](std::size_t i) const { return data_ ? data_[i] : same_; }
  [[nodiscard]] const double* data() const { return data_; }  // null: one for all
  [[nodiscard]] bool fits(std::size_t n) const { return data_ == nullptr || size_ == n; }

 private:
  const double* data_ = nullptr;
  std::size_t size_ = 0;
  double same_ = 0.0;
};

/// What stochastic modes draw for: element i is output (row, column + i), and this its rounding
/// number `step`.
struct Place {
  std::size_t row = 0, column = 0;
  std::uint32_t step = 0;
};

/// Every function: out[i] = fl(..) of elements i, one rounding each (through `via`, where the
/// arithmetic has it); out may be an operand. Pre: equal lengths.
class Elementwise {
 public:
  /// `operands_are_binary32` promises that of every operand. first_step: the first of the roundings
  /// that Place counts. The arithmetic outlives this. Pre: available(backend).
  explicit Elementwise(const Arithmetic& arithmetic, bool operands_are_binary32 = false,
                       std::uint32_t first_step = 0, Backend backend = Backend::automatic);

  void round(Operand x, std::span<double> out, Place at = {}) const;
  void add(Operand x, Operand y, std::span<double> out, Place at = {}) const;
  void sub(Operand x, Operand y, std::span<double> out, Place at = {}) const;
  void mul(Operand x, Operand y, std::span<double> out, Place at = {}) const;
  void div(Operand x, Operand y, std::span<double> out, Place at = {}) const;
  /// c + a b: a lone multiply-accumulate, the operands rounded each as a row of one.
  void mac(Operand a, Operand b, Operand c, std::span<double> out, Place at = {}) const;
  /// fl(f(x)).
  void function(Function f, std::span<const double> x, std::span<double> out, Place at = {}) const;

 private:
  template <elementwise_detail::Operation operation>
  void evaluate(const std::array<Operand, 3>& x, std::span<double> out, Place at) const;

  const Arithmetic& arithmetic_;
  bool binary32_;  // every operand
  std::uint32_t first_step_;
  Backend backend_;
  std::optional<VectorSpec> vectors_;  // nothing: by scalar arithmetic
};

}  // namespace lamp
