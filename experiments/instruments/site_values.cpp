#include "experiments/instruments/site_values.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "core/base/contract.hpp"

namespace lamp::experiments {
std::size_t part_of(const ModelConfig& model, const TapPoint& point) {
  return point.layer.value * heads_of(model, point.site) + point.head.value;
}

std::size_t elements_of(const ModelConfig& model, Site site, std::size_t sequence_length) {
  return layers_of(model, site) * heads_of(model, site) * sequence_length *
         width_of(model, site, sequence_length);
}

record::Quantity site_quantity(const ModelConfig& model, Site site, std::string path,
                               std::string_view units, std::string long_name) {
  record::Quantity quantity{.path = std::move(path),
                            .dims = {},
                            .shape = {},
                            .units = std::string(units),
                            .long_name = std::move(long_name)};
  if (info(site).per_layer)
    quantity.dims.emplace_back("layer"), quantity.shape.push_back(model.n_layer);
  if (info(site).per_head)
    quantity.dims.emplace_back("head"), quantity.shape.push_back(model.n_head);
  return quantity;
}

record::Quantity whole_site_quantity(const ModelConfig& model, Site site,
                                     std::size_t sequence_length, std::string path,
                                     std::string_view long_name) {
  record::Quantity quantity =
      site_quantity(model, site, std::move(path), "1", std::string(long_name));
  quantity.dims.insert(quantity.dims.end(), {"query", "component"});
  quantity.shape.insert(quantity.shape.end(),
                        {sequence_length, width_of(model, site, sequence_length)});
  return quantity;
}

SiteValues::SiteValues(const ModelConfig& model, Site site, std::size_t sequence_length)
    : causal_(info(site).causal), heads_(heads_of(model, site)) {
  const std::size_t parts = layers_of(model, site) * heads_,
                    width = width_of(model, site, sequence_length);
  parts_.assign(parts,
                Matrix<double>(sequence_length, width, std::numeric_limits<double>::quiet_NaN()));
}

std::size_t SiteValues::index(const TapPoint& point) const {
  return point.layer.value * heads_ + point.head.value;
}

void SiteValues::put(const TapPoint& point, MatrixView<const double> x) {
  Matrix<double>& part = parts_[index(point)];
  for (std::size_t i = 0; i < x.rows; ++i) {
    const std::span<const double> row = x.row(i).first(causal_ ? i + 1 : x.cols);
    std::copy(row.begin(), row.end(), part.row(point.first_row + i).begin());
  }
}

MatrixView<const double> SiteValues::at(const TapPoint& point, std::size_t rows) const {
  return parts_[index(point)].view().row_block(point.first_row, rows);
}

std::vector<double> SiteValues::flat(std::size_t sequence_length) const {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> all;
  for (const Matrix<double>& part : parts_) {
    expects(part.rows() <= sequence_length, "SiteValues: no longer than a sequence may be");
    const std::size_t begin = all.size(), width = causal_ ? sequence_length : part.cols();
    all.resize(begin + sequence_length * width, none);
    for (std::size_t i = 0; i < part.rows(); ++i)
      std::copy(part.row(i).begin(), part.row(i).end(),
                all.begin() + static_cast<std::ptrdiff_t>(begin + i * width));
  }
  return all;
}

}  // namespace lamp::experiments
