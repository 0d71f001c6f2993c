// Storage: the number system that values are kept in, apart from the arithmetic that made them
// (method.md section 4). What is stored is rounded once, RNE, row by row: a row of a site's output
// is a token position, of a site per head the head's; of a causal site its entries j <= i.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/base/index.hpp"
#include "core/base/matrix.hpp"
#include "core/fp/number_system.hpp"
#include "core/model/site.hpp"

namespace lamp {

struct Model;
struct ModelConfig;

/// A system that is absent: values stay as they were computed.
struct Storage {
  using System = std::optional<NumberSystem>;

  System everywhere{};  // every site's output
  System weights{};
  System keys{}, values{};  // of the cache, from what their sites stored: a second rounding
  /// A site's own, in one layer or in all; the most specific wins.
  std::map<std::pair<Site, std::optional<Layer>>, System> sites{};

  /// The system of a site's output; null: as computed.
  [[nodiscard]] const NumberSystem* at(Site site, Layer layer) const;
  [[nodiscard]] bool has_cache() const { return keys || values; }
  friend bool operator==(const Storage&, const Storage&) = default;
};

/// Rounds every row of a site's output by itself. Of causal entries row i has the first out.cols -
/// out.rows + i + 1.
void store_rows(const NumberSystem& system, MatrixView<double> out, Entries entries);

/// The columns of a site's output that one head or group of heads reads as keys, or as values: a
/// row of them is rounded by itself.
struct CachedColumns {
  Site site;
  std::size_t first, count;
  bool are_keys;
};
/// Each once.
std::vector<CachedColumns> cached_columns(const ModelConfig& model);

/// Rounds rows of the cache, which hold the columns of a site from column `first` on.
void store_cache(const Storage& storage, std::span<const CachedColumns> cached, Site site,
                 std::size_t first, MatrixView<double> rows);

/// The model with its weights stored: matrices along their input dimension (token and position
/// vectors along their components, as the head reads them), a bias, a gain as a row of its own. A
/// tensor_scale "auto" is of the whole tensor. Pre: keeps_binary32(system).
Model with_stored_weights(const Model& model, const NumberSystem& system);

/// Binary32 numbers are rounded to binary32 numbers, which is what token vectors are kept in.
bool keeps_binary32(const NumberSystem& system);

}  // namespace lamp
