// The values of a site in one pass, and the quantities that have a site's dimensions.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/forward.hpp"
#include "core/model/networks/network.hpp"
#include "core/record/contents.hpp"

namespace lamp::experiments {

/// Where a (layer, head) of a site stands among all of them.
std::size_t part_of(const ModelConfig& model, const TapPoint& point);

/// Numbers in all values of a site.
std::size_t elements_of(const ModelConfig& model, Site site, std::size_t sequence_length);

/// A quantity with the dimensions (layer, head), those that the site has.
record::Quantity site_quantity(const ModelConfig& model, Site site, std::string path,
                               std::string_view units, std::string long_name);

/// One with (query, component) after them, as SiteValues::flat() gives the values of a site.
record::Quantity whole_site_quantity(const ModelConfig& model, Site site,
                                     std::size_t sequence_length, std::string path,
                                     std::string_view long_name);

/// Values of one site of one pass, one matrix a (layer, head), rows token positions.
class SiteValues {
 public:
  SiteValues(const ModelConfig& model, Site site, std::size_t sequence_length);
  void put(const TapPoint& point, MatrixView<const double> x);
  [[nodiscard]] MatrixView<const double> at(const TapPoint& point, std::size_t rows) const;
  /// All values, (layer, head, query, component), NaN for the masked entries of a causal site and
  /// for queries beyond this pass, to `sequence_length`. Pre: it is that of this pass, or more.
  [[nodiscard]] std::vector<double> flat(std::size_t sequence_length) const;

 private:
  [[nodiscard]] std::size_t index(const TapPoint& point) const;
  bool causal_;
  std::size_t heads_;
  std::vector<Matrix<double>> parts_;
};

using SiteValuesMap = std::map<Site, SiteValues>;

}  // namespace lamp::experiments
