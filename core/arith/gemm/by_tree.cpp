#include "core/arith/gemm/by_tree.hpp"

#include <algorithm>
#include <vector>

#include "core/arith/gemm/aligned_vector.hpp"
#include "core/arith/orders/order.hpp"
#include "core/arith/stochastic.hpp"

// Only targets with a fused multiply-add, as in kernels.cpp.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/arith/gemm/by_tree.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
//
#include <hwy/highway.h>

#ifndef LAMP_ARITH_TREE_PROGRAM
#define LAMP_ARITH_TREE_PROGRAM
namespace lamp::gemm_detail {

constexpr std::size_t most_rows = 4;  // of a tile; one where each row has a program of its own
constexpr std::size_t columns = PackedMatrix::panel_cols;

/// One operation on partial sums, which have numbers: `start`: sum = +0 + product of term `from`;
/// `mac`: sum = sum + product; `add_product`: sum = sum + (+0 + product), the product rounded
/// alone; `add`: sum = sum + sum `from`; `add_zero`: sum = sum + +0.
struct TreeStep {
  enum class Kind : std::uint8_t { start, mac, add_product, add, add_zero } kind;
  std::uint32_t sum, from;
};

/// A sum's operations, the last one gives the whole.
struct TreeProgram {
  std::vector<TreeStep> steps;
  std::size_t sums = 0;  // that are there at one time
};

/// One or most_rows rows of `columns` sums each. a: the rows, b: (k, columns), sums: (program.sums,
/// rows, columns).
template <class T>
struct TreeTile {
  const TreeProgram* program = nullptr;
  std::array<const T*, most_rows> a{};
  std::size_t rows = 1;
  const T* b = nullptr;
  T* sums = nullptr;
};

}  // namespace lamp::gemm_detail
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::gemm_detail::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

template <class T, bool fused, std::size_t rows>
void run_rows(const TreeTile<T>& tile) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  constexpr std::size_t size = rows * columns;
  const auto each = [&](T* sum, auto&& operation) {
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t j = 0; j < columns; j += lanes) operation(sum + r * columns + j, r, j);
  };
  for (const TreeStep& step : tile.program->steps) {
    T* sum = tile.sums + step.sum * size;
    switch (step.kind) {
      case TreeStep::Kind::start:
      case TreeStep::Kind::mac: {
        const T* b = tile.b + step.from * columns;
        const bool starts = step.kind == TreeStep::Kind::start;
        each(sum, [&](T* s, std::size_t r, std::size_t j) {
          const auto x = hn::Set(d, tile.a[r][step.from]), y = hn::Load(d, b + j);
          const auto before = starts ? hn::Zero(d) : hn::Load(d, s);
          hn::Store(fused ? hn::MulAdd(x, y, before) : hn::Add(hn::Mul(x, y), before), d, s);
        });
        break;
      }
      case TreeStep::Kind::add_product: {
        const T* b = tile.b + step.from * columns;
        each(sum, [&](T* s, std::size_t r, std::size_t j) {
          const auto x = hn::Set(d, tile.a[r][step.from]), y = hn::Load(d, b + j);
          // A product rounded to the format: no sum is -0, so +0 added to it shows nowhere.
          hn::Store(hn::Add(hn::Load(d, s), fused ? hn::MulAdd(x, y, hn::Zero(d)) : hn::Mul(x, y)),
                    d, s);
        });
        break;
      }
      case TreeStep::Kind::add: {
        const T* other = tile.sums + step.from * size;
        each(sum, [&](T* s, std::size_t r, std::size_t j) {
          hn::Store(hn::Add(hn::Load(d, s), hn::Load(d, other + r * columns + j)), d, s);
        });
        break;
      }
      case TreeStep::Kind::add_zero:
        each(sum, [&](T* s, std::size_t, std::size_t) {
          hn::Store(hn::Add(hn::Load(d, s), hn::Zero(d)), d, s);
        });
        break;
    }
  }
}

template <class T>
void run_tree(const TreeTile<T>& tile, bool fused) {
  if (tile.rows == 1)
    fused ? run_rows<T, true, 1>(tile) : run_rows<T, false, 1>(tile);
  else
    fused ? run_rows<T, true, most_rows>(tile) : run_rows<T, false, most_rows>(tile);
}

void tree32(const TreeTile<float>& tile, bool fused) { run_tree(tile, fused); }
void tree64(const TreeTile<double>& tile, bool fused) { run_tree(tile, fused); }

#else

void tree32(const TreeTile<float>&, bool) { contract_violated("gemm_by_tree: AVX2 or AVX-512"); }
void tree64(const TreeTile<double>&, bool) { contract_violated("gemm_by_tree: AVX2 or AVX-512"); }

#endif

}  // namespace lamp::gemm_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp::gemm_detail {
namespace {

/// Partial sums by their numbers plus one, +0 being none: an order of order.hpp writes its program
/// on it.
class ProgramWriter {
 public:
  explicit ProgramWriter(TreeProgram& program) : program_(program) {}

  static MacSpec spec() { return {}; }
  [[nodiscard]] double mac(double k, double, double c) const {
    const bool starts = c == 0.0;
    const std::uint32_t sum = starts ? fresh() : number(c);
    program_.steps.push_back(
        {starts ? TreeStep::Kind::start : TreeStep::Kind::mac, sum, static_cast<std::uint32_t>(k)});
    return value(sum);
  }
  [[nodiscard]] double add(double x, double y) const {
    if (x == 0.0 && y == 0.0) return 0.0;
    if (x == 0.0 || y == 0.0) {
      program_.steps.push_back({TreeStep::Kind::add_zero, number(x + y), 0});
      return x + y;
    }
    TreeStep& before = program_.steps.back();
    if (before.kind == TreeStep::Kind::start &&
        before.sum == number(y))  // one product, which nothing else needs
      before = {TreeStep::Kind::add_product, number(x), before.from};
    else
      program_.steps.push_back({TreeStep::Kind::add, number(x), number(y)});
    free_.push_back(number(y));
    return x;
  }
  // What no order of additions does.
  static double round(double x) { return x; }
  static double sub(double, double) { contract_violated("gemm_by_tree: an order of additions"); }
  static double mul(double, double) { contract_violated("gemm_by_tree: an order of additions"); }
  static double div(double, double) { contract_violated("gemm_by_tree: an order of additions"); }
  static double function(Function, double x) { return x; }
  static void function(Function, std::span<const double>, std::span<double>) {}

 private:
  static double value(std::uint32_t sum) { return static_cast<double>(sum) + 1.0; }
  static std::uint32_t number(double value) { return static_cast<std::uint32_t>(value - 1.0); }
  [[nodiscard]] std::uint32_t fresh() const {
    if (free_.empty()) return static_cast<std::uint32_t>(program_.sums++);
    const std::uint32_t sum = free_.back();
    free_.pop_back();
    return sum;
  }
  TreeProgram& program_;
  mutable std::vector<std::uint32_t> free_;
};

/// The program of n terms, and the number of its last sum.
std::uint32_t write_program(const Order& order, std::size_t n, TreeProgram& program) {
  program = {};
  const double sum = ordered_dot(
      ProgramWriter(program), order, n, [](std::size_t k) { return static_cast<double>(k); },
      [](std::size_t) { return 1.0; });
  return static_cast<std::uint32_t>(sum - 1.0);
}

bool is_tree(const Arithmetic& arithmetic) {
  switch (arithmetic.order.kind) {
    case OrderKind::tree:
    case OrderKind::fused_tree:
    case OrderKind::lane_tree:
    case OrderKind::panels:
    case OrderKind::numpy_sum:
    case OrderKind::pairwise:
    case OrderKind::lanes:
    case OrderKind::split:
      return true;
    case OrderKind::blocked:
      return !arithmetic.block;
    case OrderKind::sequential:
    case OrderKind::reverse:
    case OrderKind::kahan:
    case OrderKind::neumaier:
    case OrderKind::exact:
    case OrderKind::multiterm:
    case OrderKind::engine:
      return false;
  }
  contract_violated("gemm_by_tree: an order of the catalog");
}

/// The rows of A that are there, in T.
template <class T>
AlignedVector<T> copied_rows(MatrixView<const double> a, Shape shape) {
  AlignedVector<T> rows(a.rows * a.cols);
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t k = 0; k < shape.terms(i, a.cols); ++k)
      rows[i * a.cols + k] = static_cast<T>(a(i, k));
  return rows;
}

template <class T, class Panel, class Run>
void gemm_in(const Order& order, MatrixView<const double> a, const PackedMatrix& b,
             MatrixView<double> out, Shape shape, Panel&& panel, Run&& run) {
  const AlignedVector<T> rows = copied_rows<T>(a, shape);
  const bool triangular = shape.kind == Shape::lower_operand;
  const std::size_t height =
      triangular || a.rows == 1 ? 1 : most_rows;  // rows of other lengths have other programs
  TreeProgram program;
  std::uint32_t last = triangular ? 0 : write_program(order, a.cols, program);
  AlignedVector<T> sums;
  for (std::size_t i0 = 0; i0 < a.rows; i0 += height) {
    const std::size_t count = std::min(height, a.rows - i0);
    if (triangular && (i0 == 0 || shape.terms(i0, a.cols) != shape.terms(i0 - 1, a.cols)))
      last = write_program(order, shape.terms(i0, a.cols), program);
    sums.resize(std::max(sums.size(), program.sums * height * columns));
    TreeTile<T> tile{.program = &program, .rows = height, .sums = sums.data()};
    for (std::size_t r = 0; r < height; ++r)
      tile.a[r] = rows.data() + (i0 + std::min(r, count - 1)) * a.cols;
    for (std::size_t q = 0; q < b.panels(); ++q) {
      const std::size_t j0 = q * columns;
      if (shape.columns(i0 + count - 1, out.cols) <= j0) break;
      tile.b = panel(q);
      run(tile);
      for (std::size_t r = 0; r < count; ++r) {
        const std::size_t end = std::min(j0 + columns, shape.columns(i0 + r, out.cols));
        for (std::size_t j = j0; j < end; ++j)
          out(i0 + r, j) = static_cast<double>(sums[(last * height + r) * columns + j - j0]);
      }
    }
  }
}

}  // namespace

bool gemm_by_tree(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b,
                  MatrixView<double> out, Shape shape, Backend backend) {
  const MacSpec& mac = arithmetic.mac;
  const FloatFormat& format = mac.format;
  const bool plain = !mac.operands && mac.rounding == Rounding::rne &&
                     (!mac.via || *mac.via == format) && (!mac.product || *mac.product == format);
  if (!plain || !is_tree(arithmetic) || a.cols == 0 || a.rows == 0) return false;
  const bool fused = !mac.product;
#if HWY_TARGETS & HWY_AVX3
  const bool wide = backend == Backend::avx512;
#else
  const bool wide = false;
#endif
  if (format == binary32 && b.is_binary32()) {
    for (std::size_t i = 0; i < a.rows; ++i)
      for (std::size_t k = 0; k < shape.terms(i, a.cols); ++k) {
        const double x = a(i, k);
        if (!all_binary32({&x, 1})) return false;
      }
    gemm_in<float>(
        arithmetic.order, a, b, out, shape, [&](std::size_t q) { return b.panel32(q); },
        [&](const TreeTile<float>& tile) {
#if HWY_TARGETS & HWY_AVX3
          if (wide) return N_AVX3::tree32(tile, fused);
#endif
          N_AVX2::tree32(tile, fused);
        });
    return true;
  }
  if (format != binary64) return false;
  AlignedVector<double> widened;
  const auto panel = [&](std::size_t q) {
    if (!b.is_binary32()) return b.panel64(q);
    widened.assign(b.panel32(q), b.panel32(q) + b.rows() * columns);
    return static_cast<const double*>(widened.data());
  };
  gemm_in<double>(arithmetic.order, a, b, out, shape, panel, [&](const TreeTile<double>& tile) {
#if HWY_TARGETS & HWY_AVX3
    if (wide) return N_AVX3::tree64(tile, fused);
#endif
    N_AVX2::tree64(tile, fused);
  });
  return true;
}

}  // namespace lamp::gemm_detail
#endif
