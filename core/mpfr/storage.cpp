#include "core/mpfr/storage.hpp"

#include <set>
#include <vector>

#include "core/model/networks/network.hpp"
#include "core/mpfr/number_system.hpp"

namespace lamp::mpfr {

void store_rows(const NumberSystem& system, MatrixView<double> out, Entries entries) {
  for (std::size_t i = 0; i < out.rows; ++i) {
    std::vector<double> x;
    const std::size_t later = entries == Entries::causal ? out.rows - 1 - i : 0;  // masked keys
    for (std::size_t j = 0; j + later < out.cols; ++j) x.push_back(out(i, j));
    mpfr::round_row(system, x, x);
    for (std::size_t j = 0; j < x.size(); ++j) out(i, j) = x[j];
  }
}

void store_cache(const ModelConfig& model, const Storage& storage, Site site, std::size_t first,
                 MatrixView<double> rows) {
  std::set<std::size_t> stored;  // first columns: heads of one group have the same
  for (const SiteRow& row : model.network->sites) {
    const bool keys = row.operation == Operation::scores;
    if (!keys && row.operation != Operation::values) continue;
    const Storage::System& system = keys ? storage.keys : storage.values;
    if (!system || row.inputs[1].site != site) continue;
    for (std::size_t head = 0; head < model.n_head; ++head) {
      const Columns of_head = input_columns(model, row, 1, Head{head}, 0);
      if (stored.insert(of_head.first).second)
        mpfr::store_rows(*system, rows.columns(of_head.first - first, of_head.count), Entries::all);
    }
  }
}

}  // namespace lamp::mpfr
