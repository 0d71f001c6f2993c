#include "core/model/forward.hpp"

#include <algorithm>
#include <utility>

#include "core/fp/rounding.hpp"
#include "core/model/buffers.hpp"
#include "core/model/ops/sites.hpp"
#include "core/model/rows.hpp"
#include "core/model/storage.hpp"
#include "core/mpfr/forward.hpp"
#include "core/selection/target.hpp"

namespace lamp {
namespace {

constexpr std::size_t tapped_rows =
    8;  // of a block of logits: they stay in the cache while everybody looks at them

/// One forward pass, over the rows first_ .. first_ + tokens - 1 of a sequence: what its steps
/// share.
class Pass {
 public:
  using Rows = std::span<const SiteRow>;

  /// earlier: the rows before; null where the pass starts at row 0 and no pass goes on from it.
  Pass(const Model& model, EarlierRows* earlier, std::span<const TokenId> tokens,
       const PrecisionPlan& plan, const PassOptions& options, TapSink& sink, Workspace& work)
      : model_(model),
        config_(model.config),
        buffers_(model.config),
        kept_(kept_columns(model.config)),
        cached_(plan.storage().has_cache() ? cached_columns(model.config)
                                           : std::vector<CachedColumns>{}),
        earlier_(earlier),
        first_(earlier == nullptr ? 0 : earlier->rows),
        tokens_(tokens),
        length_(earlier == nullptr ? tokens.size() : earlier->length),
        plan_(plan),
        options_(options),
        sink_(sink),
        work_(work) {}

  void run() {
    const std::size_t rows = tokens_.size();
    expects(rows >= 1 && first_ + rows <= length_ && length_ <= config_.n_positions,
            "forward: 1 <= tokens <= n_positions");
    work_.stream.reshape(rows, config_.n_embd);
    work_.outputs.resize(buffers_.shapes.size());
    for (std::size_t b = 0; b < buffers_.shapes.size(); ++b)
      work_.outputs[b].reshape(rows,
                               buffers_.shapes[b].square() ? so_far() : buffers_.shapes[b].cols);
    work_.cache.resize(earlier_ == nullptr && !cached_.empty() ? kept_.size() : 0);
    for (std::size_t k = 0; k < work_.cache.size(); ++k)
      work_.cache[k].reshape(rows, kept_[k].columns.count);
    for (Rows rest = config_.network->sites; !rest.empty();) {
      const Rows part = same_grain(rest, &SiteInfo::per_layer);
      for (std::size_t l = 0; l < layers_of(config_, part.front().site); ++l) layer(part, Layer{l});
      rest = rest.subspan(part.size());
    }
    if (earlier_ != nullptr) earlier_->rows += rows;
  }

 private:
  [[nodiscard]] std::size_t so_far() const { return first_ + tokens_.size(); }

  /// Evaluates the sites of one layer, or those outside of layers; the sites per head, head by
  /// head.
  void layer(Rows rows, Layer layer) {
    while (!rows.empty()) {
      const Rows part = same_grain(rows, &SiteInfo::per_head);
      for (std::size_t h = 0; h < heads_of(config_, part.front().site); ++h)
        for (Rows rest = part; !rest.empty();) rest = rest.subspan(step(rest, layer, Head{h}));
      rows = rows.subspan(part.size());
    }
  }

  /// Evaluates the first of the sites, with the next where LAMP selects for that; returns how many.
  std::size_t step(Rows rows, Layer layer, Head head) {
    const SiteRow& row = rows.front();
    const TapPoint point{.site = row.site, .layer = layer, .head = head, .first_row = first_};
    if (row.operation == Operation::logits) return logits(row), 1;
    const SelectionPlan* selection =
        row.f == Composition::softmax ? plan_.selection(row.site, layer, head) : nullptr;
    if (selection != nullptr)
      select(*selection, row, rows[1], point);
    else
      site(row, point);
    if (earlier_ != nullptr || !cached_.empty()) keep(row, layer);
    return selection != nullptr ? 2 : 1;
  }

  /// Evaluates one site in the plan's arithmetic and taps it. Where the sink wants the local error,
  /// the reference arithmetic comes first, because the output may take the place of an input.
  void site(const SiteRow& row, const TapPoint& point) {
    const MatrixView<double> out = output(row, point.head);
    prepare(row, point);
    const bool local = evaluate_local(row, point, out);
    compute(model_, row, point, arithmetic_at(point), out);
    store(point, out);
    tap(point, out, local);
  }

  /// Rounds a site's output to what it is kept in.
  void store(const TapPoint& point, MatrixView<double> out) const {
    if (const NumberSystem* system = plan_.storage().at(point.site, point.layer))
      store_rows(*system, out, entries_of(point.site));
  }
  void store(const TapPoint& point, std::span<double> row) const {
    if (const NumberSystem* system = plan_.storage().at(point.site, point.layer))
      round_row(*system, row, row);
  }

  /// "Select, recompute, mix" at the site g of `row`, which f follows: evaluates f on the low
  /// values of g, chooses S in every row, replaces the chosen components by those of `recompute`
  /// and applies f to the mixed rows. Low values are read as they are stored, mixed rows are stored
  /// again. The recomputed values are evaluated all at once, which costs
  /// less than picking them and gives the same bits. Taps see the mixed rows.
  void select(const SelectionPlan& selection, const SiteRow& row, const SiteRow& f,
              const TapPoint& point) {
    const TapPoint at_f{
        .site = f.site, .layer = point.layer, .head = point.head, .first_row = first_};
    const MatrixView<double> y = output(row, point.head), z = output(f, point.head);
    prepare(row, point);
    const bool local = evaluate_local(row, point, y);
    work_.recomputed.reshape(y.rows, y.cols);
    compute(model_, row, point, drawing(selection.recompute, point), work_.recomputed.view());
    if (selection.spec.weights == ErrorWeights::dot) bounds(row, point, y);
    compute(model_, row, point, arithmetic_at(point), y);
    store(point, y);
    compute(model_, f, at_f, arithmetic_at(at_f), z);
    store(at_f, z);
    const Arithmetic f_arithmetic = arithmetic_at(at_f);
    if (selection.spec.rule->traits.reads_values) read_values(f, point);
    for (std::size_t i = 0; i < y.rows; ++i) {
      const std::size_t n = entries(row, y.cols, i);
      const std::span<double> y_row = y.row(i).first(n), z_row = z.row(i).first(n);
      if (!mix_row(selection, row, point, i, y_row, z_row)) continue;
      store(point, y_row);
      softmax_of_row(f_arithmetic, y_row, z_row, i);
      store(at_f, z_row);
    }
    tap(point, y, local);
    tap(at_f, z, evaluate_local(f, at_f, z));
  }

  /// Replaces the chosen components of the low row y, where z = f(y), and shifts the others;
  /// returns whether any was chosen.
  bool mix_row(const SelectionPlan& selection, const SiteRow& site, const TapPoint& point,
               std::size_t i, std::span<double> y, std::span<const double> z) {
    const std::size_t n = y.size();
    const SelectionSpec& spec = selection.spec;
    const bool causal = info(point.site).causal;
    const DrawCoordinates where{.seed = options_.seed,
                                .sequence = options_.sequence,
                                .layer = static_cast<std::uint32_t>(point.layer.value),
                                .head = static_cast<std::uint32_t>(point.head.value),
                                .row = static_cast<std::uint32_t>(first_ + i),
                                .site = info(point.site).draw};
    const std::span<const double> w = spec.weights == ErrorWeights::dot
                                          ? std::as_const(work_.bounds).row(i).first(n)
                                          : std::span<const double>{};
    work_.marks.resize(work_.recomputed.cols());
    const std::span<std::uint8_t> marks = std::span(work_.marks).first(n);
    SelectionRow row{.z = z, .y = y, .w = w, .row_length = causal ? length_ : n};
    if (spec.rule->traits.reads_keys) {
      row.q = input(site, 0, point).row(i);
      row.k = input(site, 1, point).row_block(0, n);
    }
    if (spec.rule->traits.reads_values) row.v = work_.values.in_row_of(n);
    const std::size_t count =
        select_row(spec, targets::softmax, row, where, marks, work_.selection);
    TapPoint at_row = point;
    at_row.first_row = first_ + i;
    sink_.selected(at_row, marks);
    if (count == 0) return false;
    const std::span<const double> high = std::as_const(work_.recomputed).row(i).first(n);
    const std::optional<double> shift = shift_of(selection.shift, y, high, marks);
    for (std::size_t j = 0; j < n; ++j)
      if (marks[j] != 0)
        y[j] = high[j];
      else if (shift)
        y[j] = add(y[j], *shift, selection.recompute.mac.format);
    return true;
  }

  /// Lets rules see the values that f weights in a head, as that product reads them.
  void read_values(const SiteRow& f, const TapPoint& point) {
    const SiteRow* row = row_of_values(config_.network->sites, f.site);
    expects(row != nullptr, "forward: a rule that reads values where f weights some");
    TapPoint at = point;
    at.site = row->site;
    work_.values.assign(arithmetic_at(at), input(*row, 1, at));
  }

  /// How many components of row i of a site are defined.
  [[nodiscard]] std::size_t entries(const SiteRow& row, std::size_t cols, std::size_t i) const {
    return info(row.site).causal ? first_ + i + 1 : cols;
  }

  /// The head's part of a site's output.
  [[nodiscard]] MatrixView<double> output(const SiteRow& row, Head head) {
    if (makes_stream(row.operation)) return work_.stream.view();
    const MatrixView<double> all = buffer(row.site).view();
    const SiteInfo& site = info(row.site);
    if (!site.per_head || site.causal) return all;
    const std::size_t width = row.width(config_);
    return all.columns(head.value * width, width);
  }

  /// What the site reads as input k in a head.
  [[nodiscard]] MatrixView<const double> input(const SiteRow& row, std::size_t k,
                                               const TapPoint& point) const {
    const Input& input = row.inputs[k];
    if (!input.site) return work_.stream.view();
    const Columns columns = input_columns(config_, row, k, point.head, so_far());
    if (input.earlier_rows && (earlier_ != nullptr || !cached_.empty())) {
      const std::size_t kept = index_of_kept(*input.site);
      return std::as_const(cache(point.layer, kept))
          .view()
          .row_block(0, so_far())
          .columns(columns.first - kept_[kept].columns.first, columns.count);
    }
    return buffer(*input.site).view().columns(columns.first, columns.count);
  }

  [[nodiscard]] Matrix<double>& buffer(Site site) const {
    return work_.outputs[buffers_.of[static_cast<std::size_t>(site)]];
  }

  [[nodiscard]] std::size_t index_of_kept(Site site) const {
    std::size_t index = 0;
    while (kept_[index].site != site) ++index;
    return index;
  }

  /// Keys and values of all rows so far of a layer. A pass without earlier rows keeps them only
  /// where they are stored apart from their sites, and of one layer at a time.
  [[nodiscard]] Matrix<double>& cache(Layer layer, std::size_t kept) const {
    return earlier_ != nullptr ? earlier_->values[layer.value][kept] : work_.cache[kept];
  }

  /// Adds what later rows need of a site to what is kept of the earlier rows, as it is stored.
  void keep(const SiteRow& row, Layer layer) {
    for (std::size_t k = 0; k < kept_.size(); ++k) {
      const auto& [site, columns] = kept_[k];
      if (site != row.site) continue;
      const MatrixView<const double> here =
          std::as_const(buffer(site)).view().columns(columns.first, columns.count);
      const MatrixView<double> all = cache(layer, k).view().row_block(first_, here.rows);
      for (std::size_t i = 0; i < here.rows; ++i)
        std::copy(here.row(i).begin(), here.row(i).end(), all.row(i).begin());
      store_cache(plan_.storage(), cached_, site, columns.first, all);
    }
  }

  /// Prepares what all evaluations of a site share: scores in several arithmetics pack the keys
  /// once.
  void prepare(const SiteRow& row, const TapPoint& point) {
    if (row.operation == Operation::scores) work_.keys.assign(input(row, 1, point).transposed());
  }

  /// Evaluates a site with a model's weights, or a block of its rows from point.first_row on.
  void compute(const Model& model, const SiteRow& row, const TapPoint& point, const Arithmetic& a,
               MatrixView<double> out) {
    const auto in = [&](std::size_t k) { return input(row, k, point); };
    switch (row.operation) {
      case Operation::embed:
      case Operation::embed_tokens:
        return embed(a, model.weights.at<EmbeddingWeights>(point.site), tokens_, out, first_);
      case Operation::scores:
        return scores(a, in(0), work_.keys, out, model_.config.score_divisor(point.layer));
      case Operation::softmax:
        return softmax(a, in(0), out, entries_of(row.site));
      case Operation::values:
        return values(a, in(0), in(1), out);
      case Operation::layer_norm:
      case Operation::rms_norm:
      case Operation::linear:
      case Operation::rope:
      case Operation::residual:
      case Operation::activation:
      case Operation::product:
      case Operation::logits: {
        const MatrixView<const double> x0 = in(0).row_block(point.first_row - first_, out.rows);
        return evaluate_rows(model, row, point.layer, options_.activation, a, point.first_row, x0,
                             input_count(row.operation) == 2 ? in(1) : x0, out);
      }
    }
    contract_violated("forward: a known operation");
  }

  /// Fills work_.bounds, of y's shape, for error weights `dot`.
  void bounds(const SiteRow& row, const TapPoint& point, MatrixView<const double> y) {
    expects(has_bounds(row.operation), "forward: error weights dot at a site that has bounds");
    work_.bounds.reshape(y.rows, y.cols);
    score_bounds(input(row, 0, point), input(row, 1, point), work_.bounds.view(),
                 model_.config.score_divisor(point.layer));
  }

  /// The plan's arithmetic at a point, drawing from the point's own stream.
  [[nodiscard]] Arithmetic arithmetic_at(const TapPoint& point) const {
    return drawing(plan_.at(point.site, point.layer, point.head), point);
  }

  [[nodiscard]] Arithmetic drawing(const Arithmetic& arithmetic, const TapPoint& point) const {
    return drawing_at(arithmetic, options_, point);
  }

  bool evaluate_local(const SiteRow& row, const TapPoint& point, MatrixView<const double> out) {
    if (!sink_.wants_local(point.site)) return false;
    expects(options_.local_reference != nullptr,
            "forward: a local reference for a sink that wants it");
    work_.local.reshape(out.rows, out.cols);
    compute(options_.local_model != nullptr ? *options_.local_model : model_, row, point,
            drawing(options_.local_reference->at(point.site, point.layer, point.head), point),
            work_.local.view());
    return true;
  }

  void tap(const TapPoint& point, MatrixView<const double> x, bool local) {
    sink_.values(point, x);
    if (local) sink_.local(point, x, std::as_const(work_.local).view());
  }

  void logits(const SiteRow& row) {
    const std::size_t rows = tokens_.size(),
                      skipped = std::min(rows, std::max(options_.first_logits, first_) - first_);
    for (std::size_t i = skipped; i < rows; i += logit_rows)
      logit_block(row, i, std::min(logit_rows, rows - i));
  }

  void logit_block(const SiteRow& site, std::size_t first, std::size_t rows) {
    work_.logits.reshape(rows, site.width(config_));
    const TapPoint block{.site = site.site, .first_row = first_ + first};
    const MatrixView<const double> out = std::as_const(work_.logits).view();
    const bool local = evaluate_local(site, block, out);
    compute(model_, site, block, arithmetic_at(block), work_.logits.view());
    store(block, work_.logits.view());
    for (std::size_t row = 0; row < rows; row += tapped_rows) {
      const std::size_t count = std::min(tapped_rows, rows - row);
      const TapPoint point{.site = site.site, .first_row = first_ + first + row};
      sink_.values(point, out.row_block(row, count));
      if (local)
        sink_.local(point, out.row_block(row, count),
                    std::as_const(work_.local).view().row_block(row, count));
    }
  }

  const Model& model_;
  const ModelConfig& config_;
  Buffers buffers_;
  std::vector<KeptColumns> kept_;
  std::vector<CachedColumns> cached_;  // none where the cache is as its sites are
  EarlierRows* earlier_;
  std::size_t first_;
  std::span<const TokenId> tokens_;
  std::size_t length_;  // of the whole sequence
  const PrecisionPlan& plan_;
  const PassOptions& options_;
  TapSink& sink_;
  Workspace& work_;
};

/// The site whose arithmetic says whether a plan is unlimited: all are, or none.
bool is_unlimited_plan(const Model& model, const PrecisionPlan& plan) {
  return is_unlimited(plan.at(model.config.network->sites.front().site));
}

}  // namespace

void TapSink::local(const TapPoint&, MatrixView<const double>, MatrixView<const double>) {
  contract_violated("TapSink: a sink that wants local() takes it");
}

Arithmetic drawing_at(Arithmetic arithmetic, const PassOptions& options, const TapPoint& point) {
  arithmetic.draws = {.seed = options.seed,
                      .sequence = options.sequence,
                      .layer = static_cast<std::uint32_t>(point.layer.value),
                      .head = static_cast<std::uint32_t>(point.head.value),
                      .site = info(point.site).draw,
                      .first_row = static_cast<std::uint32_t>(point.first_row)};
  return arithmetic;
}

void forward(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan,
             const PassOptions& options, TapSink& sink, Workspace& workspace) {
  if (is_unlimited_plan(model, plan)) {
    EarlierRows none(model.config, tokens.size());
    return mpfr::forward_unlimited(model, none, tokens, plan, options, sink);
  }
  Pass(model, nullptr, tokens, plan, options, sink, workspace).run();
}

EarlierRows::EarlierRows(const ModelConfig& model, std::size_t length_)
    : length(length_), kept(kept_columns(model)), values(model.n_layer) {
  for (std::vector<Matrix<double>>& layer : values)
    for (const KeptColumns& part : kept) layer.emplace_back(length, part.columns.count);
}

void forward_from(const Model& model, EarlierRows& earlier, std::span<const TokenId> tokens,
                  const PrecisionPlan& plan, const PassOptions& options, TapSink& sink,
                  Workspace& workspace) {
  if (is_unlimited_plan(model, plan))
    return mpfr::forward_unlimited(model, earlier, tokens, plan, options, sink);
  Pass(model, &earlier, tokens, plan, options, sink, workspace).run();
}

}  // namespace lamp
