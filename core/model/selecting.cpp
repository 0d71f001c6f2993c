// LAMP's step of a pass, at any product g that a function f follows: select, recompute, mix.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>

#include "core/arith/stochastic.hpp"
#include "core/base/marks.hpp"
#include "core/fp/rounding.hpp"
#include "core/model/compositions.hpp"
#include "core/model/ops/sites.hpp"
#include "core/model/pass.hpp"
#include "core/model/rows.hpp"
#include "core/selection/lamp.hpp"
#include "core/selection/rules/own.hpp"

namespace lamp {

void Pass::select(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
                  MatrixView<double> g) {
  if (selection.spec.weights == ErrorWeights::dot) {
    work_.bounds.reshape(g.rows, g.cols);
    bounds(row, point, work_.bounds.view());
  }
  compute(model_, row, point, arithmetic_at(point), g);
  store(point, g);
  const bool softmax = *row.f == Composition::softmax;
  if (softmax) recompute_all(selection, row, point, g);
  choose(selection, row, point, g, see(selection.spec, row, point, g));
  if (!softmax) {
    recompute_chosen(selection, row, point, g);
    mix(selection, row, point, g);
  }
  TapPoint at_row = point;
  for (std::size_t i = 0; i < g.rows; ++i, ++at_row.first_row)
    sink_.selected(at_row, marks(g, i).first(entries(row, g.cols, i)));
}

void Pass::select_across_heads(const SiteRow& row, const TapPoint& point) {
  const std::size_t heads = heads_of(config_, row.site), width = row.width(config_);
  const SelectionPlan& selection = *plan_.selection(row.site, point.layer);
  const MatrixView<double> all = buffer(row.site).view();
  const auto own = [&](Matrix<double>& of_all, const TapPoint& at) {
    of_all.reshape(all.rows, all.cols);  // keeps what the heads before left there
    return of_all.view().columns(at.head.value * width, width);
  };
  const bool local = sink_.wants_local(row.site);
  if (local) compute_local(row, point, own(work_.of_heads.local, point));
  if (selection.spec.weights == ErrorWeights::dot)
    bounds(row, point, own(work_.of_heads.bounds, point));
  compute(model_, row, point, drawing(selection.recompute, point),
          own(work_.of_heads.recomputed, point));
  const MatrixView<double> low = output(row, point.head);
  compute(model_, row, point, arithmetic_at(point), low);
  store(point, low);
  if (point.head.value + 1 < heads) return;
  TapPoint at = point;
  at.head = Head{};
  std::swap(work_.recomputed, work_.of_heads.recomputed);
  std::swap(work_.bounds, work_.of_heads.bounds);
  work_.redone.clear();
  choose(selection, row, at, all, see(selection.spec, row, at, all));
  mix(selection, row, at, all);
  for (; at.head.value < heads; ++at.head.value) {
    TapPoint at_row = at;
    for (std::size_t i = 0; i < all.rows; ++i, ++at_row.first_row)
      sink_.selected(at_row, marks(all, i).subspan(at.head.value * width, width));
    const MatrixView<const double> mixed = all.columns(at.head.value * width, width);
    sink_.values(at, mixed);
    if (local) sink_.local(at, mixed, own(work_.of_heads.local, at));
  }
}

Pass::Seen Pass::see(const SelectionSpec& spec, const SiteRow& row, const TapPoint& point,
                     MatrixView<double> low) {
  Seen seen{.y = low, .target = &target_of(*config_.network, row, options_.activation)};
  switch (*row.f) {
    case Composition::softmax: {
      const SiteRow& f = *row_of_f(config_.network->sites, row);
      TapPoint at_f = point;
      at_f.site = f.site;
      seen.softmax = {.at = at_f, .arithmetic = arithmetic_at(at_f), .z = output(f, point.head)};
      compute(model_, f, at_f, seen.softmax->arithmetic, seen.softmax->z);
      store(at_f, seen.softmax->z);
      seen.z = seen.softmax->z;
      return seen;
    }
    case Composition::norm:
      seen.g = low;
      return seen;
    case Composition::activation:
      if (spec.rule->traits.reads_values) see_map(spec, row, point, low, seen);
      return seen;
    case Composition::linear_map: {
      const SiteRow& f = *row_of_f(config_.network->sites, row);
      const Linear& map = model_.weights.at<Linear>(f.site, point.layer);
      absolute_sums(map.weight, work_.columns);
      map_rows(f, low, map.weight, work_.seen);
      seen.z = std::as_const(work_.seen).view(), seen.columns = work_.columns;
      return seen;
    }
    case Composition::final_softmax:
      return seen;
  }
  contract_violated("forward: a known composition");
}

Pass::Seen Pass::see_rows(const SiteRow& row, const TapPoint& point, const Seen& seen,
                          std::size_t first, std::size_t count, Workspace::Own& own) {
  Seen out = seen;
  out.first = first;
  const MatrixView<const double> low = seen.y.row_block(first, count);
  own.seen.reshape(count, low.cols);
  if (*row.f == Composition::final_softmax) {
    softmax(fused(binary64), low, own.seen.view(), Entries::all);
    out.y = low, out.z = std::as_const(own.seen).view();
    return out;
  }
  const SiteRow& sum = *row_of_sum(config_.network->sites, row);
  TapPoint at_sum = point;
  at_sum.site = sum.site;
  at_sum.first_row += first;
  compute_block(model_, sum, at_sum, arithmetic_at(at_sum), own.seen.view(), own.keys);
  for (std::size_t i = 0; i < count; ++i) store(at_sum, own.seen.view().row(i));
  out.y = std::as_const(own.seen).view();
  return out;
}

void Pass::see_map(const SelectionSpec& spec, const SiteRow& row, const TapPoint& point,
                   MatrixView<const double> low, Seen& seen) {
  const std::span<const SiteRow> rows = config_.network->sites;
  const SiteRow& f = *row_of_f(rows, row);
  const MapAfter after = map_after(rows, f.site);
  expects(after.linear != nullptr, "forward: a rule that reads values where f is mapped");
  const auto evaluated = [&](const SiteRow& site, Matrix<double>& out) {
    TapPoint at = point;
    at.site = site.site;
    out.reshape(low.rows, low.cols);
    compute(model_, site, at, arithmetic_at(at), out.view());
    store(at, out.view());
    return std::as_const(out).view();
  };
  seen.z = evaluated(f, work_.seen);
  if (after.product != nullptr) {  // what it is multiplied by comes later in the pass
    const bool is_first = after.product->inputs[0].site == f.site;
    const SiteRow& other = row_of(*config_.network, *after.product->inputs[is_first ? 1 : 0].site);
    TapPoint at = point;
    at.site = after.product->site;
    const MatrixView<const double> factor = evaluated(other, work_.factor);
    const MatrixView<double> out = work_.seen.view();
    by_rows(blocks(*after.product, out.rows, work_of_value),
            [&](std::size_t, std::size_t first, std::size_t count) {
              TapPoint at_rows = at;
              at_rows.first_row += first;
              product(arithmetic_at(at_rows), seen.z.row_block(first, count),
                      factor.row_block(first, count), out.row_block(first, count));
            });
    store(at, out);
  }
  const PackedMatrix& map = model_.weights.at<Linear>(after.linear->site, point.layer).weight;
  row_norms(map, work_.columns);
  seen.column_norms = work_.columns;
  if (!spec.tau) return;
  map_rows(*after.linear, seen.z, map, work_.mapped);
  seen.mapped = std::as_const(work_.mapped).view();
}

void Pass::map_rows(const SiteRow& linear, MatrixView<const double> x, const PackedMatrix& map,
                    Matrix<double>& out) {
  out.reshape(x.rows, map.cols());
  by_rows(blocks(linear, x.rows), [&](std::size_t, std::size_t first, std::size_t count) {
    gemm(fused(binary64), x.row_block(first, count), map, out.view().row_block(first, count));
  });
}

void Pass::choose(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
                  MatrixView<double> g, const Seen& seen) {
  work_.marks.resize(g.rows * g.cols);
  const RuleTraits& traits = selection.spec.rule->traits;
  if (traits.reads_values && seen.softmax) read_values(row, point);
  if (traits.ahead == LookAhead::first_terms) first_terms(selection.spec.terms, row, point);
  const bool of_layer = selection.fallback && selection.fallback->what == Fallback::What::layer;
  const double u = selection.fallback ? low_roundoff(row, point) : 0.0;
  RowBlocks of_g = blocks(row, g.rows, work_of_choice);
  if (traits.ahead == LookAhead::row_before) of_g.parts = 1;  // a row is chosen by the one before
  std::atomic<std::size_t> all_exceeding = 0;
  by_rows(of_g, [&](std::size_t part, std::size_t first, std::size_t count) {
    Workspace::Own& own = work_.own[part];
    // Where f is a softmax, a row is mixed before the next is chosen: only an own rule allows
    // several.
    const std::size_t together = selection.spec.own != nullptr ? own_rows_together(g.cols)
                                 : sees_by_rows(row)           ? rows_seen
                                                               : 1;
    for (std::size_t i = first; i < first + count; i += together)
      all_exceeding += choose_rows(selection, row, point, g, seen, i,
                                   std::min(together, first + count - i), u, own);
  });
  std::size_t exceeding = all_exceeding;
  if (of_layer && exceeding > 0) {
    expects(earlier_ == nullptr, "forward: no fallback of a layer in a pass that goes on");
    exceeding = g.rows;
    std::fill(work_.marks.begin(), work_.marks.end(), std::uint8_t{1});
    if (seen.softmax)
      by_rows(blocks(row, g.rows, work_of_value),
              [&](std::size_t, std::size_t first, std::size_t count) {
                for (std::size_t i = first; i < first + count; ++i)
                  mix_with_f(selection, row, point, g, *seen.softmax, i);
              });
  }
  if (selection.fallback) sink_.fell_back(point, exceeding);
  keep_softmax(traits.ahead, point, seen.z);
}

std::size_t Pass::choose_rows(const SelectionPlan& selection, const SiteRow& row,
                              const TapPoint& point, MatrixView<double> g, const Seen& all,
                              std::size_t first, std::size_t count, double u, Workspace::Own& own) {
  std::optional<Seen> of_rows;
  if (sees_by_rows(row)) of_rows = see_rows(row, point, all, first, count, own);
  const Seen& seen = of_rows ? *of_rows : all;
  own.rows.clear(), own.chosen.clear();
  for (std::size_t i = first; i < first + count; ++i) {
    own.rows.push_back(see_row(selection.spec, row, point, seen, i, own.values));
    own.chosen.push_back(marks(g, i).first(entries(row, g.cols, i)));
  }
  if (seen.target->prepare != nullptr) seen.target->prepare(own.rows);
  select_rows(selection.spec, *seen.target, own.rows, draws(point, first), own.chosen,
              own.selection);
  std::size_t exceeding = 0;
  for (std::size_t k = 0; k < count; ++k) {
    const std::span<std::uint8_t> chosen = own.chosen[k];
    if (selection.fallback) {
      const double bound =
          cost_of_set(selection.spec, *seen.target, own.rows[k], chosen, own.selection) * u;
      if (!(bound <= selection.fallback->tolerance)) {  // NaN exceeds
        ++exceeding;
        std::fill(chosen.begin(), chosen.end(), std::uint8_t{1});
      }
    }
    if (seen.softmax) mix_with_f(selection, row, point, g, *seen.softmax, first + k);
  }
  return exceeding;
}

std::span<const double> Pass::ranking(LookAhead ahead, const TapPoint& point, const Seen& seen,
                                      std::size_t i, std::size_t n) const {
  switch (ahead) {
    case LookAhead::none:
      return {};
    case LookAhead::layer_before:
      if (point.layer.value == 0) return {};
      return work_.layer_before[point.head.value].row(i).first(n);
    case LookAhead::row_before:
      if (i > 0) return seen.z.row(i - 1).first(n - 1);
      if (first_ == 0) return {};
      {
        const auto last = earlier_->last_softmax.find({point.layer.value, point.head.value});
        expects(last != earlier_->last_softmax.end() && last->second.size() == n - 1,
                "forward: a rule that looks at the row before goes on from the last one");
        return last->second;
      }
    case LookAhead::first_terms:
      return std::as_const(work_.partial).row(i).first(n);
  }
  contract_violated("forward: a known way to look ahead");
}

void Pass::first_terms(std::size_t terms, const SiteRow& row, const TapPoint& point) {
  const MatrixView<const double> q = input(row, 0, point), k = input(row, 1, point);
  const std::size_t length = std::min(terms, q.cols);
  work_.partial.reshape(q.rows, k.rows);
  by_rows(blocks(row, q.rows), [&](std::size_t, std::size_t first, std::size_t count) {
    TapPoint at = point;
    at.first_row += first;
    const std::size_t end = at.first_row + count;
    scores(arithmetic_at(at), q.row_block(first, count).columns(0, length),
           k.row_block(0, end).columns(0, length),
           work_.partial.view().row_block(first, count).columns(0, end));
  });
}

void Pass::keep_softmax(LookAhead ahead, const TapPoint& point, MatrixView<const double> z) {
  if (ahead == LookAhead::layer_before) {
    work_.layer_before.resize(std::max(work_.layer_before.size(), point.head.value + 1));
    Matrix<double>& kept = work_.layer_before[point.head.value];
    kept.reshape(z.rows, z.cols);
    for (std::size_t i = 0; i < z.rows; ++i)
      std::copy(z.row(i).begin(), z.row(i).end(), kept.row(i).begin());
  }
  if (ahead == LookAhead::row_before && earlier_ != nullptr) {
    const std::span<const double> last = z.row(z.rows - 1);
    earlier_->last_softmax[{point.layer.value, point.head.value}].assign(last.begin(), last.end());
  }
}

SelectionRow Pass::see_row(const SelectionSpec& spec, const SiteRow& row, const TapPoint& point,
                           const Seen& seen, std::size_t i, ReadValues& values) {
  const std::size_t n = entries(row, seen.y.cols, i), at = i - seen.first;
  SelectionRow out{.y = seen.y.row(at).first(n), .row_length = n};
  if (spec.weights == ErrorWeights::dot) out.w = std::as_const(work_.bounds).row(i).first(n);
  if (info(row.site).causal) out.row_length = length_;
  if (*row.f == Composition::norm) out.g = seen.g.row(i), out.eps = config_.layer_norm_epsilon;
  if (*row.f == Composition::softmax || *row.f == Composition::final_softmax)
    out.z = seen.z.row(at).first(n);
  if (*row.f == Composition::linear_map) {
    out.columns = seen.columns;
    for (const double z : seen.z.row(i)) out.norm1 += std::abs(z);
  }
  if (!seen.column_norms.empty()) {
    out.z = seen.z.row(i).first(n), out.column_norms = seen.column_norms;
    if (seen.mapped.rows > 0) {
      double square = 0.0;
      for (const double o : seen.mapped.row(i)) square = std::fma(o, o, square);
      out.norm2 = std::sqrt(square);
    }
  }
  out.ranking = ranking(spec.rule->traits.ahead, point, seen, i, n);
  if (spec.rule->traits.reads_keys || (spec.own != nullptr && has_keys(row.operation))) {
    out.q = input(row, 0, point).row(i);
    out.k = input(row, 1, point).row_block(0, n);
  }
  if (spec.rule->traits.reads_values && seen.softmax) out.v = values.in_row_of(n);
  return out;
}

DrawCoordinates Pass::draws(const TapPoint& point, std::size_t i) const {
  return {.seed = options_.seed,
          .sequence = options_.sequence,
          .layer = static_cast<std::uint32_t>(point.layer.value),
          .head = static_cast<std::uint32_t>(point.head.value),
          .row = static_cast<std::uint32_t>(point.first_row + i),
          .site = info(point.site).draw};
}

double Pass::low_roundoff(const SiteRow& row, TapPoint point) const {
  double u = 0.0;
  const std::size_t heads = *row.f == Composition::linear_map ? heads_of(config_, row.site) : 1;
  for (std::size_t h = 0; h < heads; ++h, ++point.head.value)
    u = std::max(u, unit_roundoff(plan_.at(point.site, point.layer, point.head).mac.format));
  return u;
}

void Pass::recompute_all(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
                         MatrixView<const double> g) {
  work_.redone.clear();
  work_.recomputed.reshape(g.rows, g.cols);
  compute(model_, row, point, drawing(selection.recompute, point), work_.recomputed.view());
}

void Pass::recompute_chosen(const SelectionPlan& selection, const SiteRow& row,
                            const TapPoint& point, MatrixView<const double> g) {
  const Arithmetic& high = selection.recompute;
  const std::optional<NumberSystem>& operands = high.steps().operands;
  if (is_stochastic(high) || (operands && reads_tensor(*operands)))
    return recompute_all(selection, row, point, g);
  expects(row.operation == Operation::linear || row.operation == Operation::logits,
          "forward: f reads rows of a linear site, where it is no softmax of scores");
  work_.redone.assign(g.rows, g.rows);
  std::size_t count = 0;
  for (std::size_t i = 0; i < g.rows; ++i)
    if (any_marked(marks(g, i))) work_.redone[i] = count++;
  if (count == 0) return;
  MatrixView<const double> x = input(row, 0, point).row_block(point.first_row - first_, g.rows);
  Marks chosen(work_.marks.data(), g.rows, g.cols, g.cols);
  work_.recomputed.reshape(count, g.cols);
  if (count < g.rows) {
    work_.gathered.reshape(count, x.cols), work_.gathered_marks.resize(count * g.cols);
    for (std::size_t i = 0; i < g.rows; ++i) {
      const std::size_t at = work_.redone[i];
      if (at == g.rows) continue;
      std::copy(x.row(i).begin(), x.row(i).end(), work_.gathered.row(at).begin());
      std::copy(chosen.row(i).begin(), chosen.row(i).end(),
                work_.gathered_marks.begin() + static_cast<std::ptrdiff_t>(at * g.cols));
    }
    x = std::as_const(work_.gathered).view();
    chosen = Marks(work_.gathered_marks.data(), count, g.cols, g.cols);
  }
  const Linear& layer = model_.weights.at<Linear>(row.site, point.layer);
  by_rows(blocks(row, count), [&](std::size_t, std::size_t first, std::size_t some) {
    linear_of_marked(high, layer, x.row_block(first, some), chosen.row_block(first, some),
                     work_.recomputed.view().row_block(first, some));
  });
}

void Pass::mix(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
               MatrixView<double> g) {
  by_rows(blocks(row, g.rows, work_of_value),
          [&](std::size_t, std::size_t first, std::size_t count) {
            for (std::size_t i = first; i < first + count; ++i)
              mix_row(selection, row, point, g, i);
          });
}

bool Pass::mix_row(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
                   MatrixView<double> g, std::size_t i) {
  const std::size_t n = entries(row, g.cols, i);
  const std::span<const std::uint8_t> chosen = marks(g, i).first(n);
  if (!any_marked(chosen)) return false;
  const std::size_t at = work_.redone.empty() ? i : work_.redone[i];
  const std::span<const double> high = std::as_const(work_.recomputed).row(at).first(n);
  const std::span<double> y = g.row(i).first(n);
  const std::optional<double> shift = shift_of(selection.shift, y, high, chosen);
  if (shift)
    for (std::size_t j = 0; j < n; ++j)
      if (chosen[j] == 0) y[j] = add(y[j], *shift, selection.recompute.mac.format);
  for_each_marked(chosen, [&](std::size_t j) { y[j] = high[j]; });
  store(point, y);
  return true;
}

void Pass::mix_with_f(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
                      MatrixView<double> g, const Seen::Softmax& f, std::size_t i) {
  if (!mix_row(selection, row, point, g, i)) return;
  const std::size_t n = entries(row, g.cols, i);
  const std::span<double> z = f.z.row(i).first(n);
  softmax_of_row(f.arithmetic, g.row(i).first(n), z, i);
  store(f.at, z);
}

void Pass::read_values(const SiteRow& row, const TapPoint& point) {
  const SiteRow* f = row_of_f(config_.network->sites, row);
  const SiteRow* weighted = f == nullptr ? nullptr : row_of_values(config_.network->sites, f->site);
  expects(weighted != nullptr, "forward: a rule that reads values where f weights some");
  TapPoint at = point;
  at.site = weighted->site;
  for (Workspace::Own& own : work_.own)
    own.values.assign(arithmetic_at(at), input(*weighted, 1, at));
}

void Pass::bounds(const SiteRow& row, const TapPoint& point, MatrixView<double> out) {
  expects(has_bounds(row.operation), "forward: error weights dot at a site that has bounds");
  by_rows(blocks(row, out.rows), [&](std::size_t, std::size_t first, std::size_t count) {
    const std::size_t at = point.first_row + first, end = at + count;
    const MatrixView<const double> x = input(row, 0, point).row_block(at - first_, count);
    const MatrixView<double> of_rows = out.row_block(first, count);
    if (row.operation == Operation::scores)
      score_bounds(x, input(row, 1, point).row_block(0, end), of_rows.columns(0, end),
                   model_.config.score_divisor(point.layer));
    else if (row.operation == Operation::values)
      value_bounds(x.columns(0, end), input(row, 1, point).row_block(0, end), of_rows);
    else
      linear_bounds(model_.weights.at<Linear>(row.site, point.layer), x, of_rows);
  });
}

}  // namespace lamp
