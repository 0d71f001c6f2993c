#include "core/model/forward.hpp"

#include <algorithm>
#include <utility>

#include "core/model/ops/sites.hpp"
#include "core/model/pass.hpp"
#include "core/model/rows.hpp"
#include "core/model/storage.hpp"
#include "core/mpfr/forward.hpp"

namespace lamp {
namespace {

constexpr std::size_t tapped_rows =
    8;  // of a block of logits: they stay in the cache while everybody looks at them

}  // namespace

void Pass::run() {
  const std::size_t rows = tokens_.size();
  expects(rows >= 1 && first_ + rows <= length_ && length_ <= config_.n_positions,
          "forward: 1 <= tokens <= n_positions");
  work_.own.resize(std::max(work_.own.size(), work_.team.size()));
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

void Pass::layer(Rows rows, Layer layer) {
  while (!rows.empty()) {
    const Rows part = same_grain(rows, &SiteInfo::per_head);
    for (std::size_t h = 0; h < heads_of(config_, part.front().site); ++h)
      for (Rows rest = part; !rest.empty();) rest = rest.subspan(step(rest, layer, Head{h}));
    rows = rows.subspan(part.size());
  }
}

std::size_t Pass::step(Rows rows, Layer layer, Head head) {
  end_if_asked(options_.stop);
  const SiteRow& row = rows.front();
  const TapPoint point{.site = row.site, .layer = layer, .head = head, .first_row = first_};
  if (row.operation == Operation::logits) return logits(row), 1;
  const SelectionPlan* selection = row.f ? plan_.selection(row.site, layer, head) : nullptr;
  const bool with_f = selection != nullptr && *row.f == Composition::softmax;
  if (selection != nullptr && *row.f == Composition::linear_map)
    select_across_heads(row, point);
  else
    site(row, point, selection);
  if (with_f) tap_f(rows[1], point);
  if (earlier_ != nullptr || !cached_.empty()) keep(row, layer);
  return with_f ? 2 : 1;
}

void Pass::site(const SiteRow& row, const TapPoint& point, const SelectionPlan* selection) {
  const MatrixView<double> out = output(row, point.head);
  prepare(row, point);
  const bool local = evaluate_local(row, point, out);
  evaluate(row, point, selection, out);
  tap(point, out, local);
}

void Pass::evaluate(const SiteRow& row, const TapPoint& point, const SelectionPlan* selection,
                    MatrixView<double> out) {
  if (selection != nullptr) return select(*selection, row, point, out);
  compute(model_, row, point, arithmetic_at(point), out);
  store(point, out);
}

void Pass::tap_f(const SiteRow& f, TapPoint point) {
  point.site = f.site;
  const MatrixView<double> z = output(f, point.head);
  tap(point, z, evaluate_local(f, point, z));
}

void Pass::store(const TapPoint& point, std::span<double> row) const {
  if (const NumberSystem* system = plan_.storage().at(point.site, point.layer))
    round_row(*system, row, row);
}

std::size_t Pass::entries(const SiteRow& row, std::size_t cols, std::size_t i) const {
  return info(row.site).causal ? first_ + i + 1 : cols;
}

MatrixView<double> Pass::output(const SiteRow& row, Head head) {
  if (makes_stream(row.operation)) return work_.stream.view();
  const MatrixView<double> all = buffer(row.site).view();
  const SiteInfo& site = info(row.site);
  if (!site.per_head || site.causal) return all;
  const std::size_t width = row.width(config_);
  return all.columns(head.value * width, width);
}

MatrixView<const double> Pass::input(const SiteRow& row, std::size_t k,
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

void Pass::keep(const SiteRow& row, Layer layer) {
  for (std::size_t k = 0; k < kept_.size(); ++k) {
    const Columns& columns = kept_[k].columns;
    if (kept_[k].site != row.site) continue;
    const MatrixView<const double> here =
        std::as_const(buffer(row.site)).view().columns(columns.first, columns.count);
    const MatrixView<double> all = cache(layer, k).view().row_block(first_, here.rows);
    by_rows(blocks(row, here.rows, work_of_value), [&](std::size_t, std::size_t first,
                                                       std::size_t count) {
      for (std::size_t i = first; i < first + count; ++i)
        std::copy(here.row(i).begin(), here.row(i).end(), all.row(i).begin());
      store_cache(plan_.storage(), cached_, row.site, columns.first, all.row_block(first, count));
    });
  }
}

bool Pass::evaluate_local(const SiteRow& row, const TapPoint& point, MatrixView<const double> out) {
  if (!sink_.wants_local(point.site)) return false;
  work_.local.reshape(out.rows, out.cols);
  compute_local(row, point, work_.local.view());
  return true;
}

void Pass::compute_local(const SiteRow& row, const TapPoint& point, MatrixView<double> local) {
  expects(options_.local_reference != nullptr,
          "forward: a local reference for a sink that wants it");
  compute(options_.local_model != nullptr ? *options_.local_model : model_, row, point,
          drawing(options_.local_reference->at(point.site, point.layer, point.head), point), local);
}

void Pass::logits(const SiteRow& row) {
  const std::size_t rows = tokens_.size(),
                    skipped = std::min(rows, std::max(options_.first_logits, first_) - first_);
  for (std::size_t i = skipped; i < rows; i += logit_rows) {
    end_if_asked(options_.stop);
    logit_block(row, i, std::min(logit_rows, rows - i));
  }
}

void Pass::logit_block(const SiteRow& site, std::size_t first, std::size_t rows) {
  work_.logits.reshape(rows, site.width(config_));
  const TapPoint block{.site = site.site, .first_row = first_ + first};
  const MatrixView<const double> out = std::as_const(work_.logits).view();
  const bool local = evaluate_local(site, block, out);
  evaluate(site, block, site.f ? plan_.selection(site.site) : nullptr, work_.logits.view());
  const auto show = [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; row += tapped_rows) {
      const std::size_t count = std::min(tapped_rows, end - row);
      const TapPoint point{.site = site.site, .first_row = first_ + first + row};
      sink_.values(point, out.row_block(row, count));
      if (local)
        sink_.local(point, out.row_block(row, count),
                    std::as_const(work_.local).view().row_block(row, count));
    }
  };
  if (local || !sink_.takes_rows_apart(site.site)) return show(0, rows);
  by_rows(blocks(site, rows, work_of_tap),
          [&](std::size_t, std::size_t begin, std::size_t count) { show(begin, begin + count); });
}

namespace {

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
