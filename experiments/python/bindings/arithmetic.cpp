// lamp.Arithmetic: lone operations, sums, products and sites of one arithmetic on arrays.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/arith/elementwise.hpp"
#include "core/arith/gemm/gemm.hpp"
#include "core/arith/orders/order_text.hpp"
#include "core/arith/orders/ordered_dot.hpp"
#include "core/arith/row_dots.hpp"
#include "core/arith/stochastic.hpp"
#include "core/base/team.hpp"
#include "core/model/ops/sites.hpp"
#include "experiments/calc/request.hpp"
#include "experiments/python/bindings/arithmetic.hpp"
#include "experiments/python/bindings/arrays.hpp"
#include "experiments/python/bindings/errors.hpp"
#include "experiments/python/bindings/json.hpp"
#include "experiments/python/bindings/module.hpp"

namespace lamp::python {

namespace nb = nanobind;
using experiments::CalcRequest;
using nlohmann::json;

Emulation::Emulation(nb::dict given) : keys(json_of(given)) {
  const json object{{"arith", keys}};
  CalcRequest request(object);
  arithmetic = request.arithmetic();
  if (request.failed()) fail(request.problem());
}

void Emulation::check_terms(std::size_t n) const {
  if (const Result<void> fits = check_length(arithmetic.order, n); !fits)
    fail("arith.order: " + fits.error().message);
}

namespace {

/// Every result is a binary32 number.
bool fits_binary32(const Arithmetic& arithmetic) {
  return contains(binary32, arithmetic.mac.format);
}

/// The same arithmetic, drawing for the rows from `row` on.
Arithmetic from_row(const Arithmetic& arithmetic, std::size_t row) {
  Arithmetic copy = arithmetic;
  copy.draws.first_row = static_cast<std::uint32_t>(row);
  return copy;
}

void check_rows(const Arithmetic& arithmetic, std::size_t rows) {
  if (is_stochastic(arithmetic) && rows > std::size_t{1} << 32)
    fail("rounding: " + std::to_string(rows) +
         " outputs; legal with SR and SRE: at most 2^32, which have draws of their own");
}

/// About how many multiply-accumulates of the fastest kernel one of this arithmetic takes.
double slowness(const Arithmetic& arithmetic) { return is_stochastic(arithmetic) ? 64.0 : 8.0; }

// ------------------------------------------------------------------------------ lone operations

enum class Lone { round, add, sub, mul, div, fma, sqrt };

constexpr std::array<NamedValue<Lone>, 7> lone_names{{{"round", Lone::round},
                                                      {"add", Lone::add},
                                                      {"sub", Lone::sub},
                                                      {"mul", Lone::mul},
                                                      {"div", Lone::div},
                                                      {"fma", Lone::fma},
                                                      {"sqrt", Lone::sqrt}}};
static_assert(names_all(lone_names));

/// fl(sqrt x), which no site of a network has: as the other operations, through `via`.
double square_root(const MacSpec& mac, double x, Draw draw) {
  return mac.via ? lamp::round(lamp::sqrt(x, *mac.via), mac.format, mac.rounding, draw)
                 : lamp::sqrt(x, mac.format, mac.rounding, draw);
}

/// Element i of the arrays draws as output (i, 0), as in `lamp calc`.
template <std::size_t n>
void one_by_one(Lone operation, const Arithmetic& arithmetic,
                const std::array<std::span<const double>, n>& x, std::span<double> out,
                std::size_t first) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const StochasticArithmetic fl(arithmetic.mac, arithmetic.draws, first + i, 0);
    const double a = x[0][i], b = x[n > 1 ? 1 : 0][i], c = x[n - 1][i];
    switch (operation) {
      case Lone::round:
        out[i] = fl.round(a);
        break;
      case Lone::add:
        out[i] = fl.add(a, b);
        break;
      case Lone::sub:
        out[i] = fl.sub(a, b);
        break;
      case Lone::mul:
        out[i] = fl.mul(a, b);
        break;
      case Lone::div:
        out[i] = fl.div(a, b);
        break;
      case Lone::fma:
        out[i] = fl.mac(a, b, c);
        break;
      case Lone::sqrt:
        out[i] = square_root(arithmetic.mac, a,
                             draw_at(arithmetic.draws, static_cast<std::uint32_t>(first + i), 0, 0,
                                     DrawFor::sum, arithmetic.mac.random_bits));
        break;
    }
  }
}

template <std::size_t n>
void by_vectors(Lone operation, const Elementwise& by,
                const std::array<std::span<const double>, n>& x, std::span<double> out) {
  const std::span<const double> a = x[0], b = x[n > 1 ? 1 : 0], c = x[n - 1];
  switch (operation) {
    case Lone::round:
      return by.round(a, out);
    case Lone::add:
      return by.add(a, b, out);
    case Lone::sub:
      return by.sub(a, b, out);
    case Lone::mul:
      return by.mul(a, b, out);
    case Lone::div:
      return by.div(a, b, out);
    case Lone::fma:
      return by.mac(a, b, c, out);
    case Lone::sqrt:
      contract_violated("by_vectors: there is no square root");
  }
}

template <std::size_t n>
void evaluate_lone(const Emulation& emulation, Lone operation, const std::array<Elements, n>& x,
                   const Elements& out, std::size_t threads) {
  const Arithmetic& arithmetic = emulation.arithmetic;
  check_rows(arithmetic, out.size());
  const bool narrow = std::all_of(x.begin(), x.end(),
                                  [](const Elements& operand) { return operand.is_binary32(); });
  const Elementwise by(arithmetic, narrow);
  const bool alone = is_stochastic(arithmetic) || operation == Lone::sqrt;
  for_each_stretch(x, out, threads, slowness(arithmetic),
                   [&](const auto& operands, std::span<double> y, std::size_t first) {
                     if (alone)
                       one_by_one(operation, arithmetic, operands, y, first);
                     else
                       by_vectors(operation, by, operands, y);
                   });
}

void unary(const Emulation& emulation, const std::string& name, const In& x, const Out& out,
           std::size_t threads) {
  evaluate_lone(emulation, value_in(lone_names, name).value(), std::array{Elements(x)},
                Elements(out), threads);
}
void binary(const Emulation& emulation, const std::string& name, const In& x, const In& y,
            const Out& out, std::size_t threads) {
  evaluate_lone(emulation, value_in(lone_names, name).value(), std::array{Elements(x), Elements(y)},
                Elements(out), threads);
}
void ternary(const Emulation& emulation, const std::string& name, const In& x, const In& y,
             const In& z, const Out& out, std::size_t threads) {
  evaluate_lone(emulation, value_in(lone_names, name).value(),
                std::array{Elements(x), Elements(y), Elements(z)}, Elements(out), threads);
}

void function(const Emulation& emulation, const std::string& name, const In& x, const Out& out,
              std::size_t threads) {
  const Function f = value_in(functions, name).value();
  const Arithmetic& arithmetic = emulation.arithmetic;
  const Elements from(x), into(out);
  check_rows(arithmetic, into.size());
  const Elementwise by(arithmetic);
  for_each_stretch(std::array{from}, into, threads, 64.0,
                   [&](const auto& operands, std::span<double> y, std::size_t first) {
                     if (!is_stochastic(arithmetic)) return by.function(f, operands[0], y);
                     for (std::size_t i = 0; i < y.size(); ++i)
                       y[i] = StochasticArithmetic(arithmetic.mac, arithmetic.draws, first + i, 0)
                                  .function(f, operands[0][i]);
                   });
}

// --------------------------------------------------------------------------------- rows and sums

/// Rows begin .. end - 1 of an array of two dimensions as binary64, contiguous each: where they
/// are, or in `buffer`.
MatrixView<const double> rows_of(const Elements& x, std::size_t begin, std::size_t end,
                                 std::size_t length, std::vector<double>& buffer) {
  if (x.is_plain())
    return {x.read(begin * length, (end - begin) * length, {}).data(), end - begin, length, length};
  buffer.resize((end - begin) * length);
  x.read(begin * length, buffer.size(), buffer);
  return {buffer.data(), end - begin, length, length};
}

std::size_t rows_together(std::size_t length) {
  return std::max<std::size_t>(8, block_elements / std::max<std::size_t>(1, length));
}

/// sums[i] = sum over k of x(i, k) y(i, k), from c where there is one. Row i draws as output (i,
/// 0).
void dot(const Emulation& emulation, const In& x, const In& y, const std::optional<In>& c,
         const Out& out, std::size_t threads) {
  const Arithmetic& arithmetic = emulation.arithmetic;
  const Elements first(x), second(y), into(out);
  const std::optional<Elements> start = c ? std::optional(Elements(*c)) : std::nullopt;
  const std::size_t rows = x.shape(0), n = x.shape(1);
  emulation.check_terms(n);
  check_rows(arithmetic, rows);
  const bool alone = start || is_stochastic(arithmetic) || rows == 1;
  in_blocks(rows, rows_together(n), threads,
            slowness(arithmetic) * static_cast<double>(rows) * static_cast<double>(n),
            [&](std::size_t begin, std::size_t end) {
              std::vector<double> buffer_a, buffer_b, sums(end - begin);
              const MatrixView<const double> a = rows_of(first, begin, end, n, buffer_a),
                                             b = rows_of(second, begin, end, n, buffer_b);
              if (!alone) row_dots(arithmetic, a, b, sums);
              for (std::size_t i = 0; alone && i < sums.size(); ++i) {
                std::array<double, 1> from{};
                const double c_i = start ? start->read(begin + i, 1, from)[0] : 0.0;
                sums[i] = is_stochastic(arithmetic)
                              ? lamp::dot(from_row(arithmetic, begin + i), a.row(i), b.row(i), c_i)
                              : lamp::dot(arithmetic, a.row(i), b.row(i), c_i);
              }
              into.write(begin, sums);
            });
}

/// sums[i] = sum over k of x(i, k).
void sum(const Emulation& emulation, const In& x, const Out& out, std::size_t threads) {
  const Arithmetic& arithmetic = emulation.arithmetic;
  const Elements from(x), into(out);
  const std::size_t rows = x.shape(0), n = x.shape(1);
  emulation.check_terms(n);
  check_rows(arithmetic, rows);
  in_blocks(rows, rows_together(n), threads,
            slowness(arithmetic) * static_cast<double>(rows) * static_cast<double>(n),
            [&](std::size_t begin, std::size_t end) {
              std::vector<double> buffer, sums(end - begin);
              const MatrixView<const double> a = rows_of(from, begin, end, n, buffer);
              if (!is_stochastic(arithmetic)) row_sums(arithmetic, a, sums);
              for (std::size_t i = 0; is_stochastic(arithmetic) && i < sums.size(); ++i)
                sums[i] = ordered_sum(
                    StochasticArithmetic(arithmetic.mac, arithmetic.draws, begin + i, 0),
                    arithmetic, a.row(i));
              into.write(begin, sums);
            });
}

// -------------------------------------------------------------------------------------- products

/// Rows of one block of a product: enough for the kernels' tiles, few enough for a look at signals.
std::size_t product_rows(const Arithmetic& arithmetic, std::size_t rows, std::size_t terms,
                         std::size_t columns) {
  const bool naive = evaluation_of(arithmetic, rows, terms, false) == Evaluation::naive;
  const double most = naive ? 0x1p20 : 0x1p26,
               row = std::max(1.0, static_cast<double>(terms) * static_cast<double>(columns));
  const auto fit = static_cast<std::size_t>(std::max(1.0, most / row));
  return naive ? fit : std::max<std::size_t>(RowBlocks::together, fit / 8 * 8);
}

PackedMatrix packed(const Elements& b, std::size_t terms, std::size_t columns) {
  if (b.is_matrix64()) return PackedMatrix(b.matrix64());
  std::vector<double> copy;
  return PackedMatrix(rows_of(b, 0, terms, columns, copy));
}

/// out (m, n) = a (m, k) b (k, n); output (i, j) draws as (first_row + i, j).
void matmul(const Emulation& emulation, const In& a, const In& b, const Out& out,
            std::size_t first_row, std::size_t threads) {
  const Arithmetic& arithmetic = emulation.arithmetic;
  const Elements left(a), right(b), into(out);
  const std::size_t m = a.shape(0), k = a.shape(1), n = b.shape(1);
  emulation.check_terms(k);
  check_rows(arithmetic, first_row + m);
  if (m == 0 || n == 0) return;
  const PackedMatrix columns = packed(right, k, n);
  const double macs = static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n);
  std::size_t block = product_rows(arithmetic, m, k, n);
  if (threads > 1)  // a block for each
    block = std::min(
        block, std::max<std::size_t>(RowBlocks::together, (m + threads - 1) / threads / 8 * 8));
  in_blocks(m, block, threads, macs, [&](std::size_t begin, std::size_t end) {
    std::vector<double> buffer_a, buffer_out;
    const MatrixView<const double> rows = left.is_matrix64()
                                              ? left.matrix64().row_block(begin, end - begin)
                                              : rows_of(left, begin, end, k, buffer_a);
    if (!into.is_matrix64()) buffer_out.resize((end - begin) * n);
    const MatrixView<double> y = into.is_matrix64()
                                     ? into.output64().row_block(begin, end - begin)
                                     : MatrixView<double>(buffer_out.data(), end - begin, n, n);
    if (is_stochastic(arithmetic))
      gemm(from_row(arithmetic, first_row + begin), rows, columns, y);
    else
      gemm(arithmetic, rows, columns, y);
    if (!into.is_matrix64()) into.write(begin * n, buffer_out);
  });
}

// ----------------------------------------------------------------------------------------- sites

/// Blocks of rows, each by rows_kernel(arithmetic of these rows, x, y).
template <class RowsKernel>
void by_rows(const Emulation& emulation, const In& x, const Out& out, std::size_t threads,
             const RowsKernel& rows_kernel) {
  const Elements from(x), into(out);
  const std::size_t rows = x.shape(0), n = x.shape(1);
  emulation.check_terms(n);
  check_rows(emulation.arithmetic, rows);
  in_blocks(rows, rows_together(n), threads, 64.0 * static_cast<double>(rows * n),
            [&](std::size_t begin, std::size_t end) {
              std::vector<double> buffer, results;
              const MatrixView<const double> a = rows_of(from, begin, end, n, buffer);
              if (!into.is_plain()) results.resize((end - begin) * n);
              const std::span<double> y = into.place(begin * n, (end - begin) * n, results);
              rows_kernel(from_row(emulation.arithmetic, begin), a,
                          MatrixView<double>(y.data(), end - begin, n, n));
              into.write(begin * n, y);
            });
}

void softmax(const Emulation& emulation, const In& x, const Out& out, std::size_t threads) {
  by_rows(emulation, x, out, threads, [](const auto& arithmetic, const auto& a, const auto& y) {
    lamp::softmax(arithmetic, a, y, Entries::all);
  });
}

std::vector<double> vector_of(const In& x) {
  std::vector<double> values(x.size());
  const Elements from(x);
  const std::span<const double> read = from.read(0, values.size(), values);
  return {read.begin(), read.end()};
}

void layer_norm(const Emulation& emulation, const In& x, const In& gamma, const In& beta,
                double eps, const Out& out, std::size_t threads) {
  const LayerNormWeights weights{.gamma = vector_of(gamma), .beta = vector_of(beta)};
  by_rows(emulation, x, out, threads, [&](const auto& arithmetic, const auto& a, const auto& y) {
    lamp::layer_norm(arithmetic, weights, eps, a, y);
  });
}

void rms_norm(const Emulation& emulation, const In& x, const In& gamma, double eps, const Out& out,
              std::size_t threads) {
  const RmsNormWeights weights{.gamma = vector_of(gamma)};
  by_rows(emulation, x, out, threads, [&](const auto& arithmetic, const auto& a, const auto& y) {
    lamp::rms_norm(arithmetic, weights, eps, a, y);
  });
}

}  // namespace

void bind_arithmetic(nb::module_& module) {
  nb::class_<Emulation>(module, "Arithmetic")
      .def(nb::init<nb::dict>())
      .def_prop_ro("config", [](const Emulation& e) { return object_of(e.keys); })
      .def_prop_ro("_fits_binary32", [](const Emulation& e) { return fits_binary32(e.arithmetic); })
      .def_prop_ro("format", [](const Emulation& e) { return e.arithmetic.mac.format; })
      .def("__eq__",
           [](const Emulation& e, nb::handle other) {
             if (!nb::isinstance<Emulation>(other)) return false;
             const auto& o = nb::cast<const Emulation&>(other);
             return e.arithmetic == o.arithmetic &&
                    e.arithmetic.draws.seed == o.arithmetic.draws.seed;
           })
      .def("_unary", &unary)
      .def("_binary", &binary)
      .def("_ternary", &ternary)
      .def("_function", &function)
      .def("_dot", &dot, nb::arg("x"), nb::arg("y"), nb::arg("c").none(), nb::arg("out"),
           nb::arg("threads"))
      .def("_sum", &sum)
      .def("_matmul", &matmul)
      .def("_softmax", &softmax)
      .def("_layer_norm", &layer_norm)
      .def("_rms_norm", &rms_norm);
}

}  // namespace lamp::python
