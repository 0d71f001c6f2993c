// One line of `lamp calc` by its keys. The first thing that is wrong is remembered and the rest
// reads as defaults: an operation reads all it needs, then asks once whether anything was wrong.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/arith/gemm/gemm.hpp"
#include "core/base/matrix.hpp"
#include "core/base/names.hpp"
#include "core/fp/format.hpp"
#include "core/fp/number_system.hpp"
#include "core/fp/rounding.hpp"
#include "core/mpfr/real.hpp"
#include "experiments/config/arithmetic.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

/// "backend": the second implementation, or the instruction set of the first.
struct CalcBackend {
  bool mpfr = false;
  Backend fast = Backend::automatic;
};

class CalcRequest {
 public:
  explicit CalcRequest(const nlohmann::json& object) : object_(object) {}

  [[nodiscard]] bool has(const char* key) const { return object_.contains(key); }
  /// `"x": [..]` of numbers: T is double, or mpfr::Real, which takes hex floats of any length.
  template <class T = double>
  std::vector<T> numbers(const char* key);
  /// As numbers, of one length with an operand read before.
  template <class T = double>
  std::vector<T> numbers(const char* key, std::size_t length, const char* like);
  /// `"a": [[..], ..]`, rows of one length.
  Matrix<double> matrix(const char* key);
  std::optional<double> number(const char* key);
  /// A number >= 0.
  std::optional<std::size_t> count(const char* key);
  /// `"code": [..]`: codes as hexadecimal strings or integers.
  std::vector<std::uint64_t> codes(const char* key);
  /// "format"; required. Its numbers must be binary64 numbers, unless `any` allows p up to 10,000
  /// and any exponents.
  FloatFormat format(bool any = false);
  /// The same of any number system.
  NumberSystem number_system(bool any = false);
  /// "rounding"; RNE where absent.
  Rounding rounding();
  /// "random_bits" of an elementwise operation; 32 where absent.
  int random_bits();
  /// "seed" as a stream of draws, whose other coordinates are 0; 0 where absent.
  DrawStream draws();
  /// "arith"; required. With "random_bits" and "seed", which may stand in it or beside it. `terms`:
  /// the length of its sums; absent: nothing is said of it yet.
  Arithmetic arithmetic(std::optional<std::size_t> terms = std::nullopt);
  template <class Enum, std::size_t n>
  Enum choice(const char* key, const std::array<NamedValue<Enum>, n>& names,
              std::type_identity_t<std::optional<Enum>> standard);
  CalcBackend backend();

  /// The parts one after the other: what is wrong, and what is legal.
  void fail(std::initializer_list<std::string_view> parts) {
    if (!problem_.empty()) return;
    for (const std::string_view part : parts) problem_ += part;
  }
  [[nodiscard]] bool failed() const { return !problem_.empty(); }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  /// The value of a required key.
  const nlohmann::json* required(const char* key, const char* legal);
  template <class T>
  T read_number(const char* key, const nlohmann::json& value);
  template <class T>
  std::vector<T> read_list(const char* key, const nlohmann::json& value);
  std::optional<std::uint64_t> integer(const char* key, std::uint64_t least, std::uint64_t most);
  FloatFormat checked(const FloatFormat& format, bool any);
  void check_fits(std::string_view key, const std::optional<FloatFormat>& format);
  void check_fits(const std::string& path, const MacSpec& mac);

  const nlohmann::json& object_;
  std::string problem_;
};

template <class Enum, std::size_t n>
Enum CalcRequest::choice(const char* key, const std::array<NamedValue<Enum>, n>& names,
                         std::type_identity_t<std::optional<Enum>> standard) {
  const auto found = object_.find(key);
  if (found == object_.end() && standard) return *standard;
  const std::string* given =
      found == object_.end() ? nullptr : found->get_ptr<const std::string*>();
  std::string legal;
  for (const auto& [name, value] : names) {
    if (given != nullptr && *given == name) return value;
    legal.append(legal.empty() ? "\"" : ", \"").append(name).append("\"");
  }
  if (found == object_.end())
    fail({key, " is missing; legal: ", legal});
  else
    fail({key, " is ", describe(value_of_json(*found)), "; legal: ", legal});
  return standard ? *standard : names.front().value;
}

}  // namespace lamp::experiments
