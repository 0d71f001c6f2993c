#include "core/model/buffers.hpp"

#include <optional>

namespace lamp {
namespace {

constexpr bool has_buffer(Operation operation) {
  return !makes_stream(operation) && operation != Operation::logits;
}

std::size_t columns_of(const ModelConfig& model, const SiteRow& row) {
  return row.width == nullptr ? 0 : heads_of(model, row.site) * row.width(model);
}

/// Whether the buffer is free: no row of `readers` reads what a row of `before` left in it.
bool is_free(const Buffers& buffers, std::span<const SiteRow> before,
             std::span<const SiteRow> readers, std::size_t buffer) {
  for (const SiteRow& row : before)
    if (has_buffer(row.operation) && buffers.of[static_cast<std::size_t>(row.site)] == buffer &&
        reads(readers, row.site))
      return false;
  return true;
}

/// A buffer that row `at` may write to; nothing where each is in use.
std::optional<std::size_t> shared(const Buffers& buffers, const ModelConfig& model,
                                  std::size_t at) {
  const std::span<const SiteRow> rows = model.network->sites;
  const std::span<const SiteRow> before = rows.first(at);
  const SiteRow& row = rows[at];
  const auto buffer = [&](Site site) { return buffers.of[static_cast<std::size_t>(site)]; };
  if (row.operation == Operation::activation) {
    const Input& input = row.inputs[0];
    if (input.site && input.columns == nullptr &&
        columns_of(model, row_of(*model.network, *input.site)) == columns_of(model, row) &&
        is_free(buffers, before, rows.subspan(at + 1), buffer(*input.site)))
      return buffer(*input.site);
  }
  for (const SiteRow& other : before)
    if (other.operation == row.operation && columns_of(model, other) == columns_of(model, row) &&
        is_free(buffers, before, rows.subspan(at), buffer(other.site)))
      return buffer(other.site);
  return std::nullopt;
}

}  // namespace

Buffers::Buffers(const ModelConfig& model) {
  const std::span<const SiteRow> rows = model.network->sites;
  for (std::size_t at = 0; at < rows.size(); ++at) {
    if (!has_buffer(rows[at].operation)) continue;
    const std::optional<std::size_t> found = shared(*this, model, at);
    of[static_cast<std::size_t>(rows[at].site)] = found.value_or(shapes.size());
    if (!found) shapes.push_back({columns_of(model, rows[at])});
  }
}

}  // namespace lamp
