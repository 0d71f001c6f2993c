// The rows of scores that [truth] asks for.
#pragma once

#include <algorithm>
#include <vector>

#include "analysis/truth/end_to_end.hpp"
#include "core/base/philox.hpp"
#include "experiments/config/config.hpp"

namespace lamp::experiments {

/// Layers, then heads, then queries. Of a sample the rows whose word is below its share of 2^32:
/// word 0 of Philox4x32-10 with key (seed, sequence) and counter (0, 1, query, (layer 2^9 + head)
/// 2^7 + 4 site + 3). The draws of rules have 0 where this has 1.
inline std::vector<truth::Row> rows_of_truth(const TruthConfig& asked, const ModelConfig& model,
                                             std::size_t length, const PassOptions& options) {
  const auto is_asked = [](const std::vector<std::size_t>& which, std::size_t i) {
    return which.empty() || std::find(which.begin(), which.end(), i) != which.end();
  };
  std::vector<truth::Row> rows;
  for (const truth::Row& row : truth::all_rows(model, Site::scores, length)) {
    if (!is_asked(asked.layers, row.layer.value) || !is_asked(asked.heads, row.head.value) ||
        !is_asked(asked.queries, row.query))
      continue;
    const auto place = static_cast<std::uint32_t>(((row.layer.value << 9 | row.head.value) << 7) +
                                                  4 * info(Site::scores).draw + 3);
    const std::uint32_t word = philox4x32({0, 1, static_cast<std::uint32_t>(row.query), place},
                                          {options.seed, options.sequence})[0];
    if (!asked.sample || static_cast<double>(word) < *asked.sample * 0x1p32) rows.push_back(row);
  }
  return rows;
}

}  // namespace lamp::experiments
