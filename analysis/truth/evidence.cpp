#include "analysis/truth/evidence.hpp"

#include <utility>

#include "core/model/ops/sites.hpp"

namespace lamp::truth {

HeadEvidence::HeadEvidence(const Question& question, const Background& exact, Layer layer,
                           Head head)
    : question_(question), exact_(exact), layer_(layer), head_(head) {
  const ModelConfig& model = question.model.config;
  const std::size_t length = exact.pass().length();
  recomputed_ = Matrix<double>(length, length);
  exact.scores_in(question.high, layer, head, recomputed_.view());
  bounds_ = recomputed_;
  q_ = exact.input_of_scores(0, layer, head), k_ = exact.input_of_scores(1, layer, head);
  score_bounds(q_, k_, bounds_.view(), model.score_divisor(layer));
  const Network& network = *model.network;
  softmax_ = row_of_f(network.sites, row_of(network, question.site))->site;
  if (const SiteRow* row = row_of_values(network.sites, softmax_)) {
    const Columns c = input_columns(model, *row, 1, head, length);
    values_.assign(question.reference.at(row->site, layer, head),
                   exact.pass().at(*row->inputs[1].site, layer).view().columns(c.first, c.count));
    has_values_ = true;
  }
}

Evidence HeadEvidence::of_row(std::size_t query) {
  const std::size_t n = query + 1;
  const std::span<const double> low = exact_.other({layer_, head_, query});
  z_.resize(n), error_.resize(n);
  softmax_of_row(question_.reference.at(softmax_, layer_, head_), low, z_);
  for (std::size_t j = 0; j < n; ++j) error_[j] = low[j] - recomputed_(query, j);
  return {.row = {.z = z_,
                  .y = low,
                  .w = std::as_const(bounds_).row(query).first(n),
                  .row_length = exact_.pass().length(),
                  .q = q_.row(query),
                  .k = k_.row_block(0, n),
                  .v = has_values_ ? values_.in_row_of(n) : MatrixView<const double>{}},
          .where = {.seed = question_.options.seed,
                    .sequence = question_.options.sequence,
                    .layer = static_cast<std::uint32_t>(layer_.value),
                    .head = static_cast<std::uint32_t>(head_.value),
                    .row = static_cast<std::uint32_t>(query),
                    .site = info(question_.site).draw},
          .error = error_};
}

}  // namespace lamp::truth
