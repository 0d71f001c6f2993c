#include "experiments/python/bindings/own_rule.hpp"

#include <string_view>

#include "core/base/contract.hpp"
#include "experiments/own_rules/messages.hpp"

namespace lamp::python {

namespace nb = nanobind;

void CallableRule::mark(const OwnRows& rows, std::span<const std::span<std::uint8_t>> selected) {
  experiments::Message question;
  put_rows(question, rows, selected, reads_keys_);
  const nb::gil_scoped_acquire locked;
  const nb::object said = answer_(nb::bytes(question.bytes().data(), question.bytes().size()));
  const nb::bytes marks = nb::cast<nb::bytes>(said);
  const bool whole =
      experiments::take_marks(std::string_view(marks.c_str(), marks.size()), selected);
  expects(whole, "_rule.answer: a mark for every component");
}

}  // namespace lamp::python
