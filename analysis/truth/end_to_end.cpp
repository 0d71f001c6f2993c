#include "analysis/truth/end_to_end.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "analysis/not_finite.hpp"
#include "analysis/truth/passes.hpp"
#include "core/base/side_by_side.hpp"
#include "core/fp/binary64.hpp"
#include "core/model/ops/sites.hpp"

namespace lamp::truth {
namespace {

/// Stacked rows of a batch: enough for the matrix products, few enough for the caches.
constexpr std::size_t batch_rows = 256;

/// The largest abs(x - y); NaN where there is one.
double largest_difference(std::span<const double> x, std::span<const double> y) {
  constexpr std::size_t lanes = 8;  // independent of each other, so that they are vectors
  std::array<double, lanes> most{}, nan{};
  const auto look_at = [&](std::size_t v, std::size_t lane) {
    const double difference = std::abs(x[v] - y[v]);
    most[lane] = difference > most[lane] ? difference : most[lane];
    nan[lane] += difference - difference;  // NaN, or 0; of an positive_infinity NaN too
  };
  std::size_t v = 0;
  for (; v + lanes <= x.size(); v += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane) look_at(v + lane, lane);
  for (; v < x.size(); ++v) look_at(v, 0);
  for (const double sum : nan)
    if (std::isnan(sum))
      for (std::size_t at = 0; at < x.size(); ++at)
        if (std::isnan(x[at] - y[at])) return not_a_number;
  return *std::max_element(most.begin(), most.end());
}

struct Moments {
  double mean = 0.0, variance = 0.0;
};

/// Of x under the weights p, whose sum is 1: sums in index order.
Moments moments(std::span<const double> p, std::span<const double> x) {
  Moments m;
  for (std::size_t v = 0; v < x.size(); ++v) m.mean += p[v] * x[v];
  for (std::size_t v = 0; v < x.size(); ++v)
    m.variance += p[v] * ((x[v] - m.mean) * (x[v] - m.mean));
  return m;
}

/// p of a position; `memory` holds it where `distribution` does not keep it.
std::span<const double> probabilities(const ReferenceDistribution& distribution, std::size_t t,
                                      std::vector<double>& memory) {
  const std::span<const double> kept = distribution.probabilities(t);
  if (!kept.empty()) return kept;
  memory.resize(distribution.vocab_size());
  binary64_functions::exp(distribution.log_probabilities(t), memory);
  return memory;
}

/// In integers modulo 2^64: whatever the order, right where the sum of all fits.
std::int64_t wrapping_sum(std::int64_t x, std::int64_t y) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(x) + static_cast<std::uint64_t>(y));
}

std::size_t heads_of_site(const Question& q) { return heads_of(q.model.config, q.site); }

}  // namespace

Background::Background(const Question& question, const PrecisionPlan& plan,
                       std::shared_ptr<const GivenSets> recomputed)
    : question_(question),
      recomputed_(std::move(recomputed)),
      plan_(plan),
      pass_(question.model.config, question.tokens.size()) {
  Workspace workspace;
  forward(question.model, question.tokens, plan_, question.options, pass_, workspace);
}

LogitSum::LogitSum(std::size_t positions, std::size_t vocabulary)
    : sum_(positions, vocabulary, 0), changes_(positions) {}

void LogitSum::add(std::size_t t, std::span<const double> x, std::span<const double> from) {
  const std::span<std::int64_t> sum = sum_.row(t);
  bool fits = true;
  double most = largest_;
  for (std::size_t v = 0; v < x.size(); ++v) {
    const double difference = x[v] - from[v], size = std::abs(difference);
    const bool small = size < 0x1p10;
    fits = fits && small;
    most = size > most ? size : most;
    sum[v] =
        wrapping_sum(sum[v], static_cast<std::int64_t>(small ? difference * (1.0 / unit) : 0.0));
  }
  largest_ = most, ++changes_[t];
  spoilt_ = spoilt_ || !fits;
}

void LogitSum::add(const LogitSum& other) {
  if (sum_.rows() == 0) *this = LogitSum(other.sum_.rows(), other.sum_.cols());
  for (std::size_t i = 0; i < sum_.flat().size(); ++i)
    sum_.flat()[i] = wrapping_sum(sum_.flat()[i], other.sum_.flat()[i]);
  for (std::size_t t = 0; t < changes_.size(); ++t) changes_[t] += other.changes_[t];
  largest_ = std::max(largest_, other.largest_);
  spoilt_ = spoilt_ || other.spoilt_;
}

double LogitSum::half_variance(const ReferenceDistribution& p) const {
  double sum = 0.0;
  std::vector<double> row(sum_.cols()), memory;
  for (std::size_t t = 0; t < sum_.rows(); ++t) {
    if (spoilt_ || largest_ * static_cast<double>(changes_[t]) >= 0x1p63 * unit)
      return not_a_number;
    for (std::size_t v = 0; v < row.size(); ++v) row[v] = static_cast<double>(sum_(t, v)) * unit;
    sum += 0.5 * moments(probabilities(p, t, memory), row).variance;
  }
  return sum / static_cast<double>(sum_.rows());
}

MatrixView<const double> Background::input_of_scores(std::size_t k, Layer layer, Head head) const {
  const ModelConfig& config = question_.model.config;
  const SiteRow& row = row_of(*config.network, question_.site);
  const Columns c = input_columns(config, row, k, head, pass_.length());
  return pass_.at(*row.inputs[k].site, layer).view().columns(c.first, c.count);
}

void Background::scores_in(const Arithmetic& arithmetic, Layer layer, Head head,
                           MatrixView<double> out) const {
  scores(drawing_at(arithmetic, question_.options,
                    {.site = question_.site, .layer = layer, .head = head}),
         input_of_scores(0, layer, head), input_of_scores(1, layer, head), out,
         question_.model.config.score_divisor(layer));
}

template <class ArithmeticOf>
void Background::evaluate_others(ArithmeticOf&& arithmetic_of) {
  for (std::size_t l = 0; l < layers_of(question_.model.config, question_.site); ++l)
    for (std::size_t h = 0; h < heads_of_site(question_); ++h) {
      Matrix<double>& out = others_.emplace_back(pass_.length(), pass_.length());
      scores_in(arithmetic_of(Layer{l}, Head{h}), Layer{l}, Head{h}, out.view());
    }
}

Background Background::reference(const Question& question) {
  Background b(question, question.reference);
  b.evaluate_others([&](Layer l, Head h) { return question.low.at(question.site, l, h); });
  const Matrix<double>& logits = b.pass_.at(Site::logits);
  b.target_ = std::make_shared<const ReferenceDistribution>(logits, question.tokens);
  b.target_logits_ = std::make_shared<const Matrix<double>>(logits);
  b.measure();
  return b;
}

Background Background::all_low(const Question& question, const Background& target) {
  Background b(question, with_low_scores(question));
  b.compare_with(target);
  return b;
}

Background Background::with_recomputed(const Question& question, const Background& target,
                                       GivenSets recomputed) {
  const auto sets = std::make_shared<const GivenSets>(std::move(recomputed));
  Background b(question, with_sets(question, *sets), sets);
  b.compare_with(target);
  return b;
}

/// The other scores are recomputed ones.
void Background::compare_with(const Background& target) {
  evaluate_others([&](Layer, Head) { return question_.high; });
  for (std::size_t l = 0; l < layers_of(question_.model.config, question_.site); ++l)
    for (std::size_t h = 0; h < heads_of_site(question_); ++h) {
      Matrix<double>& error = errors_.emplace_back(pass_.length(), pass_.length());
      scores_in(question_.reference.at(question_.site, Layer{l}, Head{h}), Layer{l}, Head{h},
                error.view());
      for (std::size_t i = 0; i < pass_.length(); ++i)
        for (std::size_t j = 0; j <= i; ++j)
          error(i, j) = own({Layer{l}, Head{h}, i})[j] - error(i, j);
    }
  target_ = target.target_;
  target_logits_ = target.target_logits_;
  measure();
}

void Background::measure() {
  const Matrix<double>& logits = pass_.at(Site::logits);
  positions_.resize(pass_.length());
  MetricsScratch scratch;
  compare(*target_, 0, logits.view(), positions_, scratch);
  for (std::size_t t = 0; t < pass_.length(); ++t)
    largest_error_.push_back(largest_difference(logits.row(t), target_logits_->row(t)));
  const ReferenceDistribution own(logits, question_.tokens);
  q_.reshape(own.positions(), own.vocab_size());
  for (std::size_t t = 0; t < own.positions(); ++t)
    binary64_functions::exp(own.log_probabilities(t), q_.row(t));
}

Effect Background::effect() const {
  Effect effect{.kl = mean(positions_.kl)};
  for (const double error : largest_error_) effect.logit_max = larger(error, effect.logit_max);
  return effect;
}

std::span<const double> Background::own(const Row& row) const {
  return pass_.at(question_.site, row.layer, row.head).row(row.query).first(row.query + 1);
}

std::span<const double> Background::other(const Row& row) const {
  return others_[row.layer.value * heads_of_site(question_) + row.head.value].row(row.query).first(
      row.query + 1);
}

/// What a thread needs.
struct Background::Worker {
  Suffix suffix;
  LogitSum sum{};
  bool sums = false;
  MetricsScratch scratch{};
  PositionMetrics positions{};
  std::vector<double> largest_error{}, difference{}, p{};
  std::vector<std::vector<double>> rows{};
  std::vector<ChangedRow> changed{};
  Matrix<double> plus{};
};

std::vector<Background::Worker> Background::workers(std::size_t threads, const PrecisionPlan& plan,
                                                    std::span<const Matrix<double>> added) const {
  std::vector<Worker> all;
  for (std::size_t w = 0; w < std::max<std::size_t>(threads, 1); ++w)
    all.push_back(
        {.suffix = Suffix(question_.model, plan, question_.options, pass_, question_.site, added)});
  return all;
}

/// Calls evaluate(worker, first, count) for rows of one layer that follow each other, as many as
/// are evaluated together, where a row is evaluated `each` times. False where `stop` said so.
template <class Evaluate>
bool Background::in_batches(std::span<const Row> rows, std::size_t each, std::span<Worker> workers,
                            const std::function<bool()>& stop, Evaluate&& evaluate) const {
  struct Batch {
    std::size_t first, count;
  };
  std::vector<Batch> batches;
  std::size_t stacked = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t more = each * workers[0].suffix.rows_of(rows[i].layer, rows[i].query);
    if (batches.empty() || stacked + more > batch_rows ||
        rows[batches.back().first].layer != rows[i].layer)
      batches.push_back({i, 0}), stacked = 0;
    ++batches.back().count, stacked += more;
  }
  std::atomic<bool> stopped = false;
  side_by_side(workers, batches.size(), [&](Worker& worker, std::size_t b) {
    if (stop && stop()) {
      stopped = true;
      return false;
    }
    evaluate(worker, batches[b].first, batches[b].count);
    return true;
  });
  return !stopped;
}

std::vector<Effect> Background::effects(std::span<const Change> changes, std::size_t threads,
                                        const std::function<bool()>& stop, LogitSum* sum) const {
  std::vector<Worker> all = workers(threads, plan_);
  if (sum != nullptr)
    for (Worker& worker : all) worker.sum = LogitSum(pass_.length(), q_.cols()), worker.sums = true;
  std::vector<Row> rows;
  for (const Change& change : changes) rows.push_back(change.row);
  std::vector<Effect> effects(changes.size());
  const bool done =
      in_batches(rows, 1, all, stop, [&](Worker& worker, std::size_t first, std::size_t count) {
        evaluate(changes.subspan(first, count), worker, std::span(effects).subspan(first, count));
      });
  if (!done) return {};
  if (sum != nullptr)
    for (const Worker& worker : all) sum->add(worker.sum);
  return effects;
}

void Background::evaluate(std::span<const Change> changes, Worker& worker,
                          std::span<Effect> effects) const {
  worker.rows.resize(changes.size()), worker.changed.clear();
  for (std::size_t c = 0; c < changes.size(); ++c) {
    const Row& row = changes[c].row;
    const std::span<const double> mine = own(row), others = other(row);
    std::vector<double>& y = worker.rows[c];
    y.assign(mine.begin(), mine.end());
    for (const std::uint32_t key : changes[c].keys) y[key] = others[key];
    worker.changed.push_back({row.head, row.query, y});
  }
  std::size_t under_way = changes.size();
  const auto finish = [&] {
    if (under_way == changes.size()) return;
    effects[under_way] = {.kl = mean(worker.positions.kl)};
    for (const double error : worker.largest_error)
      effects[under_way].logit_max = larger(error, effects[under_way].logit_max);
  };
  worker.suffix.evaluate(
      changes.front().row.layer, worker.changed,
      [&](std::size_t c, std::size_t first, MatrixView<const double> logits) {
        if (c != under_way) {
          finish();
          under_way = c, worker.positions = positions_, worker.largest_error = largest_error_;
        }
        compare(*target_, first, logits, worker.positions, worker.scratch);
        for (std::size_t r = 0; r < logits.rows; ++r) {
          worker.largest_error[first + r] =
              largest_difference(logits.row(r), target_logits_->row(first + r));
          if (worker.sums)
            worker.sum.add(first + r, logits.row(r), pass_.at(Site::logits).row(first + r));
        }
      });
  finish();
}

std::vector<Effect> Background::effects_of_scores(std::span<const Row> rows, std::size_t threads,
                                                  const std::function<bool()>& stop,
                                                  LogitSum* sum) const {
  std::vector<std::uint32_t> keys(pass_.length());
  std::iota(keys.begin(), keys.end(), 0U);
  std::vector<Change> changes;
  for (const Row& row : rows)
    for (std::size_t j = 0; j <= row.query; ++j)
      changes.push_back({row, std::span(keys).subspan(j, 1)});
  return effects(changes, threads, stop, sum);
}

std::vector<Derivative> Background::derivatives(std::span<const Row> rows, std::size_t threads,
                                                const std::function<bool()>& stop) const {
  std::vector<Worker> all = workers(threads, question_.reference, errors_);
  std::vector<Row> each;  // a score
  std::vector<std::size_t> keys;
  for (const Row& row : rows)
    for (std::size_t j = 0; j <= row.query; ++j) each.push_back(row), keys.push_back(j);
  std::vector<Derivative> derivatives(each.size());
  const bool done =
      in_batches(each, 2, all, stop, [&](Worker& worker, std::size_t first, std::size_t count) {
        differentiate(std::span(each).subspan(first, count), std::span(keys).subspan(first, count),
                      worker, std::span(derivatives).subspan(first, count));
      });
  if (!done) return {};
  return derivatives;
}

/// Each score once raised and once lowered by h, one after the other.
void Background::differentiate(std::span<const Row> rows, std::span<const std::size_t> keys,
                               Worker& worker, std::span<Derivative> derivatives) const {
  constexpr double h = 0x1p-12;
  worker.rows.resize(2 * rows.size()), worker.changed.clear();
  for (std::size_t c = 0; c < worker.rows.size(); ++c) {
    const Row& row = rows[c / 2];
    const std::span<const double> mine = own(row);
    std::vector<double>& y = worker.rows[c];
    y.assign(mine.begin(), mine.end());
    y[keys[c / 2]] += c % 2 == 0 ? h : -h;
    worker.changed.push_back({row.head, row.query, y});
  }
  worker.plus.reshape(pass_.length(), q_.cols());
  worker.difference.resize(q_.cols());
  const double positions = static_cast<double>(pass_.length());
  worker.suffix.evaluate(
      rows.front().layer, worker.changed,
      [&](std::size_t c, std::size_t first, MatrixView<const double> logits) {
        for (std::size_t r = 0; r < logits.rows; ++r) {
          const std::size_t t = first + r;
          const std::span<const double> x = logits.row(r);
          if (c % 2 == 0) {
            std::copy(x.begin(), x.end(), worker.plus.row(t).begin());
            continue;
          }
          const std::span<const double> plus = std::as_const(worker.plus).row(t);
          for (std::size_t v = 0; v < x.size(); ++v)
            worker.difference[v] = (plus[v] - x[v]) * (1.0 / (2.0 * h));
          const Moments under_p = moments(probabilities(*target_, t, worker.p), worker.difference),
                        under_q = moments(q_.row(t), worker.difference);
          Derivative& d = derivatives[c / 2];
          d.half_variance += 0.5 * under_p.variance / positions;
          d.kl += (under_q.mean - under_p.mean) / positions;
          if (t + 1 < pass_.length())
            d.log_likelihood += worker.difference[target_->next_token(t)] - under_q.mean;
        }
      });
}

std::size_t Background::bytes(const ModelConfig& model, std::size_t length) {
  const std::size_t scores = 2 * model.n_layer * model.n_head * length * length,
                    logits = 3 * length * model.vocab_size;  // with the target's, and its p
  return KeptPass::bytes(model, length) + (scores + logits) * sizeof(double);
}

std::size_t Background::bytes_of_thread(const ModelConfig& model, std::size_t length) {
  std::size_t widths = 2 * model.n_embd;
  for (const Buffers::Shape& shape : Buffers(model).shapes)
    widths += shape.square() ? length : shape.cols;
  const std::size_t rows = std::max(batch_rows, length);
  return (rows * (widths + length) + logit_rows * model.vocab_size) * sizeof(double);
}

std::vector<Row> all_rows(const ModelConfig& model, Site site, std::size_t length) {
  std::vector<Row> rows;
  for (std::size_t l = 0; l < layers_of(model, site); ++l)
    for (std::size_t h = 0; h < heads_of(model, site); ++h)
      for (std::size_t i = 0; i < length; ++i) rows.push_back({Layer{l}, Head{h}, i});
  return rows;
}

}  // namespace lamp::truth
