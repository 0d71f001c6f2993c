#include "core/fp/number_system.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/fp/vector_rounding.hpp"

namespace lamp {
namespace {

/// Calls visitor(std::type_identity<S>) for every row of the catalog but the float formats.
template <class Visitor, class... S>
void each_row_system(const std::variant<FloatFormat, S...>*, Visitor&& visitor) {
  (visitor(std::type_identity<S>()), ...);
}

template <class Visitor>
void each_row_system(Visitor&& visitor) {
  each_row_system(static_cast<const AnySystem*>(nullptr), visitor);
}

struct Kind {
  std::string operator()(const FloatFormat&) const { return "float format"; }
  template <RowSystem S>
  std::string operator()(const S&) const {
    return std::string(S::kind);
  }
};

struct Name {
  std::string operator()(const FloatFormat& format) const { return format_name(format); }
  template <RowSystem S>
  std::string operator()(const S& system) const {
    for (const std::string_view name : S::names())
      if (S::named(name) == system) return std::string(name);
    return {};
  }
};

struct Reach {
  std::size_t operator()(const FloatFormat&) const { return 1; }
  template <RowSystem S>
  std::size_t operator()(const S& system) const {
    return system.reach();
  }
};

struct SignificandBits {
  int operator()(const FloatFormat& format) const { return format.p; }
  template <RowSystem S>
  int operator()(const S& system) const {
    return system.significand_bits();
  }
};

struct ReadsTensor {
  bool operator()(const FloatFormat&) const { return false; }
  template <RowSystem S>
  bool operator()(const S& system) const {
    return system.reads_tensor();
  }
};

bool any_of(const std::vector<std::string_view>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

std::string kind_of(const NumberSystem& system) { return system.visit(Kind{}); }
std::string name_of(const NumberSystem& system) { return system.visit(Name{}); }
std::size_t reach_of(const NumberSystem& system) { return system.visit(Reach{}); }

int significand_bits(const NumberSystem& system) { return system.visit(SignificandBits{}); }
bool reads_tensor(const NumberSystem& system) { return system.visit(ReadsTensor{}); }

std::vector<std::string_view> system_names() {
  std::vector<std::string_view> names;
  each_row_system([&]<class S>(std::type_identity<S>) {
    const std::vector<std::string_view> more = S::names();
    names.insert(names.end(), more.begin(), more.end());
  });
  return names;
}

Result<NumberSystem> parse_number_system(std::string_view name) {
  const Result<FloatFormat> format = parse_format(name);
  if (format) return NumberSystem(*format);
  std::optional<NumberSystem> found;
  bool alike = false;  // it begins like one of the names
  std::string known;
  each_row_system([&]<class S>(std::type_identity<S>) {
    if (const std::optional<S> system = S::named(name)) found = *system;
    for (const std::string_view other : S::names()) {
      alike = alike || (name.size() >= 2 && other.starts_with(name.substr(0, 2)));
      known.append(known.empty() ? "" : ", ").append(other);
    }
  });
  if (found) return *found;
  if (!alike) return format.error();
  return Error{format.error().code, format.error().message + "; here also " + known};
}

std::vector<std::string_view> keys_of_object(const std::vector<std::string_view>& keys) {
  std::vector<std::string_view> found;
  each_row_system([&]<class S>(std::type_identity<S>) {
    const std::vector<std::string_view> own = S::keys();
    const bool belongs = std::any_of(keys.begin(), keys.end(),
                                     [&](std::string_view key) { return any_of(own, key); });
    if (found.empty() && belongs) found = own;
  });
  return found;
}

Result<NumberSystem> system_of_object(const Properties& object) {
  std::optional<Result<NumberSystem>> found;
  each_row_system([&]<class S>(std::type_identity<S>) {
    const std::vector<std::string_view> own = S::keys();
    const bool belongs = std::any_of(object.begin(), object.end(), [&](const Property& property) {
      return any_of(own, property.key);
    });
    if (found || !belongs) return;
    const Result<S> system = S::of(object);
    found =
        system ? Result<NumberSystem>(NumberSystem(*system)) : Result<NumberSystem>(system.error());
  });
  expects(found.has_value(), "system_of_object: a key of some system");
  return *found;
}

double largest_magnitude(std::span<const double> x) {
  constexpr std::size_t lanes = 4;  // independent of each other
  std::array<double, lanes> largest{};
  const auto look_at = [&](double value, std::size_t lane) {
    const double a = std::abs(value);
    const bool counts = a > largest[lane] && a <= std::numeric_limits<double>::max();
    largest[lane] = counts ? a : largest[lane];
  };
  std::size_t i = 0;
  for (; i + lanes <= x.size(); i += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane) look_at(x[i + lane], lane);
  for (; i < x.size(); ++i) look_at(x[i], 0);
  return *std::max_element(largest.begin(), largest.end());
}

void round_row(const NumberSystem& system, std::span<const double> x, std::span<double> y,
               std::optional<double> tensor, Rounding mode) {
  expects(x.size() == y.size(), "round_row: x.size() == y.size()");
  if (const FloatFormat* format = system.float_format()) return round_values(x, y, *format, mode);
  expects(mode == Rounding::rne, "round_row: RNE, or a float format");
  const double largest = tensor ? *tensor : reads_tensor(system) ? largest_magnitude(x) : 0.0;
  system.visit([&]<class S>(const S& row_system) {
    if constexpr (RowSystem<S>) row_system.round_row(x, y, largest);
  });
}

double round_alone(const NumberSystem& system, double x, Rounding mode) {
  if (const FloatFormat* format = system.float_format()) return round(x, *format, mode);
  double y = 0.0;
  round_row(system, {&x, 1}, {&y, 1}, {}, mode);
  return y;
}

}  // namespace lamp
