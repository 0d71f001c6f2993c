#include "core/model/suffix.hpp"

#include <algorithm>
#include <utility>

#include "core/arith/stochastic.hpp"
#include "core/base/marks.hpp"
#include "core/model/ops/sites.hpp"
#include "core/model/rows.hpp"
#include "core/selection/rules/given.hpp"

namespace lamp {
namespace {

std::size_t widths_of_heads(const ModelConfig& model, Site site, std::size_t length) {
  const std::size_t width = width_of(model, site, length);
  return info(site).causal ? width : width * heads_of(model, site);
}

std::size_t matrices_of(const ModelConfig& model, Site site) {
  return layers_of(model, site) * (info(site).causal ? heads_of(model, site) : 1);
}

void copy_row(std::span<const double> from, std::span<double> to) {
  std::copy(from.begin(), from.end(), to.begin());
}

}  // namespace

KeptPass::KeptPass(const ModelConfig& model, std::size_t length) : model_(model), length_(length) {
  for (const SiteRow& row : model.network->sites)
    kept_[row.site].assign(matrices_of(model, row.site),
                           Matrix<double>(length, widths_of_heads(model, row.site, length)));
}

std::size_t KeptPass::place(const TapPoint& point) const {
  if (!info(point.site).causal) return point.layer.value;
  return point.layer.value * heads_of(model_, point.site) + point.head.value;
}

void KeptPass::values(const TapPoint& point, MatrixView<const double> x) {
  const SiteInfo& site = info(point.site);
  const std::size_t first = site.per_head && !site.causal ? point.head.value * x.cols : 0;
  Matrix<double>& all = kept_.at(point.site)[place(point)];
  for (std::size_t i = 0; i < x.rows; ++i) {
    const std::size_t count = site.causal ? point.first_row + i + 1 : x.cols;
    copy_row(x.row(i).first(count), all.row(point.first_row + i).subspan(first, count));
  }
}

std::size_t KeptPass::bytes(const ModelConfig& model, std::size_t length) {
  std::size_t values = 0;
  for (const SiteRow& row : model.network->sites)
    values += matrices_of(model, row.site) * length * widths_of_heads(model, row.site, length);
  return values * sizeof(double);
}

Suffix::Suffix(const Model& model, const PrecisionPlan& plan, const PassOptions& options,
               const KeptPass& base, Site changed, std::span<const Matrix<double>> added)
    : model_(model),
      config_(model.config),
      plan_(plan),
      options_(options),
      base_(base),
      added_(added),
      buffers_(model.config),
      selection_(plan.selection(changed)) {
  std::span<const SiteRow> rest = config_.network->sites;
  while (!info(rest.front().site).per_layer) rest = rest.subspan(1);
  layer_rows_ = same_grain(rest, &SiteInfo::per_layer);
  last_rows_ = rest.subspan(layer_rows_.size());
  const SiteRow* row = find_row(layer_rows_, changed);
  expects(row != nullptr && row->f == Composition::softmax && info(changed).causal,
          "Suffix: a causal site of the layers that f follows");
  changed_ = static_cast<std::size_t>(row - layer_rows_.data());
  expects(selection_ == nullptr ? !plan.selects()
                                : selection_->spec.given != nullptr &&
                                      selection_->spec.rule->mark == given_sets.mark &&
                                      selection_->shift == Shift::none,
          "Suffix: no selection but given sets");
  for (const SiteRow& later : layer_rows_.subspan(changed_ + 1))
    for (const Input& input : inputs_of(later))
      expects(!input.earlier_rows || !is_changed(*input.site),
              "Suffix: a changed row changes no other row of its layer");
  outputs_.resize(buffers_.shapes.size());
}

bool Suffix::is_changed(Site site) const {
  return find_row(layer_rows_.subspan(changed_ + 1), site) != nullptr;
}

std::size_t Suffix::rows_of(Layer layer, std::size_t row) const {
  return layer.value + 1 == config_.n_layer ? 1 : base_.length() - row;
}

void Suffix::evaluate(Layer layer, std::span<const ChangedRow> changes, const Show& show) {
  runs_.clear();
  for (const ChangedRow& change : changes) {
    expects(change.row < base_.length() && change.y.size() == change.row + 1,
            "Suffix: a causal row of the sequence");
    runs_.push_back({.head = change.head, .first = change.row, .rows = 1, .offset = runs_.size()});
  }
  if (runs_.empty()) return;
  change_layer(layer, changes);
  for (std::size_t l = layer.value + 1; l < config_.n_layer; ++l) next_layer(Layer{l});
  for (const SiteRow& row : last_rows_) {
    if (row.operation == Operation::logits)
      show_logits(row, show);
    else
      evaluate_site(row, Layer{});
  }
}

/// The changed row of each run, from f on. Where sites are per head, the other heads' values are
/// the base's.
void Suffix::change_layer(Layer layer, std::span<const ChangedRow> changes) {
  first_layer_ = true;
  stream_.reshape(runs_.size(), config_.n_embd);
  stack_rows_of_base(base_stream(layer_rows_.first(changed_), layer), stream_);
  const SiteRow& g = layer_rows_[changed_];
  Matrix<double>& y = buffer(g.site);
  y.reshape(runs_.size(), base_.length());
  for (std::size_t c = 0; c < changes.size(); ++c)
    copy_row(changes[c].y, y.row(c).first(changes[c].y.size()));
  for (const SiteRow& row : layer_rows_.subspan(changed_ + 1)) {
    if (!info(row.site).per_head) {
      evaluate_site(row, layer);
      continue;
    }
    Matrix<double>& out = buffer(row.site);
    if (info(row.site).causal) {
      out.reshape(runs_.size(), base_.length());
    } else {
      out.reshape(runs_.size(), widths_of_heads(config_, row.site, base_.length()));
      stack_rows_of_base(base_.at(row.site, layer), out);
    }
    for (const Run& run : runs_) evaluate_causal(row, layer, run, run.head);
  }
  first_layer_ = false;
}

/// All rows of the runs in a layer above the change; on entering the first such layer a run gets
/// the rows after its own, which are the base's so far.
void Suffix::next_layer(Layer layer) {
  const auto is_whole = [&](const Run& run) { return run.rows == base_.length() - run.first; };
  if (!std::all_of(runs_.begin(), runs_.end(), is_whole)) {
    std::vector<std::size_t> was;
    std::size_t total = 0;
    for (Run& run : runs_) {
      was.push_back(run.offset);
      run.rows = base_.length() - run.first, run.offset = total;
      total += run.rows;
    }
    std::swap(stream_, old_stream_);
    stream_.reshape(total, config_.n_embd);
    stack_rows_of_base(base_stream({}, layer), stream_);
    for (std::size_t c = 0; c < runs_.size(); ++c)
      copy_row(std::as_const(old_stream_).row(was[c]), stream_.row(runs_[c].offset));
  }
  for (std::span<const SiteRow> rest = layer_rows_; !rest.empty();) {
    const std::span<const SiteRow> part = same_grain(rest, &SiteInfo::per_head);
    rest = rest.subspan(part.size());
    if (!info(part.front().site).per_head) {
      for (const SiteRow& row : part) evaluate_site(row, layer);
      continue;
    }
    for (const SiteRow& row : part)
      buffer(row.site).reshape(stream_.rows(), widths_of_heads(config_, row.site, base_.length()));
    for (std::size_t h = 0; h < config_.n_head; ++h)
      for (const SiteRow& row : part) {
        end_if_asked(options_.stop);
        for (const Run& run : runs_) evaluate_causal(row, layer, run, Head{h});
      }
  }
}

/// A site of single rows, on all rows of all runs.
void Suffix::evaluate_site(const SiteRow& row, Layer layer) {
  end_if_asked(options_.stop);
  const Arithmetic a = arithmetic_at({.site = row.site, .layer = layer});
  expects(!is_stochastic(a), "Suffix: stochastic at causal sites only");
  const MatrixView<const double> x0 = stacked_input(row, 0, layer),
                                 x1 = input_count(row.operation) == 2 ? stacked_input(row, 1, layer)
                                                                      : x0;
  Matrix<double>& out = makes_stream(row.operation) ? stream_ : buffer(row.site);
  out.reshape(stream_.rows(), width_of(config_, row.site, base_.length()));
  if (row.operation != Operation::rope)
    return evaluate_rows(model_, row, layer, options_.activation, a, 0, x0, x1, out.view());
  for (const Run& run : runs_)
    evaluate_rows(model_, row, layer, options_.activation, a, run.first,
                  x0.row_block(run.offset, run.rows), x1.row_block(run.offset, run.rows),
                  out.view().row_block(run.offset, run.rows));
}

/// A site per head, on the rows of one run.
void Suffix::evaluate_causal(const SiteRow& row, Layer layer, const Run& run, Head head) {
  const Arithmetic a =
      arithmetic_at({.site = row.site, .layer = layer, .head = head, .first_row = run.first});
  const std::size_t so_far = run.first + run.rows;  // keys that the last row of the run sees
  MatrixView<double> out = buffer(row.site).view().row_block(run.offset, run.rows);
  if (info(row.site).causal) {
    out = out.columns(0, so_far);
  } else {
    const std::size_t width = width_of(config_, row.site, base_.length());
    out = out.columns(head.value * width, width);
  }
  const MatrixView<const double> x0 = run_input(row, 0, layer, run, head);
  switch (row.operation) {
    case Operation::scores:
      keys_.assign(run_input(row, 1, layer, run, head).transposed());
      scores(a, x0, keys_, out, config_.score_divisor(layer));
      if (selection_ != nullptr) recompute_given(layer, run, head, x0, out);
      if (!added_.empty()) add_to(out, run, added_[layer.value * config_.n_head + head.value]);
      return;
    case Operation::softmax:
      return softmax(a, x0, out, entries_of(row.site));
    case Operation::values:
      return values(a, x0, run_input(row, 1, layer, run, head), out);
    case Operation::embed:
    case Operation::embed_tokens:
    case Operation::layer_norm:
    case Operation::rms_norm:
    case Operation::linear:
    case Operation::rope:
    case Operation::residual:
    case Operation::activation:
    case Operation::product:
    case Operation::logits:
      expects(!is_stochastic(a), "Suffix: stochastic at causal sites only");
      return evaluate_rows(
          model_, row, layer, options_.activation, a, run.first, x0,
          input_count(row.operation) == 2 ? run_input(row, 1, layer, run, head) : x0, out);
  }
  contract_violated("Suffix: a known operation");
}

/// The marked scores of a run's rows, of its own queries and the keys in keys_.
void Suffix::recompute_given(Layer layer, const Run& run, Head head, MatrixView<const double> q,
                             MatrixView<double> y) {
  const Site site = layer_rows_[changed_].site;
  for (std::size_t i = 0; i < run.rows; ++i) {
    const std::size_t row = run.first + i;
    const std::span<const std::uint8_t> marks =
        selection_->spec.given->row(layer.value, head.value, row).first(row + 1);
    if (!any_marked(marks)) continue;
    // As rows of the whole run: a row is computed with all keys_, though it has row + 1.
    recomputed_.reshape(1, y.cols);
    scores(drawing_at(selection_->recompute, options_,
                      {.site = site, .layer = layer, .head = head, .first_row = row}),
           q.row_block(i, 1), keys_, recomputed_.view(), config_.score_divisor(layer));
    for_each_marked(marks, [&](std::size_t j) { y.row(i)[j] = recomputed_(0, j); });
  }
}

/// y: the rows of a run, causal entries.
void Suffix::add_to(MatrixView<double> y, const Run& run, const Matrix<double>& added) const {
  for (std::size_t i = 0; i < y.rows; ++i)
    for (std::size_t j = 0; j <= run.first + i; ++j) y.row(i)[j] += added(run.first + i, j);
}

void Suffix::show_logits(const SiteRow& row, const Show& show) {
  const Arithmetic a = arithmetic_at({.site = row.site});
  expects(!is_stochastic(a), "Suffix: stochastic at causal sites only");
  const MatrixView<const double> x = stacked_input(row, 0, Layer{});
  std::size_t c = 0;
  for (std::size_t first = 0; first < x.rows; first += logit_rows) {
    end_if_asked(options_.stop);
    const std::size_t rows = std::min(logit_rows, x.rows - first);
    logits_.reshape(rows, row.width(config_));
    evaluate_rows(model_, row, Layer{}, options_.activation, a, 0, x.row_block(first, rows), x,
                  logits_.view());
    for (std::size_t at = first; at < first + rows;) {  // the runs that this block has rows of
      while (at >= runs_[c].offset + runs_[c].rows) ++c;
      const std::size_t end = std::min(first + rows, runs_[c].offset + runs_[c].rows);
      show(c, runs_[c].first + (at - runs_[c].offset),
           std::as_const(logits_).view().row_block(at - first, end - at));
      at = end;
    }
  }
}

/// Input k of all rows of all runs.
MatrixView<const double> Suffix::stacked_input(const SiteRow& row, std::size_t k, Layer layer) {
  const Input& input = row.inputs[k];
  if (!input.site) return std::as_const(stream_).view();
  const Columns columns = input_columns(config_, row, k, Head{}, base_.length());
  if (!first_layer_ || is_changed(*input.site))
    return std::as_const(buffer(*input.site)).view().columns(columns.first, columns.count);
  const Matrix<double>& all = base_.at(*input.site, layer);
  inputs_[k].reshape(stream_.rows(), all.cols());
  stack_rows_of_base(all, inputs_[k]);
  return std::as_const(inputs_[k]).view().columns(columns.first, columns.count);
}

/// Input k of the rows of one run; of an input that has earlier rows also those before, which are
/// the base's.
MatrixView<const double> Suffix::run_input(const SiteRow& row, std::size_t k, Layer layer,
                                           const Run& run, Head head) {
  const Input& input = row.inputs[k];
  if (!input.site) return std::as_const(stream_).view().row_block(run.offset, run.rows);
  const std::size_t so_far = run.first + run.rows;
  const auto [first, count] = input_columns(config_, row, k, head, so_far);
  const bool changed =
      !first_layer_ || is_changed(*input.site) || *input.site == layer_rows_[changed_].site;
  if (!input.earlier_rows) {
    if (changed)
      return std::as_const(buffer(*input.site))
          .view()
          .row_block(run.offset, run.rows)
          .columns(first, count);
    return base_.at(*input.site, layer, head)
        .view()
        .row_block(run.first, run.rows)
        .columns(first, count);
  }
  const MatrixView<const double> base = base_.at(*input.site, layer).view().columns(first, count);
  if (!changed) return base.row_block(0, so_far);
  inputs_[k].reshape(so_far, count);
  for (std::size_t i = 0; i < run.first; ++i) copy_row(base.row(i), inputs_[k].row(i));
  const MatrixView<const double> own = std::as_const(buffer(*input.site))
                                           .view()
                                           .row_block(run.offset, run.rows)
                                           .columns(first, count);
  for (std::size_t i = 0; i < run.rows; ++i) copy_row(own.row(i), inputs_[k].row(run.first + i));
  return std::as_const(inputs_[k]).view();
}

Arithmetic Suffix::arithmetic_at(const TapPoint& point) const {
  return drawing_at(plan_.at(point.site, point.layer, point.head), options_, point);
}

Matrix<double>& Suffix::buffer(Site site) {
  return outputs_[buffers_.of[static_cast<std::size_t>(site)]];
}

/// The base's rows that the runs have, one after the other.
void Suffix::stack_rows_of_base(const Matrix<double>& from, Matrix<double>& to) const {
  for (const Run& run : runs_)
    for (std::size_t i = 0; i < run.rows; ++i)
      copy_row(from.row(run.first + i), to.row(run.offset + i));
}

/// The residual stream of the base after the rows `before` of a layer.
const Matrix<double>& Suffix::base_stream(std::span<const SiteRow> before, Layer layer) const {
  const auto last_of = [](std::span<const SiteRow> rows) {
    const SiteRow* last = nullptr;
    for (const SiteRow& row : rows)
      if (makes_stream(row.operation)) last = &row;
    return last;
  };
  if (const SiteRow* here = last_of(before)) return base_.at(here->site, layer);
  if (layer.value > 0)
    if (const SiteRow* below = last_of(layer_rows_))
      return base_.at(below->site, Layer{layer.value - 1});
  const std::span<const SiteRow> all = config_.network->sites;
  return base_.at(
      last_of(all.first(static_cast<std::size_t>(layer_rows_.data() - all.data())))->site);
}

}  // namespace lamp
