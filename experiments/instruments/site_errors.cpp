// Errors of the sites of record.errors, forward and local: statistics, and whole arrays where
// record.detail is full.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "analysis/errors.hpp"
#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

using record::Quantity;

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
constexpr Kind forward_kind{"forward", "forward error, x - x_ref"};
constexpr Kind local_kind{"local", "local error, x - g_ref(computed inputs)"};

/// One kind of error at one site in one pass; empty where the cell records none.
struct Errors {
  std::vector<ErrorStatistics> statistics;  // (layer, head)
  std::vector<SiteValues> whole;            // one where record.detail is full, else none
};

/// A statistic of each (layer, head).
template <class T>
std::vector<T> each(const Errors& errors, T (*statistic)(const ErrorStatistics&)) {
  std::vector<T> values;
  for (const ErrorStatistics& s : errors.statistics) values.push_back(statistic(s));
  return values;
}

std::vector<std::uint64_t> bins(const Errors& errors) {
  std::vector<std::uint64_t> values;
  for (const ErrorStatistics& s : errors.statistics)
    values.insert(values.end(), s.bins().begin(), s.bins().end());
  return values;
}

std::vector<double> whole(const Errors& errors, std::size_t sequence_length) {
  return errors.whole.empty() ? std::vector<double>{} : errors.whole.front().flat(sequence_length);
}

class SiteErrors final : public Instrument {
 public:
  explicit SiteErrors(const Recording& recording) : recording_(recording) {
    for (const Site site : recording.config.record_errors) recorded_[site] = {};
  }

  std::vector<Reading<>> readings() override {
    std::vector<Reading<>> all;
    for (const Site site : recording_.config.record_errors) {
      const Recorded& recorded = recorded_.at(site);
      add_readings(all, site, forward_kind, recorded.forward);
      add_readings(all, site, local_kind, recorded.local);
    }
    return all;
  }

  [[nodiscard]] std::vector<record::Axis> axes() const override {
    std::vector<double> edges;
    for (std::size_t bin = 0; bin < ErrorBins::count; ++bin) edges.push_back(ErrorBins::edge(bin));
    return {{.name = "bin",
             .values = edges,
             .units = "u",
             .long_name = "lower edge of the bin, in units of u; 0: no error"}};
  }

  [[nodiscard]] bool listens(Site site) const override { return recorded_.contains(site); }
  [[nodiscard]] bool needs_reference(Site site) const override { return listens(site); }
  [[nodiscard]] bool is_recorded(const Records& records) const override { return records.errors; }
  [[nodiscard]] bool wants_local(Site site) const override { return errors_ && listens(site); }

  void begin(const Reference& reference, const PrecisionPlan& plan,
             const Records& records) override {
    reference_ = &reference.sites;
    errors_ = records.errors;
    for (auto& [site, recorded] : recorded_) {
      recorded.forward = errors_ ? no_errors_yet(site, plan, reference.tokens.size()) : Errors{};
      recorded.local = recorded.forward;
    }
  }

  void values(const TapPoint& point, MatrixView<const double> x) override {
    if (errors_)
      add(recorded_.at(point.site).forward, point, x, reference_->at(point.site).at(point, x.rows));
  }

  void local(const TapPoint& point, MatrixView<const double> x,
             MatrixView<const double> reference) override {
    add(recorded_.at(point.site).local, point, x, reference);
  }

 private:
  struct Recorded {
    Errors forward, local;
  };

  /// Of one kind at one site. The readings refer to `errors`, which stays where it is.
  void add_readings(std::vector<Reading<>>& all, Site site, const Kind& kind,
                    const Errors& errors) const {
    const std::string path =
        "/errors/" + std::string(info(site).name) + "/" + std::string(kind.name);
    const std::string of_kind = " (" + std::string(kind.meaning) + ")";
    for (const Statistic& s : statistics) {
      Quantity quantity = site_quantity(recording_.model, site, path + "_" + std::string(s.name),
                                        s.units, std::string(s.meaning) + of_kind);
      if (s.counted != nullptr)
        all.push_back({std::move(quantity), [&errors, f = s.counted] { return each(errors, f); }});
      else
        all.push_back({std::move(quantity), [&errors, f = s.measured] { return each(errors, f); }});
    }
    Quantity binned = site_quantity(recording_.model, site, path + "_bins", "1",
                                    "components by abs(relative error) / u" + of_kind);
    binned.dims.emplace_back("bin");
    binned.shape.push_back(ErrorBins::count);
    all.push_back({std::move(binned), [&errors] { return bins(errors); }});
    if (recording_.config.record_detail == Detail::full)
      all.push_back(
          {whole_site_quantity(recording_.model, site, recording_.sequence_length(), path,
                               std::string(kind.meaning) + recording_.beyond("NaN")),
           [&errors, length = recording_.sequence_length()] { return whole(errors, length); }});
  }

  [[nodiscard]] Errors no_errors_yet(Site site, const PrecisionPlan& plan,
                                     std::size_t length) const {
    Errors errors;
    for (std::size_t l = 0; l < layers_of(recording_.model, site); ++l)
      for (std::size_t h = 0; h < heads_of(recording_.model, site); ++h)
        errors.statistics.emplace_back(plan.at(site, Layer{l}, Head{h}).mac.format);
    if (recording_.config.record_detail == Detail::full)
      errors.whole.emplace_back(recording_.model, site, length);
    return errors;
  }

  void add(Errors& errors, const TapPoint& point, MatrixView<const double> x,
           MatrixView<const double> reference) {
    const bool causal = info(point.site).causal;
    errors.statistics[part_of(recording_.model, point)].add(x, reference, causal);
    for (SiteValues& all : errors.whole) {
      Matrix<double> difference(x.rows, x.cols);
      for (std::size_t i = 0; i < x.rows; ++i)
        for (std::size_t j = 0; j < (causal ? i + 1 : x.cols); ++j)
          difference(i, j) = x(i, j) - reference(i, j);
      all.put(point, difference.view());
    }
  }

  Recording recording_;
  const SiteValuesMap* reference_ = nullptr;
  bool errors_ = false;
  std::map<Site, Recorded> recorded_;
};

}  // namespace

std::unique_ptr<Instrument> site_errors(const Recording& recording) {
  return recording.config.record_errors.empty() ? nullptr : std::make_unique<SiteErrors>(recording);
}

}  // namespace lamp::experiments
