// lamp.select: which components of each row LAMP recomputes, by the operation of `lamp calc`.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "experiments/calc/hex_float.hpp"
#include "experiments/calc/operations.hpp"
#include "experiments/python/bindings/arrays.hpp"
#include "experiments/python/bindings/errors.hpp"
#include "experiments/python/bindings/json.hpp"
#include "experiments/python/bindings/module.hpp"

namespace lamp::python {

namespace nb = nanobind;
using nlohmann::json;

namespace {

using Marks = nb::ndarray<std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

/// The operands that a request has for each row, or for all of them.
struct Operand {
  const char* key;
  Elements elements;
};

/// Marks (rows, n), and the cost of each row's set. keys: those of the operation that are no
/// arrays.
void select_rows(nb::dict keys, const In& y, const std::optional<In>& g, const std::optional<In>& w,
                 const std::optional<In>& matrix, const Marks& marks, const Out& costs,
                 std::size_t threads) {
  const std::size_t rows = y.shape(0), n = y.shape(1);
  json shared = json_of(keys);
  const auto row_of = [](const Elements& x, std::size_t row, std::size_t length) {
    std::vector<double> memory(length);
    const std::span<const double> values = x.read(row * length, length, memory);
    return std::vector<double>(values.begin(), values.end());
  };
  if (matrix) {
    json list = json::array();
    for (std::size_t i = 0; i < matrix->shape(0); ++i)
      list.push_back(row_of(Elements(*matrix), i, matrix->shape(1)));
    shared["W"] = std::move(list);
  }
  std::vector<Operand> operands{{"y", Elements(y)}};
  if (g) operands.push_back({"g", Elements(*g)});
  if (w) operands.push_back({"w", Elements(*w)});
  const Elements cost_of(costs);
  const std::size_t together = std::max<std::size_t>(1, 4096 / std::max<std::size_t>(1, n));
  in_blocks(
      rows, together, threads, 64.0 * static_cast<double>(rows * n),
      [&](std::size_t begin, std::size_t end) {
        json object = shared;
        for (std::size_t row = begin; row < end; ++row) {
          for (const auto& [key, elements] : operands) object[key] = row_of(elements, row, n);
          experiments::CalcRequest request(object);
          const json answer = experiments::calc::select(request);
          if (request.failed()) fail(request.problem());
          for (const json& j : answer["selected"]) marks.data()[row * n + j.get<std::size_t>()] = 1;
          const double cost =
              experiments::parse_hex_float(answer["cost"].get_ref<const std::string&>()).value();
          cost_of.write(row, {&cost, 1});
        }
      });
}

}  // namespace

void bind_selection(nb::module_& module) {
  module.def("select", &select_rows, nb::arg("keys"), nb::arg("y"), nb::arg("g").none(),
             nb::arg("w").none(), nb::arg("matrix").none(), nb::arg("marks"), nb::arg("costs"),
             nb::arg("threads"));
}

}  // namespace lamp::python
