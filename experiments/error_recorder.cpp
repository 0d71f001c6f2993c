#include "experiments/error_recorder.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

namespace lamp::experiments {
namespace {

using record::Quantity;
using record::Values;

std::size_t layers_of(const ModelConfig& model, Site site) {
  return info(site).per_layer ? model.n_layer : 1;
}
std::size_t heads_of(const ModelConfig& model, Site site) {
  return info(site).per_head ? model.n_head : 1;
}

/// Width of a site's values: how many components a token position has.
std::size_t components_of(const ModelConfig& model, Site site, std::size_t sequence_length) {
  switch (site) {
    case Site::qkv:
      return 3 * model.n_embd;
    case Site::scores:
    case Site::softmax:
      return sequence_length;
    case Site::values:
      return model.d_head();
    case Site::mlp_fc:
    case Site::gelu:
      return model.n_inner;
    case Site::logits:
      return model.vocab_size;
    default:
      return model.n_embd;
  }
}

/// A quantity of a site with dimensions (layer, head, then `inner`), layer and head where the site
/// has them.
Quantity site_quantity(const ModelConfig& model, Site site, const std::string& group,
                       const std::string& name,
                       const std::vector<std::pair<std::string, std::size_t>>& inner) {
  Quantity quantity;
  quantity.path = "/" + group + "/" + std::string(info(site).name) + "/" + name;
  if (info(site).per_layer)
    quantity.dims.emplace_back("layer"), quantity.shape.push_back(model.n_layer);
  if (info(site).per_head)
    quantity.dims.emplace_back("head"), quantity.shape.push_back(model.n_head);
  for (const auto& [dim, size] : inner)
    quantity.dims.push_back(dim), quantity.shape.push_back(size);
  return quantity;
}

/// What is kept of one kind of error: one list for the names, the meanings and the numbers.
struct Statistic {
  std::string_view name, units, meaning;
  std::uint64_t (*counted)(const ErrorStatistics&) = nullptr;  // a count, or
  double (*measured)(const ErrorStatistics&) = nullptr;        // a real number
};

constexpr std::array statistics{
    Statistic{"count", "1", "components with a relative error",
              [](const ErrorStatistics& s) { return s.count(); }},
    Statistic{"nan", "1", "components that are NaN here or in the reference",
              [](const ErrorStatistics& s) { return s.nan(); }},
    Statistic{"inf", "1", "components that are infinite here or in the reference",
              [](const ErrorStatistics& s) { return s.inf(); }},
    Statistic{"zero", "1", "components whose reference is 0",
              [](const ErrorStatistics& s) { return s.zero(); }},
    Statistic{"underflow", "1", "components that are 0 or subnormal, the reference not 0",
              [](const ErrorStatistics& s) { return s.underflow(); }},
    Statistic{"max_abs", "1", "largest absolute error", nullptr,
              [](const ErrorStatistics& s) { return s.max_abs(); }},
    Statistic{"rms_abs", "1", "root mean square absolute error", nullptr,
              [](const ErrorStatistics& s) { return s.rms_abs(); }},
    Statistic{"max_rel", "1", "largest relative error", nullptr,
              [](const ErrorStatistics& s) { return s.max_rel(); }},
    Statistic{"rms_rel", "1", "root mean square relative error", nullptr,
              [](const ErrorStatistics& s) { return s.rms_rel(); }},
    Statistic{"max_u", "u", "largest relative error in units of the site's u", nullptr,
              [](const ErrorStatistics& s) { return s.max_u(); }},
    Statistic{"rms_u", "u", "root mean square relative error in units of the site's u", nullptr,
              [](const ErrorStatistics& s) { return s.rms_u(); }},
};

struct Kind {
  std::string_view name, meaning;
};
constexpr std::array kinds{Kind{"forward", "forward error, x - x_ref"},
                           Kind{"local", "local error, x - g_ref(computed inputs)"}};

}  // namespace

bool RecordSpec::keeps(Site site) const {
  return std::find(errors.begin(), errors.end(), site) != errors.end() ||
         std::find(activations.begin(), activations.end(), site) != activations.end();
}

SiteValues::SiteValues(const ModelConfig& model, Site site, std::size_t sequence_length)
    : causal_(info(site).causal), heads_(heads_of(model, site)) {
  const std::size_t parts = layers_of(model, site) * heads_,
                    width = components_of(model, site, sequence_length);
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

std::vector<double> SiteValues::flat() const {
  std::vector<double> all;
  for (const Matrix<double>& part : parts_)
    all.insert(all.end(), part.flat().begin(), part.flat().end());
  return all;
}

std::vector<Quantity> recorded_quantities(const RecordSpec& spec, const ModelConfig& model,
                                          std::size_t sequence_length) {
  std::vector<Quantity> quantities;
  for (const Site site : spec.errors)
    for (const Kind& kind : kinds) {
      const std::string prefix = std::string(kind.name) + "_";
      for (const Statistic& statistic : statistics) {
        Quantity q = site_quantity(model, site, "errors", prefix + std::string(statistic.name), {});
        q.units = statistic.units;
        q.long_name = std::string(statistic.meaning) + " (" + std::string(kind.meaning) + ")";
        if (statistic.counted != nullptr) q.prototype = std::vector<std::uint64_t>{};
        quantities.push_back(std::move(q));
      }
      Quantity bins =
          site_quantity(model, site, "errors", prefix + "bins", {{"bin", ErrorBins::count}});
      bins.units = "1";
      bins.long_name = "components by abs(relative error) / u (" + std::string(kind.meaning) + ")";
      bins.prototype = std::vector<std::uint64_t>{};
      quantities.push_back(std::move(bins));
      if (spec.full) {
        Quantity whole =
            site_quantity(model, site, "errors", std::string(kind.name),
                          {{"query", sequence_length},
                           {"component", components_of(model, site, sequence_length)}});
        whole.units = "1";
        whole.long_name = kind.meaning;
        quantities.push_back(std::move(whole));
      }
    }
  for (const Site site : spec.activations) {
    Quantity run = site_quantity(
        model, site, "activations", "run",
        {{"query", sequence_length}, {"component", components_of(model, site, sequence_length)}});
    run.units = "1";
    run.long_name = "values of the run";
    quantities.push_back(std::move(run));
  }
  return quantities;
}

std::vector<Quantity> recorded_reference_quantities(const RecordSpec& spec,
                                                    const ModelConfig& model,
                                                    std::size_t sequence_length) {
  std::vector<Quantity> quantities;
  for (const Site site : spec.activations) {
    Quantity reference = site_quantity(
        model, site, "activations", "reference",
        {{"query", sequence_length}, {"component", components_of(model, site, sequence_length)}});
    reference.units = "1";
    reference.long_name = "values of the reference";
    quantities.push_back(std::move(reference));
  }
  return quantities;
}

std::vector<Values> recorded_reference_values(const RecordSpec& spec,
                                              const SiteValuesMap& reference) {
  std::vector<Values> values;
  for (const Site site : spec.activations) values.emplace_back(reference.at(site).flat());
  return values;
}

record::Axis bin_axis() {
  std::vector<double> edges;
  for (std::size_t bin = 0; bin < ErrorBins::count; ++bin) edges.push_back(ErrorBins::edge(bin));
  return {.name = "bin",
          .values = edges,
          .units = "u",
          .long_name = "lower edge of the bin, in units of u; 0: no error"};
}

void ErrorRecorder::begin(const SiteValuesMap& reference, const PrecisionPlan& plan,
                          std::size_t sequence_length, bool errors) {
  reference_ = &reference;
  errors_ = errors;
  recorded_.clear();
  activations_.clear();
  if (errors)
    for (const Site site : spec_.errors) {
      Errors empty;
      for (std::size_t l = 0; l < layers_of(model_, site); ++l)
        for (std::size_t h = 0; h < heads_of(model_, site); ++h)
          empty.statistics.emplace_back(plan.at(site, Layer{l}, Head{h}).mac.format);
      if (spec_.full) empty.whole.emplace_back(model_, site, sequence_length);
      recorded_.insert({site, Recorded{.forward = empty, .local = empty}});
    }
  for (const Site site : spec_.activations)
    activations_.insert({site, SiteValues(model_, site, sequence_length)});
}

void ErrorRecorder::add(Errors& errors, const TapPoint& point, MatrixView<const double> x,
                        MatrixView<const double> reference) {
  errors.statistics[point.layer.value * heads_of(model_, point.site) + point.head.value].add(
      x, reference, info(point.site).causal);
  for (SiteValues& whole : errors.whole) {
    Matrix<double> difference(x.rows, x.cols);
    for (std::size_t i = 0; i < x.rows; ++i)
      for (std::size_t j = 0; j < (info(point.site).causal ? i + 1 : x.cols); ++j)
        difference(i, j) = x(i, j) - reference(i, j);
    whole.put(point, difference.view());
  }
}

void ErrorRecorder::values(const TapPoint& point, MatrixView<const double> x) {
  if (const auto found = recorded_.find(point.site); found != recorded_.end())
    add(found->second.forward, point, x, reference_->at(point.site).at(point, x.rows));
  if (const auto found = activations_.find(point.site); found != activations_.end())
    found->second.put(point, x);
}

void ErrorRecorder::local(const TapPoint& point, MatrixView<const double> x,
                          MatrixView<const double> reference) {
  add(recorded_.at(point.site).local, point, x, reference);
}

std::vector<Values> ErrorRecorder::take() {
  std::vector<Values> values;
  for (const Site site : spec_.errors)
    for (const Kind& kind : kinds) {
      const Errors* errors = errors_ ? &(kind.name == "forward" ? recorded_.at(site).forward
                                                                : recorded_.at(site).local)
                                     : nullptr;
      for (const Statistic& statistic : statistics) {
        std::vector<std::uint64_t> counts;
        std::vector<double> measures;
        if (errors != nullptr)
          for (const ErrorStatistics& s : errors->statistics)
            statistic.counted != nullptr ? counts.push_back(statistic.counted(s))
                                         : measures.push_back(statistic.measured(s));
        values.push_back(statistic.counted != nullptr ? Values(std::move(counts))
                                                      : Values(std::move(measures)));
      }
      std::vector<std::uint64_t> bins;
      if (errors != nullptr)
        for (const ErrorStatistics& s : errors->statistics) {
          const auto here = s.bins();
          bins.insert(bins.end(), here.begin(), here.end());
        }
      values.emplace_back(std::move(bins));
      if (spec_.full)
        values.emplace_back(errors != nullptr ? errors->whole.front().flat()
                                              : std::vector<double>{});
    }
  for (const Site site : spec_.activations) values.emplace_back(activations_.at(site).flat());
  return values;
}

}  // namespace lamp::experiments
