#include "core/arith/gemm/engine.hpp"

#include <array>
#include <cmath>
#include <vector>

#include "core/arith/gemm/engine_kernels.hpp"
#include "core/arith/gemm/operands.hpp"
#include "core/arith/scalar.hpp"

namespace lamp::gemm_detail {
namespace {

/// A kernel and how a step's terms lie in memory.
struct EnginePlan {
  EngineKernel kernel = nullptr;
  EngineConstants constants;
  std::size_t step = 0;  // terms of one step
  bool interleaved = false;
  int emin = 0;  // of the operands

  /// Where term k lies: its place, or in an interleaved step the pairs of even number before the
  /// others.
  [[nodiscard]] std::size_t place(std::size_t k) const {
    if (!interleaved) return k;
    const std::size_t within = k % step;
    return k - within + (within / 2 % 2) * (step / 2) + within / 4 * 2 + within % 2;
  }
  [[nodiscard]] std::size_t steps(std::size_t terms) const { return (terms + step - 1) / step; }
};

std::optional<EngineOutput> output_of(const EngineStep& step) {
  constexpr FloatFormat cut{.p = 14, .emin = -126, .emax = 127};
  if (step.output == binary32 && step.rounding == Rounding::rtz) return EngineOutput::binary32_rtz;
  if (step.output == cut && step.rounding == Rounding::rtz) return EngineOutput::fraction13_rtz;
  if (step.output == binary16 && step.rounding == Rounding::rne) return EngineOutput::binary16_rne;
  return std::nullopt;
}

/// Nothing where no kernel has the engine's bits: operands of at most 11 bits (so that products
/// have 22), at most 32 terms of at most 2^(F + 2) with F <= 25 (two accumulators of 32 bits hold
/// them), and c with no more bits than F + 1, so that a pass of zeros alone leaves it.
std::optional<EnginePlan> plan(const MacSpec& mac, const EngineStep& step,
                               const EngineKernelSet& set) {
  const std::optional<EngineOutput> output = output_of(step);
  const bool interleaved = step.protocol == EngineProtocol::interleaved;
  const std::size_t products = interleaved ? step.products / 2 : step.products;
  const bool whole = interleaved ? step.products % 4 == 0 : step.products % 2 == 0;
  const bool binary16_sums = step.output == binary16;
  const FloatFormat* operands = mac.float_operands();
  if (!output || set.kernel == nullptr || operands == nullptr || operands->p > 11 || !whole ||
      products == 0)
    return std::nullopt;
  if (mac.rounding != Rounding::rne || mac.via ||
      mac.format != (binary16_sums ? binary16 : binary32))
    return std::nullopt;
  // Products of p bits are at most (2 - 2^(1-p))^2 2^E, c is below 2^(E + 1); half of the products
  // and c are in one accumulator.
  const double largest = 2.0 - std::ldexp(1.0, 1 - operands->p),
               half = static_cast<double>(products) / 2.0 * largest * largest;
  if (step.fraction_bits + 1 < step.output.p || std::ldexp(half + 2.0, step.fraction_bits) > 0x1p31)
    return std::nullopt;
  const bool small = std::ldexp(2.0 * half + 2.0, step.fraction_bits) <= 0x1p31;
  EnginePlan plan{.kernel = set.kernel(step.protocol, *output, small),
                  .constants = {.products = products,
                                .fraction_bits = step.fraction_bits,
                                .least_exponent = step.output.emin,
                                .least_largest = step.least_exponent.value_or(no_exponent)},
                  .step = step.products,
                  .interleaved = interleaved,
                  .emin = operands->emin};
  if (plan.kernel == nullptr) return std::nullopt;
  return plan;
}

/// Operands are finite, and products below 2^127. What else the kernel needs it sees itself.
bool fits_engine_lanes(MagnitudeRange a, MagnitudeRange b) {
  constexpr std::uint32_t infinity = 0x7F800000U;
  const auto exponent = [](std::uint32_t magnitude) {
    return static_cast<int>(magnitude >> 23) - 127;
  };
  return a.largest < infinity && b.largest < infinity &&
         exponent(a.largest) + exponent(b.largest) <= 125;
}

/// Memory that calls of one thread use again.
struct EngineWorkspace {
  AlignedVector<float> a, b, row, rounded;
  AlignedVector<std::int32_t> a_exponents;
  AlignedVector<std::int16_t> b_exponents, row_exponents;
  AlignedVector<double> values;
  std::vector<MagnitudeRange> ranges;  // of each tile of rows
};

template <class T>
T* at_least(AlignedVector<T>& memory, std::size_t n) {
  memory.resize(std::max(memory.size(), n));
  return memory.data();
}

class EngineGemm {
 public:
  EngineGemm(const EnginePlan& plan, const Arithmetic& arithmetic, MatrixView<const double> a,
             const PackedMatrix& b, MatrixView<double> out, Shape shape, std::size_t first_term,
             const KernelSet& narrowing, const EngineKernelSet& set, EngineWorkspace& work)
      : plan_(plan),
        arithmetic_(arithmetic),
        a_(a),
        b_(b),
        out_(out),
        shape_(shape),
        first_term_(first_term),
        set_(set),
        work_(work),
        reader_(narrowing, arithmetic.mac, work.values),
        depth_(plan.steps(a.cols) * plan.step),
        stride_(depth_ + 16) {}

  void evaluate() {
    read_rows();
    for (std::size_t q = 0; q < b_.panels(); ++q) {
      if (shape_.columns(a_.rows - 1, out_.cols) <= q * panel_cols) break;
      const MagnitudeRange range = read_panel(q);
      for (std::size_t i0 = 0; i0 < a_.rows; i0 += tile_rows) tile(i0, q, range);
    }
  }

 private:
  void read_rows() {
    float* row = at_least(work_.row, a_.cols);
    std::int16_t* exponents = at_least(work_.row_exponents, a_.cols);
    at_least(work_.a, a_.rows * stride_);
    at_least(work_.a_exponents, a_.rows * stride_);
    work_.ranges.assign((a_.rows + tile_rows - 1) / tile_rows, {});
    for (std::size_t i = 0; i < a_.rows; ++i) {
      const std::size_t length = shape_.terms(i, a_.cols), end = plan_.steps(length) * plan_.step;
      reader_.read(a_.data + i * a_.row_stride, a_.col_stride, length, row,
                   work_.ranges[i / tile_rows]);
      set_.exponents(row, length, plan_.emin, exponents);
      float* values = work_.a.data() + i * stride_;
      std::int32_t* to = work_.a_exponents.data() + i * stride_;
      for (std::size_t k = length; k < end; ++k)
        values[plan_.place(k)] = 0.0F, to[plan_.place(k)] = both(no_exponent);
      for (std::size_t k = 0; k < length; ++k)
        values[plan_.place(k)] = row[k], to[plan_.place(k)] = both(exponents[k]);
    }
  }

  static std::int32_t both(std::int16_t exponent) {
    const auto half = static_cast<std::uint16_t>(exponent);
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(half) << 16 | half);
  }

  /// A few steps at a time, which stay in the first cache level from the weights to their
  /// exponents.
  MagnitudeRange read_panel(std::size_t q) {
    const std::size_t few = std::max<std::size_t>(32 / plan_.step, 1) * plan_.step;
    float* panel = at_least(work_.b, depth_ * panel_cols);
    std::int16_t* exponents = at_least(work_.b_exponents, depth_ * panel_cols);
    MagnitudeRange range;
    for (std::size_t k = 0; k < depth_; k += few) {
      const std::size_t terms = std::min(few, depth_ - k), given = std::min(terms, a_.cols - k),
                        at = k * panel_cols;
      float* rounded = plan_.interleaved ? at_least(work_.rounded, few * panel_cols) : panel + at;
      read_terms(q, k, given, rounded, range);
      std::fill(rounded + given * panel_cols, rounded + terms * panel_cols, 0.0F);
      if (plan_.interleaved)
        for (std::size_t l = 0; l < terms; ++l)
          std::copy_n(rounded + l * panel_cols, panel_cols,
                      panel + plan_.place(k + l) * panel_cols);
      set_.exponents(panel + at, terms * panel_cols, plan_.emin, exponents + at);
    }
    return range;
  }

  void read_terms(std::size_t q, std::size_t k, std::size_t terms, float* to,
                  MagnitudeRange& range) {
    const std::size_t first = (first_term_ + k) * panel_cols, size = terms * panel_cols;
    if (!b_.is_binary32()) {
      reader_.read(b_.panel64(q) + first, 1, size, to, range);
    } else {
      reader_.read_rounded(b_.panel32(q) + first, size, to, range);
    }
  }

  void tile(std::size_t i0, std::size_t q, MagnitudeRange panel_range) {
    alignas(64) std::array<float, tile_rows * panel_cols> c;
    EngineTile tile{.rows = std::min(tile_rows, a_.rows - i0),
                    .b = work_.b.data(),
                    .b_exponents = work_.b_exponents.data(),
                    .c = c.data(),
                    .constants = plan_.constants};
    const std::size_t j0 = q * panel_cols;
    if (shape_.columns(i0 + tile.rows - 1, out_.cols) <= j0) return;
    for (std::size_t r = 0; r < tile.rows; ++r) {
      tile.a[r] = work_.a.data() + (i0 + r) * stride_;
      tile.a_exponents[r] = work_.a_exponents.data() + (i0 + r) * stride_;
      tile.steps[r] = plan_.steps(shape_.terms(i0 + r, a_.cols));
    }
    constexpr std::uint32_t all = ~std::uint32_t{0};
    const std::uint32_t failed =
        fits_engine_lanes(work_.ranges[i0 / tile_rows], panel_range) ? plan_.kernel(tile) : all;
    for (std::size_t r = 0; r < tile.rows; ++r) {
      const std::size_t width = shape_.columns(i0 + r, out_.cols);
      const bool fast = (failed >> r & 1U) == 0;
      for (std::size_t j = j0; j < std::min(width, j0 + panel_cols); ++j)
        out_(i0 + r, j) =
            fast ? static_cast<double>(c[r * panel_cols + j - j0]) : by_definition(i0 + r, j);
    }
  }

  double by_definition(std::size_t i, std::size_t j) {
    const std::size_t length = shape_.terms(i, a_.cols);
    left_.resize(length), right_.resize(length);
    for (std::size_t k = 0; k < length; ++k)
      left_[k] = a_(i, k), right_[k] = b_.at(first_term_ + k, j);
    return dot(arithmetic_, left_, right_);
  }

  const EnginePlan& plan_;
  const Arithmetic& arithmetic_;
  MatrixView<const double> a_;
  const PackedMatrix& b_;
  MatrixView<double> out_;
  Shape shape_;
  std::size_t first_term_;
  const EngineKernelSet& set_;
  EngineWorkspace& work_;
  OperandReader reader_;
  std::size_t depth_, stride_;  // terms of a row with its last step whole; and from row to row
  std::vector<double> left_, right_;
};

}  // namespace

bool engine_gemm(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b,
                 MatrixView<double> out, Shape shape, Backend backend, std::size_t first_term) {
  const auto* order = std::get_if<MatrixEngine>(&arithmetic.order);
  if (order == nullptr || a.rows == 0 || a.cols == 0) return false;
  const EngineKernelSet set = engine_kernel_set(backend);
  const std::optional<EnginePlan> found = plan(arithmetic.mac, order->step, set);
  if (!found) return false;
  thread_local EngineWorkspace work;
  EngineGemm(*found, arithmetic, a, b, out, shape, first_term, kernel_set(backend), set, work)
      .evaluate();
  return true;
}

bool has_engine_kernel(const Arithmetic& arithmetic, Backend backend) {
  const EngineStep* step = engine_step(arithmetic.order);
  return step != nullptr && plan(arithmetic.mac, *step, engine_kernel_set(backend));
}

}  // namespace lamp::gemm_detail
