#include "core/record/earlier_schema.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

namespace lamp::record {
namespace {

constexpr std::array<std::string_view, 3> ids_of_schema_1{"/reference/tokens", "/continuations/run",
                                                          "/continuations/reference"};

constexpr const char* no_ids = " holds something that is no token id";

bool held_ids(const Quantity& quantity) {
  return std::find(ids_of_schema_1.begin(), ids_of_schema_1.end(), quantity.path) !=
         ids_of_schema_1.end();
}

bool is_id_or_none(double x) {
  return std::isnan(x) ||
         (x >= 0 && x <= std::numeric_limits<std::uint32_t>::max() && x == std::floor(x));
}

/// As signed integers; false where one is no id.
bool make_ids(Values& values) {
  std::vector<std::int64_t> ids;
  if (const auto* numbers = std::get_if<std::vector<double>>(&values)) {
    for (const double x : *numbers) {
      if (!is_id_or_none(x)) return false;
      ids.push_back(std::isnan(x) ? -1 : static_cast<std::int64_t>(x));
    }
  } else if (const auto* unsigned_ids = std::get_if<std::vector<std::uint32_t>>(&values)) {
    ids.assign(unsigned_ids->begin(), unsigned_ids->end());
  } else {
    return false;
  }
  values = std::move(ids);
  return true;
}

void say_minus_one(std::string& long_name) {
  constexpr std::string_view before = "NaN from where";
  if (const std::size_t at = long_name.find(before); at != std::string::npos)
    long_name.replace(at, 3, "-1");
}

}  // namespace

std::string bring_from_schema_1(Shard& shard) {
  for (std::size_t q = 0; q < shard.quantities.size(); ++q) {
    Quantity& quantity = shard.quantities[q];
    if (!held_ids(quantity)) continue;
    bool all = make_ids(quantity.prototype);
    for (CellRecord& cell : shard.cells) all = all && make_ids(cell.values[q]);
    if (!all) return quantity.path + no_ids;
    say_minus_one(quantity.long_name);
  }
  for (std::size_t q = 0; q < shard.reference_quantities.size(); ++q) {
    Quantity& quantity = shard.reference_quantities[q];
    if (!held_ids(quantity)) continue;
    if (!make_ids(quantity.prototype) || !make_ids(shard.reference[q]))
      return quantity.path + no_ids;
    say_minus_one(quantity.long_name);
  }
  return "";
}

}  // namespace lamp::record
