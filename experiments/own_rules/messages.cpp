#include "experiments/own_rules/messages.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "core/base/contract.hpp"
#include "core/model/site.hpp"
#include "core/selection/target.hpp"

namespace lamp::experiments {
namespace {

const SiteInfo& site_of(const DrawCoordinates& where) {
  for (const SiteInfo& site : sites)
    if (site.draw == where.site) return site;
  contract_violated("own rule: rows of a site");
}

struct Place {
  std::optional<std::uint32_t> layer, head;
};

/// Of the heads of `values` all are selected together.
Place layer_and_head(const OwnRows& rows) {
  const SiteInfo& site = site_of(rows.first);
  const bool across_heads = &rows.target == &targets::linear_map;
  Place place;
  if (site.per_layer) place.layer = rows.first.layer;
  if (site.per_head && !across_heads) place.head = rows.first.head;
  return place;
}

void put_or_none(Message& message, const std::optional<std::uint32_t>& number) {
  message.put(number ? std::int64_t{*number} : std::int64_t{-1});
}

}  // namespace

void put_rows(Message& message, const OwnRows& rows, std::span<const std::span<std::uint8_t>> lamps,
              bool keys) {
  expects(!rows.rows.empty(), "put_rows: a row at least");
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  const SelectionRow& any = rows.rows.front();
  const auto count = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  const auto put_all = [&](const auto& values) {
    for (const SelectionRow& row : rows.rows) message.put(values(row));
  };
  message.put(count(rows.rows.size()));
  message.put(std::int64_t{rows.first.row});
  const Place place = layer_and_head(rows);
  put_or_none(message, place.layer), put_or_none(message, place.head);
  message.put(std::int64_t{rows.first.sequence});
  message.put(std::int64_t{rows.first.seed});
  message.put(count(any.row_length));
  message.put(count(any.q.size()));
  for (const std::optional<double>& number : {rows.spec.tau, rows.spec.rate})
    message.put(number.value_or(none));
  message.put(any.eps);
  message.put_text(site_of(rows.first).name);
  message.put_text(rows.target.function);
  put_all([&](const SelectionRow& row) { return count(row.size()); });
  const bool has_keys = keys && !any.q.empty();
  for (const bool there : {!any.z.empty(), !any.g.empty(), !any.columns.empty(), has_keys})
    message.put(std::int64_t{there ? 1 : 0});
  put_all([](const SelectionRow& row) { return row.y; });
  for (const SelectionRow& row : rows.rows) {
    const std::span<const double> given = given_weights(rows.spec.weights, row);
    for (std::size_t j = 0; j < row.size(); ++j)
      message.put(weight_at(rows.spec.weights, given, j));
  }
  put_all([](const SelectionRow& row) { return row.z; });
  put_all([](const SelectionRow& row) { return row.g; });
  put_all([](const SelectionRow& row) { return row.columns; });
  if (has_keys) put_all([](const SelectionRow& row) { return row.q; });
  for (const SelectionRow& row : rows.rows)
    for (std::size_t j = 0; has_keys && j < row.k.rows; ++j) message.put(row.k.row(j));
  for (const std::span<const std::uint8_t> set : lamps) message.put(set);
}

bool take_marks(std::string_view answer, std::span<const std::span<std::uint8_t>> selected) {
  if (std::any_of(answer.begin(), answer.end(), [](char c) { return c != 0 && c != 1; }))
    return false;
  for (const std::span<std::uint8_t> set : selected) {
    if (answer.size() < set.size()) return false;
    std::copy_n(answer.begin(), set.size(), set.begin());
    answer.remove_prefix(set.size());
  }
  return answer.empty();
}

std::string place_of(const OwnRows& rows, std::size_t i) {
  const Place place = layer_and_head(rows);
  const auto part = [](const char* name, std::uint32_t number) {
    return std::string(", ") + name + ' ' + std::to_string(number);
  };
  return "at " + std::string(site_of(rows.first).name) +
         (place.layer ? part("layer", *place.layer) : "") +
         (place.head ? part("head", *place.head) : "") +
         part("row", rows.first.row + static_cast<std::uint32_t>(i)) +
         part("sequence", rows.first.sequence);
}

}  // namespace lamp::experiments
