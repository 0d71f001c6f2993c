// lamp.reveal: the summation tree of a callable, and the arithmetic that has its bits.
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <string>

#include "experiments/calc/request.hpp"
#include "experiments/python/bindings/errors.hpp"
#include "experiments/python/bindings/json.hpp"
#include "experiments/python/bindings/module.hpp"
#include "experiments/reveal/revelation.hpp"
#include "experiments/reveal/tree_drawing.hpp"

namespace lamp::python {

namespace nb = nanobind;

namespace {

using Operands = nb::ndarray<nb::numpy, const double, nb::ndim<1>, nb::c_contig>;

/// The callable's answers, one dot product a call. The arrays are valid during the call only.
Result<std::vector<double>> ask_callable(const nb::callable& callable,
                                         std::span<const DotProduct> products) {
  std::vector<double> answers;
  for (const DotProduct& product : products) {
    const std::size_t n = product.a.size();
    const nb::object answer = callable(Operands(product.a.data(), {n}, nb::handle()),
                                       Operands(product.b.data(), {n}, nb::handle()));
    answers.push_back(nb::cast<double>(answer));
  }
  return answers;
}

nb::tuple reveal_callable(const nb::callable& callable, std::int64_t n, nb::handle format) {
  const nlohmann::json object{{"format", json_of(format)}};
  experiments::CalcRequest request(object);
  const FloatFormat of_operands = request.format();
  if (request.failed()) fail(request.problem());
  if (n < 1 || n > std::int64_t{most_revealed_terms})
    fail("n is " + std::to_string(n) + "; legal: 1 to " + std::to_string(most_revealed_terms));
  const experiments::Revelation found = value_or_throw(experiments::revelation(
      "callable", static_cast<std::size_t>(n), of_operands,
      [&](std::span<const DotProduct> products) { return ask_callable(callable, products); }));
  return nb::make_tuple(experiments::revelation_json(found),
                        found.tree ? experiments::drawing(found.tree->tree) : std::string());
}

}  // namespace

void bind_reveal(nb::module_& module) { module.def("reveal", &reveal_callable); }

}  // namespace lamp::python
