// Number systems: what rounds a row of values. A float format rounds each value by itself; the
// others look at more of the row. Accumulators live in float formats; operands may be of any
// system, and their rows are rows along k.
#pragma once

#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/result.hpp"
#include "core/fp/block_format.hpp"
#include "core/fp/format.hpp"
#include "core/fp/properties.hpp"
#include "core/fp/rounding.hpp"

namespace lamp {

/// What a system other than a float format brings, all in its own file but the twin:
/// its kind in words; its names; the keys of its object form, by which an object is known; the
/// system of an object, and the object of a system (every key); what `lamp formats` says of it.
template <class S>
concept RowSystem = std::equality_comparable<S> &&
    requires(const S& s, const Properties& object, std::string_view name, std::span<const double> x,
             std::span<double> y) {
  { S::kind } -> std::convertible_to<std::string_view>;
  { S::names() } -> std::same_as<std::vector<std::string_view>>;
  { S::named(name) } -> std::same_as<std::optional<S>>;
  { S::keys() } -> std::same_as<std::vector<std::string_view>>;
  { S::of(object) } -> std::same_as<Result<S>>;
  { s.properties() } -> std::same_as<Properties>;
  { s.facts() } -> std::same_as<Properties>;
  // y = x rounded, RNE: values exact in binary64, NaN stays NaN. x and y may be the same memory.
  // `tensor` is the largest finite magnitude of all rows that are rounded together, where
  // s.reads_tensor().
  { s.reads_tensor() } -> std::same_as<bool>;
  { s.round_row(x, y, 0.0) } -> std::same_as<void>;
  // Values k and l of a row do not look at each other where k / reach != l / reach.
  { s.reach() } -> std::same_as<std::size_t>;
  // Of an element, the hidden one included: what a multiplier of two elements multiplies.
  { s.significand_bits() } -> std::same_as<int>;
  mpfr::round_row(s, x, y, 0.0);  // the same a second time (core/mpfr)
};

/// The catalog: one row a system.
using AnySystem = std::variant<FloatFormat,  //
                               BlockFormat   // a scale shared by B values
                               >;

/// A call that the compiler refuses with what a system lacks of RowSystem.
template <RowSystem... S>
constexpr bool all_row_systems(const std::variant<FloatFormat, S...>*) {
  return true;
}
template <class S, class... Systems>
constexpr bool is_row_system(const std::variant<FloatFormat, Systems...>*) {
  return (std::is_same_v<S, Systems> || ...);
}
static_assert(all_row_systems(static_cast<const AnySystem*>(nullptr)));

/// One of them: a value, comparable with each.
class NumberSystem {
 public:
  constexpr NumberSystem(const FloatFormat& format)
      : system_(format) {}  // NOLINT: implicit on purpose
  template <class S>
  requires(is_row_system<S>(static_cast<const AnySystem*>(nullptr))) constexpr NumberSystem(
      S system)
      : system_(std::move(system)) {}  // NOLINT: implicit on purpose

  /// Null where it is no float format.
  [[nodiscard]] constexpr const FloatFormat* float_format() const {
    return std::get_if<FloatFormat>(&system_);
  }
  /// Calls visitor with the float format or the system.
  template <class Visitor>
  decltype(auto) visit(Visitor&& visitor) const {
    return std::visit(std::forward<Visitor>(visitor), system_);
  }
  friend bool operator==(const NumberSystem&, const NumberSystem&) = default;

 private:
  AnySystem system_;
};

/// "block format".
std::string kind_of(const NumberSystem& system);
/// Its catalog name, a float format's format_name; empty where it has none.
std::string name_of(const NumberSystem& system);

/// The names of every system but the float formats, kind by kind.
std::vector<std::string_view> system_names();
/// The system of a name: a float format's or one of system_names. The error lists what is known.
Result<NumberSystem> parse_number_system(std::string_view name);
/// An object by its keys: the names of all keys of the system that one of them belongs to; empty: a
/// float format's, or nobody's.
std::vector<std::string_view> keys_of_object(const std::vector<std::string_view>& keys);
/// The system of an object, known by its keys. Pre: keys_of_object(..) is not empty.
Result<NumberSystem> system_of_object(const Properties& object);

/// The system asks for the largest finite magnitude of all rows that are rounded together.
bool reads_tensor(const NumberSystem& system);
/// The largest finite magnitude; 0 where there is none.
double largest_magnitude(std::span<const double> x);
/// y = x rounded to the system as one row. x and y may be the same memory. `tensor`:
/// largest_magnitude of all rows that are rounded together; absent: of this row. `mode`: of float
/// formats, deterministic; the other systems have RNE alone.
void round_row(const NumberSystem& system, std::span<const double> x, std::span<double> y,
               std::optional<double> tensor = {}, Rounding mode = Rounding::rne);
/// x rounded as a row of one: an operand of a lone multiply-accumulate.
double round_alone(const NumberSystem& system, double x, Rounding mode = Rounding::rne);
/// Values k and l of a row are rounded independently of each other, and of how the row goes on,
/// where k / reach != l / reach.
std::size_t reach_of(const NumberSystem& system);
/// p of a float format, of a row system that of its elements.
int significand_bits(const NumberSystem& system);

}  // namespace lamp
