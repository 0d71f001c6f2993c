// One line of `lamp calc` by its keys. The first thing that is wrong is remembered and the rest reads as defaults: an operation
// reads all it needs, then asks once whether anything was wrong.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/arith/gemm.hpp"
#include "core/base/matrix.hpp"
#include "core/fp/format.hpp"
#include "core/fp/rounding.hpp"
#include "experiments/arithmetic_config.hpp"
#include "experiments/config_value.hpp"

namespace lamp::experiments {

template <class Enum>
using Names = std::span<const std::pair<std::string_view, Enum>>;

class CalcRequest {
 public:
  explicit CalcRequest(const nlohmann::json& object) : object_(object) {}

  [[nodiscard]] bool has(const char* key) const { return object_.contains(key); }
  /// `"x": [..]` of numbers.
  std::vector<double> numbers(const char* key);
  /// As numbers, of one length with an operand read before.
  std::vector<double> numbers(const char* key, std::size_t length, const char* like);
  /// `"a": [[..], ..]`, rows of one length.
  Matrix<double> matrix(const char* key);
  std::optional<double> number(const char* key);
  std::optional<std::size_t> count(const char* key);
  /// "format"; required.
  FloatFormat format();
  /// "rounding"; RNE where absent.
  Rounding rounding();
  /// "arith"; required.
  Arithmetic arithmetic();
  template <class Enum>
  Enum choice(const char* key, Names<Enum> names, std::optional<Enum> standard);

  /// "backend": the second implementation, or the instruction set of the first.
  struct Engine {
    bool mpfr = false;
    Backend backend = Backend::automatic;
  };
  Engine engine();

  /// The parts one after the other: what is wrong, and what is legal.
  void fail(std::initializer_list<std::string_view> parts) {
    if (!problem_.empty()) return;
    for (const std::string_view part : parts) problem_ += part;
  }
  [[nodiscard]] bool failed() const { return !problem_.empty(); }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  /// The value of a key that must be there.
  const nlohmann::json* required(const char* key, const char* legal);
  double read_number(const char* key, const nlohmann::json& value);
  std::vector<double> read_list(const char* key, const nlohmann::json& value);
  void check_format(const char* key, const FloatFormat& format);
  void check_rounding(Rounding mode);

  const nlohmann::json& object_;
  std::string problem_;
};

template <class Enum>
Enum CalcRequest::choice(const char* key, Names<Enum> names, std::optional<Enum> standard) {
  const auto found = object_.find(key);
  if (found == object_.end() && standard) return *standard;
  const std::string* given = found == object_.end() ? nullptr : found->get_ptr<const std::string*>();
  std::string legal;
  for (const auto& [name, value] : names) {
    if (given != nullptr && *given == name) return value;
    legal.append(legal.empty() ? "\"" : ", \"").append(name).append("\"");
  }
  if (found == object_.end())
    fail({key, " is missing; legal: ", legal});
  else
    fail({key, " is ", describe(value_of_json(*found)), "; legal: ", legal});
  return standard ? *standard : names.front().second;
}

}  // namespace lamp::experiments
