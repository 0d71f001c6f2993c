#include "tests/fuzz/drivers/json_changes.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>

namespace lamp::fuzz {
namespace {

using Json = nlohmann::ordered_json;

/// All values of a document, outermost first.
void collect(Json& value, std::vector<Json*>& all) {
  all.push_back(&value);
  if (value.is_structured())
    for (Json& inner : value) collect(inner, all);
}

Json other_scalar(const Json& value, Random& random) {
  static const std::array scalars{
      Json(),      Json(true), Json(false), Json(0),
      Json(1),     Json(-1),   Json(2.5),   Json(1e300),
      Json(""),    Json("a"),  Json(7),     Json(4294967296),
      Json(1e-40), Json(8),    Json(64),    Json(18446744073709551615U)};
  if (value.is_number_integer() && random() % 4 != 0) {
    const auto x = value.get<std::uint64_t>();
    const std::array near{x + 1, x - 1, 2 * x, x / 2, x + random() % 9, random() % (x | 1U)};
    return near[random() % near.size()];
  }
  if (value.is_string() && random() % 2 == 0) {
    auto text = value.get<std::string>();
    if (random() % 2 == 0) return text + "a";
    return text.substr(0, text.size() / 2);
  }
  return scalars[random() % scalars.size()];
}

void change_json(Json& document, Random& random) {
  std::vector<Json*> all;
  collect(document, all);
  Json& value = *all[random() % all.size()];
  const Json other = *all[random() % all.size()];
  const auto at = static_cast<std::ptrdiff_t>(value.empty() ? 0 : random() % value.size());
  switch (random() % 5) {
    case 0:
      if (value.is_structured() && !value.empty()) value.erase(std::next(value.begin(), at));
      break;
    case 1:
      if (value.is_array())
        value.insert(std::next(value.begin(), at), other);
      else if (value.is_object() && other.is_string())
        value[other.get<std::string>()] = *all[random() % all.size()];
      break;
    case 2:
      value = other;
      break;
    default:
      if (!value.is_structured()) value = other_scalar(value, random);
  }
}

}  // namespace

std::string mutated_json(std::string_view text, Random& random) {
  Json document = Json::parse(text, nullptr, false);
  if (document.is_discarded()) return std::string(text);
  for (std::size_t changes = 1 + random() % 2; changes > 0; --changes)
    change_json(document, random);
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::uint64_t largest_below(std::string_view text, std::uint64_t end) {
  Json document = Json::parse(text, nullptr, false);
  std::vector<Json*> all;
  collect(document, all);
  std::uint64_t largest = 0;
  for (const Json* value : all)
    if (value->is_number_unsigned() && value->get<std::uint64_t>() < end)
      largest = std::max(largest, value->get<std::uint64_t>());
  return largest;
}

}  // namespace lamp::fuzz
