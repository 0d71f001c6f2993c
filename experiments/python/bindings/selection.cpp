// lamp.select: which components of each row LAMP recomputes, by the operation of `lamp calc`.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "core/selection/lamp.hpp"
#include "experiments/calc/selecting.hpp"
#include "experiments/python/bindings/arrays.hpp"
#include "experiments/python/bindings/errors.hpp"
#include "experiments/python/bindings/json.hpp"
#include "experiments/python/bindings/module.hpp"

namespace lamp::python {

namespace nb = nanobind;
using nlohmann::json;

namespace {

using Marks = nb::ndarray<std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

std::vector<double> row_of(const Elements& x, std::size_t row, std::size_t length) {
  std::vector<double> memory(length);
  const std::span<const double> values = x.read(row * length, length, memory);
  if (values.data() != memory.data()) std::copy(values.begin(), values.end(), memory.begin());
  return memory;
}

std::optional<Elements> elements_of(const std::optional<In>& x) {
  return x ? std::optional(Elements(*x)) : std::nullopt;
}

/// The request of the first row, whose keys are those of all; of no rows, of zeros.
experiments::calc::Selecting read_first(nb::dict keys, const Elements& y, std::size_t n,
                                        const std::optional<Elements>& g,
                                        const std::optional<Elements>& w,
                                        const std::optional<In>& matrix) {
  const bool none = y.size() == 0;
  json object = json_of(keys);
  object["y"] = none ? std::vector<double>(n) : row_of(y, 0, n);
  if (g) object["g"] = none ? std::vector<double>(n) : row_of(*g, 0, n);
  if (w) object["w"] = none ? std::vector<double>(n) : row_of(*w, 0, n);
  if (matrix) {
    object["W"] = json::array();
    for (std::size_t i = 0; i < matrix->shape(0); ++i)
      object["W"].push_back(row_of(Elements(*matrix), i, matrix->shape(1)));
  }
  experiments::CalcRequest request(object);
  experiments::calc::Selecting asked = experiments::calc::read_selecting(request);
  if (request.failed()) fail(request.problem());
  return asked;
}

/// Marks (rows, n), and the cost of each row's set; of `given` marks the costs alone. keys: those
/// of calc's operation that are no arrays.
void select_all(nb::dict keys, const In& y, const std::optional<In>& g, const std::optional<In>& w,
                const std::optional<In>& matrix, const Marks& marks, const Out& costs,
                std::size_t threads, bool given) {
  const std::size_t rows = y.shape(0), n = y.shape(1);
  const Elements from(y), cost_of(costs);
  const std::optional<Elements> weighed = elements_of(g), bounds = elements_of(w);
  const experiments::calc::Selecting first = read_first(keys, from, n, weighed, bounds, matrix);
  const std::size_t together =
      std::max<std::size_t>(1, block_elements / std::max<std::size_t>(1, n));
  in_blocks(rows, together, threads, 64.0 * static_cast<double>(rows * n),
            [&](std::size_t begin, std::size_t end) {
              experiments::calc::Selecting asked = first;
              for (std::size_t row = begin; row < end; ++row) {
                asked.row.y = row_of(from, row, n);
                if (weighed) asked.row.g = row_of(*weighed, row, n);
                if (bounds) asked.row.w = row_of(*bounds, row, n);
                if (const char* problem = experiments::calc::check_bounds(asked.row.w))
                  fail(problem);
                mpfr::Selected found = experiments::calc::selected(asked);
                const std::span<std::uint8_t> set(marks.data() + row * n, n);
                if (given)
                  found.cost =
                      cost_of_set(asked.spec, *asked.target, asked.row.view(), set, asked.scratch);
                else
                  std::copy(found.marks.begin(), found.marks.end(), set.begin());
                cost_of.write(row, {&found.cost, 1});
              }
            });
}

}  // namespace

void bind_selection(nb::module_& module) {
  module.def("select", &select_all, nb::arg("keys"), nb::arg("y"), nb::arg("g").none(),
             nb::arg("w").none(), nb::arg("matrix").none(), nb::arg("marks"), nb::arg("costs"),
             nb::arg("threads"), nb::arg("given") = false);
}

}  // namespace lamp::python
