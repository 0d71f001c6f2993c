// Elementwise sites on rows of GPT-2's width, and roundings of an array. Bounds count operations in
// lanes of binary32: values at the boundary of a site are binary64, so each array of it costs two
// conversions.
#include <memory>

#include "core/arith/engine.hpp"
#include "core/fp/number_system.hpp"
#include "core/model/ops/sites.hpp"
#include "experiments/bench/functions.hpp"
#include "experiments/bench/operations.hpp"
#include "experiments/bench/row.hpp"
#include "experiments/commands/sample.hpp"
#include "experiments/commands/timing.hpp"

namespace lamp::experiments::bench {
namespace {

constexpr std::size_t positions = 64, width = 768;  // 384 KiB an array

/// What sites read: rows of random binary32 numbers, and weights.
struct Arrays {
  explicit Arrays(const Arithmetic& arithmetic_) : arithmetic(arithmetic_), out(positions, width) {
    RandomNumbers random(1);
    const auto number = [&] { return static_cast<double>(static_cast<float>(random())); };
    for (Matrix<double>* matrix : {&x, &y}) {
      *matrix = Matrix<double>(positions, width);
      for (double& value : matrix->flat()) value = number();
    }
    for (std::size_t i = 0; i < width; ++i) gamma.push_back(number()), beta.push_back(number());
  }
  [[nodiscard]] MatrixView<const double> left() const { return x.view(); }
  [[nodiscard]] MatrixView<const double> right() const { return y.view(); }

  Arithmetic arithmetic;
  Matrix<double> x, y, out;
  std::vector<double> gamma, beta;
};

struct Site {
  const char* name;
  Operations operations;  // of an entry, without roundings
  double roundings;       // to the format, of an entry
  double arrays;          // read and written, of as many entries
  std::function<void(Arrays&)> run;
};

/// A function of binary64 in two vectors for every one of binary32.
Operations in_binary64(Function f) { return 2.0 * function_operations(f); }

std::vector<Site> sites() {
  const auto activation = [](const char* name, Activation f, Function function) {
    return Site{name, in_binary64(function), 0, 2,
                [f](Arrays& a) { activate(a.arithmetic, f, a.left(), a.out.view()); }};
  };
  return {
      {"residual", one_operation, 1, 3,
       [](Arrays& a) { residual(a.arithmetic, a.left(), a.right(), a.out.view()); }},
      {"product", one_multiplication, 1, 3,
       [](Arrays& a) { product(a.arithmetic, a.left(), a.right(), a.out.view()); }},
      // The two sums take lanes that are rows.
      {"layer norm", 2 * one_operation + 3 * one_multiplication, 5, 2,
       [](Arrays& a) {
         layer_norm(a.arithmetic, {.gamma = a.gamma, .beta = a.beta}, 1e-5, a.left(), a.out.view());
       }},
      {"rms norm", 3 * one_multiplication, 3, 2,
       [](Arrays& a) { rms_norm(a.arithmetic, {.gamma = a.gamma}, 1e-5, a.left(), a.out.view()); }},
      // The largest, the difference, the sum, the quotient.
      {"softmax", 3 * one_operation + in_binary64(Function::exp) + one_division, 3, 2,
       [](Arrays& a) { softmax(a.arithmetic, a.left(), a.out.view(), Entries::all); }},
      activation("gelu, tanh form", Activation::gelu_new, Function::gelu_tanh),
      activation("gelu, erf form", Activation::gelu, Function::gelu_erf),
      activation("silu", Activation::silu, Function::silu),
      {"rotary positions", 2 * one_multiplication + one_operation, 3, 2,
       [](Arrays& a) { rope(a.arithmetic, {}, 64, 0, a.left(), a.out.view()); }},
  };
}

/// Of 32 bits of every lane: from the arrays and back, the site's own, its roundings.
Bound bound_of(const Site& site, const Arithmetic& arithmetic) {
  const bool rounds = !(arithmetic.mac.format == binary32);
  return {.operations = 2.0 * site.arrays * one_operation + site.operations +
                        (rounds ? site.roundings : 0.0) * round_normal,
          .lane_bits = 32,
          .bytes = site.arrays / 2.0 * sizeof(double)};
}

struct Named {
  const char* name;
  Arithmetic arithmetic;
};

std::vector<Named> arithmetics() {
  return {{"binary32", fused(binary32)},
          {"ps7", lamp_paper(7)},
          {"h100", engine_arithmetic("h100", binary16, binary32).value()}};
}

/// A site less the product in it: both are timed in turn. Few terms, so that the product is short.
constexpr std::size_t terms = 4;

Work division_by_root(const Arithmetic& arithmetic) {
  const auto arrays = std::make_shared<Arrays>(arithmetic);
  const auto keys = std::make_shared<PackedMatrix>(
      arrays->left().row_block(0, terms));  // (terms, width), transposed keys
  const auto queries = std::make_shared<Matrix<double>>(positions, terms);
  std::copy_n(arrays->y.flat().begin(), queries->flat().size(), queries->flat().begin());
  const Shape causal{Shape::lower_output, width - positions};  // the last rows of a sequence
  double entries = 0.0;
  for (std::size_t i = 0; i < positions; ++i)
    entries += static_cast<double>(causal.columns(i, width));
  return {
      .units = entries, .seconds = [=] {
        const MatrixView<const double> q = std::as_const(*queries).view();
        const double site = seconds_of([&] { scores(arithmetic, q, *keys, arrays->out.view()); });
        return site - seconds_of([&] { gemm(arithmetic, q, *keys, arrays->out.view(), causal); });
      }};
}

Work bias(const Arithmetic& arithmetic) {
  const auto arrays = std::make_shared<Arrays>(arithmetic);
  const auto with = std::make_shared<Linear>();
  with->weight = PackedMatrix(arrays->left().row_block(0, terms));
  with->bias = arrays->beta;
  const auto without = std::make_shared<Linear>(Linear{with->weight, {}});
  return {.units = static_cast<double>(positions * width), .seconds = [=] {
            const MatrixView<const double> x = arrays->right().columns(0, terms);
            const double site =
                seconds_of([&] { linear(arithmetic, *with, x, arrays->out.view()); });
            return site - seconds_of([&] { linear(arithmetic, *without, x, arrays->out.view()); });
          }};
}

Row difference(const char* name, const Named& named, const std::string& target, double arrays,
               Work (*work)(const Arithmetic&)) {
  const Site site{name, one_multiplication, 1, arrays, {}};
  return {.group = Group::elementwise,
          .name = std::string(name) + ", " + named.name,
          .target = target,
          .bound = bound_of(site, named.arithmetic),
          .prepare = [work, arithmetic = named.arithmetic] { return work(arithmetic); },
          .clock = Clock::own,
          .calls = 10};
}

/// An array from binary64 to the format: rounded twice it would have other bits, so lanes of
/// binary64.
Row rounding(const char* name, const FloatFormat& format, const std::string& target) {
  return {.group = Group::elementwise,
          .name = std::string("rounding to ") + name,
          .target = target,
          .bound = {.operations = round_gradual, .lane_bits = 64, .bytes = sizeof(double)},
          .prepare = [format] {
            const auto arrays = std::make_shared<Arrays>(fused(format));
            return Work{.units = static_cast<double>(positions * width),
                        .run = [=] { round_row(format, arrays->x.flat(), arrays->out.flat()); }};
          }};
}

}  // namespace

std::vector<Row> elementwise_rows(const std::string& target) {
  std::vector<Row> rows;
  for (const Named& named : arithmetics()) {
    rows.push_back(difference("division by sqrt d", named, target, 2, division_by_root));
    rows.push_back(difference("bias", named, target, 2, bias));
    for (const Site& site : sites())
      rows.push_back({.group = Group::elementwise,
                      .name = std::string(site.name) + ", " + named.name,
                      .target = target,
                      .bound = bound_of(site, named.arithmetic),
                      .prepare = [run = site.run, arithmetic = named.arithmetic] {
                        const auto arrays = std::make_shared<Arrays>(arithmetic);
                        return Work{.units = static_cast<double>(positions * width),
                                    .run = [=] { run(*arrays); }};
                      }});
  }
  rows.push_back(rounding("binary32", binary32, target));
  rows.push_back(rounding("ps7", ps(7), target));
  rows.push_back(rounding("bfloat16", bfloat16, target));
  rows.push_back(rounding("binary16", binary16, target));
  rows.push_back(rounding("e5m2", e5m2, target));
  rows.push_back(rounding("e4m3fn", e4m3fn, target));
  return rows;
}

}  // namespace lamp::experiments::bench
