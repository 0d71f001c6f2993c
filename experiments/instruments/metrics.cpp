// How far a cell's next-token distributions are from the reference's: means and by position.
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

constexpr std::string_view cross_entropy_mean =
    "cross-entropy of the next token, mean over positions";
constexpr std::string_view cross_entropy_by_position =
    "cross-entropy of the next token; NaN at the last position, which predicts none";
/// What flip_position has beyond the length of a sequence: "none" of flip_meanings.
constexpr std::uint8_t no_position = 2;

/// What stands for a value of this type at a position that has none. Cross-entropy has one value
/// less than there are tokens: the last position has nothing to predict.
template <class T>
constexpr T no_value = std::numeric_limits<T>::quiet_NaN();
template <>
constexpr std::uint8_t no_value<std::uint8_t> = no_position;
template <>
constexpr std::int64_t no_value<std::int64_t> = -1;

/// As many values as the longest sequence has.
template <class T, class Values>
std::vector<T> padded(const Values& values, std::size_t sequence_length) {
  std::vector<T> all(values.begin(), values.end());
  all.resize(sequence_length, no_value<T>);
  return all;
}

class Metrics final : public Instrument {
 public:
  explicit Metrics(const Recording& recording)
      : recording_(recording), length_(recording.sequence_length()) {}

  std::vector<Reading<>> readings() override {
    return {
        mean_reading("/metrics/kl", &MeanMetrics::kl, "nat",
                     "KL(reference || run), mean over positions"),
        mean_reading("/metrics/flip_rate", &MeanMetrics::flip_rate, "1",
                     "share of positions whose argmax differs from the reference's"),
        mean_reading("/metrics/cross_entropy", &MeanMetrics::cross_entropy, "nat",
                     cross_entropy_mean),
        position_reading("/metrics/kl_position", &PositionMetrics::kl, "nat",
                         "KL(reference || run)"),
        position_reading("/metrics/flip_position", &PositionMetrics::flip, "1",
                         "argmax differs from the reference's", flip_meanings()),
        position_reading("/metrics/cross_entropy_position", &PositionMetrics::cross_entropy, "nat",
                         cross_entropy_by_position),
    };
  }

  [[nodiscard]] std::vector<Reading<Reference>> reference_readings() const override {
    std::vector<Reading<Reference>> all{
        {by_position("/reference/tokens", "1", "token ids", "-1"),
         [length = length_](const Reference& reference) {
           return padded<std::int64_t>(reference.tokens, length);
         }},
        {scalar("/reference/cross_entropy", "nat", cross_entropy_mean),
         [](const Reference& reference) {
           return std::vector{mean(reference.distribution.cross_entropy())};
         }},
        {by_position("/reference/cross_entropy_position", "nat", cross_entropy_by_position),
         [length = length_](const Reference& reference) {
           return padded<double>(reference.distribution.cross_entropy(), length);
         }},
    };
    if (recording_.config.tokens.lengths_vary())
      all.push_back({scalar("/reference/length", "1", "tokens of the sequence"),
                     [](const Reference& reference) {
                       return std::vector{static_cast<std::int64_t>(reference.tokens.size())};
                     }});
    return all;
  }

  [[nodiscard]] bool listens(Site site) const override { return site == Site::logits; }

  void begin(const Reference& reference, const PrecisionPlan&, const Records&) override {
    reference_ = &reference.distribution;
    positions_.resize(reference.tokens.size());
  }

  void values(const TapPoint& point, MatrixView<const double> x) override {
    MetricsScratch scratch;
    compare(*reference_, point.first_row, x, positions_, scratch);
  }
  [[nodiscard]] bool takes_rows_apart(Site) const override { return true; }

  void end(const Pass&) override { means_ = means(positions_); }

 private:
  /// readings() names path and member on one line, so that swapping lines cannot part them.
  [[nodiscard]] Reading<> mean_reading(std::string_view path, double MeanMetrics::*value,
                                       std::string_view units, std::string_view long_name) const {
    return {scalar(path, units, long_name), [this, value] { return std::vector{means_.*value}; }};
  }
  template <class T>
  [[nodiscard]] Reading<> position_reading(std::string_view path,
                                           std::vector<T> PositionMetrics::*values,
                                           std::string_view units, std::string_view long_name,
                                           std::vector<std::string> flag_meanings = {}) const {
    record::Quantity quantity =
        by_position(path, units, long_name, flag_meanings.empty() ? "NaN" : flag_meanings.back());
    quantity.flag_meanings = std::move(flag_meanings);
    return {std::move(quantity), [this, values] { return padded<T>(positions_.*values, length_); }};
  }
  [[nodiscard]] std::vector<std::string> flip_meanings() const {
    std::vector<std::string> meanings{"same", "flipped"};
    if (recording_.config.tokens.lengths_vary()) meanings.emplace_back("none");
    return meanings;
  }

  static record::Quantity scalar(std::string_view path, std::string_view units,
                                 std::string_view long_name) {
    return {.path = std::string(path),
            .dims = {},
            .shape = {},
            .units = std::string(units),
            .long_name = std::string(long_name)};
  }
  /// `fill`: what it has at positions beyond the length of a sequence.
  [[nodiscard]] record::Quantity by_position(std::string_view path, std::string_view units,
                                             std::string_view long_name,
                                             std::string_view fill = "NaN") const {
    record::Quantity quantity =
        scalar(path, units, std::string(long_name) + recording_.beyond(fill));
    quantity.dims = {"position"};
    quantity.shape = {length_};
    return quantity;
  }

  Recording recording_;
  std::size_t length_;  // of the longest sequence
  const ReferenceDistribution* reference_ = nullptr;
  PositionMetrics positions_;
  MeanMetrics means_;
};

}  // namespace

std::unique_ptr<Instrument> metrics(const Recording& recording) {
  return std::make_unique<Metrics>(recording);
}

}  // namespace lamp::experiments
