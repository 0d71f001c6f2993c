#include "core/model/storage.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "core/arith/scalar.hpp"
#include "core/base/contract.hpp"
#include "core/model/networks/network.hpp"
#include "core/model/weights.hpp"

namespace lamp {
namespace {

/// The largest finite magnitude of a tensor, where the system asks for it.
template <class Values>
std::optional<double> tensor_of(const NumberSystem& system, const Values& all) {
  if (!reads_tensor(system)) return std::nullopt;
  const std::vector<double> wide(all.begin(), all.end());
  return largest_magnitude(wide);
}

void store(const NumberSystem& system, std::vector<double>& row) { round_row(system, row, row); }

/// Each row by itself, as the columns of a head that shares them.
void store(const NumberSystem& system, Matrix<float>& rows) {
  const std::optional<double> tensor = tensor_of(system, rows.flat());
  std::vector<double> row(rows.cols());
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    const std::span<float> values = rows.row(i);
    row.assign(values.begin(), values.end());
    round_row(system, row, row, tensor);
    expects(all_binary32(row), "with_stored_weights: keeps_binary32(system)");
    for (std::size_t j = 0; j < row.size(); ++j) values[j] = static_cast<float>(row[j]);
  }
}

/// Each column by itself.
void store(const NumberSystem& system, PackedMatrix& weight) {
  Matrix<double> columns(weight.cols(), weight.rows());
  for (std::size_t j = 0; j < weight.cols(); ++j)
    for (std::size_t k = 0; k < weight.rows(); ++k) columns(j, k) = weight.at(k, j);
  const std::optional<double> tensor = tensor_of(system, columns.flat());
  for (std::size_t j = 0; j < columns.rows(); ++j)
    round_row(system, columns.row(j), columns.row(j), tensor);
  weight.assign(std::as_const(columns).view().transposed());
}

/// The weights of one site, whatever its operation.
template <class Of>
void store_weights(const NumberSystem& system, Of& weights) {
  if constexpr (requires { weights.tokens; }) {
    store(system, weights.tokens);
    store(system, weights.positions);
  } else if constexpr (requires { weights.weight; }) {
    store(system, weights.weight);
    store(system, weights.bias);
  } else if constexpr (requires { weights.gamma; }) {
    store(system, weights.gamma);
    if constexpr (requires { weights.beta; }) store(system, weights.beta);
  } else {
    static_assert(std::is_same_v<Of, std::monostate>, "weights that are stored");
  }
}

}  // namespace

const NumberSystem* Storage::at(Site site, Layer layer) const {
  const System* found = &everywhere;
  for (const std::optional<Layer>& where : {std::optional<Layer>(), std::optional(layer)})
    if (const auto own = sites.find({site, where}); own != sites.end()) found = &own->second;
  return *found ? &**found : nullptr;
}

void store_rows(const NumberSystem& system, MatrixView<double> out, Entries entries) {
  for (std::size_t i = 0; i < out.rows; ++i) {
    const std::size_t n = entries == Entries::causal ? out.cols - out.rows + i + 1 : out.cols;
    const std::span<double> row = out.row(i).first(n);
    round_row(system, row, row);
  }
}

std::vector<CachedColumns> cached_columns(const ModelConfig& model) {
  std::vector<CachedColumns> all;
  for (const SiteRow& row : model.network->sites)
    for (std::size_t k = 0; k < inputs_of(row).size(); ++k) {
      const Input& input = row.inputs[k];
      if (!input.earlier_rows) continue;
      for (std::size_t h = 0; h < heads_of(model, row.site); ++h) {
        const Columns columns = input_columns(model, row, k, Head{h}, 0);
        const CachedColumns part{*input.site, columns.first, columns.count,
                                 row.operation == Operation::scores};
        const auto same = [&](const CachedColumns& c) {
          return c.site == part.site && c.first == part.first && c.are_keys == part.are_keys;
        };
        if (std::none_of(all.begin(), all.end(), same)) all.push_back(part);
      }
    }
  return all;
}

void store_cache(const Storage& storage, std::span<const CachedColumns> cached, Site site,
                 std::size_t first, MatrixView<double> rows) {
  for (const CachedColumns& part : cached) {
    const Storage::System& system = part.are_keys ? storage.keys : storage.values;
    if (part.site == site && system)
      store_rows(*system, rows.columns(part.first - first, part.count), Entries::all);
  }
}

Model with_stored_weights(const Model& model, const NumberSystem& system) {
  Model stored = model;
  stored.weights.for_each([&](SiteWeights& weights) {
    std::visit([&](auto& of) { store_weights(system, of); }, weights);
  });
  return stored;
}

bool keeps_binary32(const NumberSystem& system) {
  if (const FloatFormat* format = system.float_format())
    return contains(binary32, *format) || contains(*format, binary32);
  return system.visit([]<class S>(const S& s) {
    if constexpr (std::is_same_v<S, BlockFormat>) {
      int exponent = 0;
      return !s.reads_tensor() && s.element.p + s.scale.p <= binary32.p &&
             std::frexp(s.tensor_scale.number, &exponent) == 0.5;  // a power of two
    }
    return false;
  });
}

}  // namespace lamp
