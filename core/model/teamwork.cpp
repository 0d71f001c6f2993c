// How the members of a team share a pass: the rows of every site, or of a product of few rows the
// panels of columns. Rows and columns are independent of each other, and what is drawn for an
// output belongs to its place, so the bits are those of one thread.
#include <algorithm>
#include <utility>

#include "core/arith/gemm/evaluation.hpp"
#include "core/model/ops/sites.hpp"
#include "core/model/pass.hpp"
#include "core/model/rows.hpp"
#include "core/model/storage.hpp"

namespace lamp {
namespace {

/// A member with fewer rows of a product than these spends more time on reading the weights than on
/// multiplying.
constexpr std::size_t few_rows = 2 * RowBlocks::together;

/// Whether a product with marks evaluates marked panels alone (gemm_of_marked).
bool evaluates_panels(const Arithmetic& a, const PackedMatrix& weight, std::size_t rows) {
  if (a.steps().rounds_rows()) return false;
  const Evaluation evaluation =
      evaluation_of(a, rows, weight.rows(), weight.is_binary32() || a.mac.operands);
  return evaluation == Evaluation::kernel32 || evaluation == Evaluation::kernel64;
}

}  // namespace

SelectionScratch::Seen Workspace::selections_seen() const {
  SelectionScratch::Seen all;
  for (const Own& member : own) {
    all.selected = all.selected || member.selection.seen.selected;
    all.unlike_lamp = all.unlike_lamp || member.selection.seen.unlike_lamp;
  }
  return all;
}

void Workspace::forget_selections() {
  for (Own& member : own) member.selection.seen = {};
}

RowBlocks Pass::blocks(const SiteRow& row, std::size_t rows, double work_of_output,
                       double beside_entries) const {
  const bool causal = info(row.site).causal || row.operation == Operation::values;
  const std::size_t width = width_of(config_, row.site, so_far());
  const double work = work_of_output * static_cast<double>(rows) * static_cast<double>(width);
  return {.rows = rows,
          .parts = work_.team.members_for(work),
          .first = causal ? std::optional(static_cast<double>(first_ + 1) + beside_entries)
                          : std::nullopt};
}

RowBlocks Pass::blocks(const SiteRow& row, std::size_t rows) const {
  if (!has_bounds(row.operation)) return blocks(row, rows, work_of_value);
  const std::size_t terms = input_columns(config_, row, 0, Head{}, so_far()).count;
  constexpr double half_a_panel = PackedMatrix::panel_cols / 2.0;  // is filled up
  return blocks(row, rows, static_cast<double>(terms) + work_of_value, half_a_panel);
}

void Pass::prepare(const SiteRow& row, const TapPoint& point) {
  if (row.operation != Operation::scores) return;
  const MatrixView<const double> keys = input(row, 1, point);
  by_rows(blocks(row, tokens_.size()), [&](std::size_t part, std::size_t first, std::size_t count) {
    work_.own[part].keys.assign(keys.row_block(0, first_ + first + count).transposed());
  });
}

void Pass::compute(const Model& model, const SiteRow& row, const TapPoint& point,
                   const Arithmetic& a, MatrixView<double> out) {
  if (shares_columns(model, row, point, a, out.rows))
    return compute_columns(model, row, point, a, out);
  by_rows(blocks(row, out.rows), [&](std::size_t part, std::size_t first, std::size_t count) {
    TapPoint at = point;
    at.first_row += first;
    Arithmetic of_block = a;
    of_block.draws.first_row += static_cast<std::uint32_t>(first);
    compute_block(model, row, at, of_block,
                  causal_part(row, out.row_block(first, count), at.first_row + count),
                  work_.own[part].keys);
  });
}

void Pass::compute_block(const Model& model, const SiteRow& row, const TapPoint& point,
                         const Arithmetic& a, MatrixView<double> out, const PackedMatrix& keys) {
  const std::size_t first = point.first_row - first_, end = point.first_row + out.rows;
  const auto in = [&](std::size_t k) { return input(row, k, point); };
  const auto rows_of = [&](std::size_t k) { return in(k).row_block(first, out.rows); };
  switch (row.operation) {
    case Operation::embed:
    case Operation::embed_tokens:
      return embed(a, model.weights.at<EmbeddingWeights>(point.site),
                   tokens_.subspan(first, out.rows), out, point.first_row);
    case Operation::scores:
      return scores(a, rows_of(0), keys, out, model_.config.score_divisor(point.layer));
    case Operation::softmax:
      return softmax(a, causal_part(row, rows_of(0), end), out, entries_of(row.site));
    case Operation::values:
      return values(a, rows_of(0).columns(0, end), in(1).row_block(0, end), out);
    case Operation::layer_norm:
    case Operation::rms_norm:
    case Operation::linear:
    case Operation::rope:
    case Operation::residual:
    case Operation::activation:
    case Operation::product:
    case Operation::logits:
      return evaluate_rows(model, row, point.layer, options_.activation, a, point.first_row,
                           rows_of(0), input_count(row.operation) == 2 ? rows_of(1) : rows_of(0),
                           out);
  }
  contract_violated("forward: a known operation");
}

bool Pass::shares_columns(const Model& model, const SiteRow& row, const TapPoint& point,
                          const Arithmetic& a, std::size_t rows) const {
  if (row.operation != Operation::linear && row.operation != Operation::logits) return false;
  const std::size_t members = blocks(row, rows).parts;
  return members > 1 && rows < few_rows * members && !is_unlimited(a) &&
         evaluates_panels(a, model.weights.at<Linear>(row.site, point.layer).weight, rows);
}

void Pass::compute_columns(const Model& model, const SiteRow& row, const TapPoint& point,
                           const Arithmetic& a, MatrixView<double> out) {
  const Linear& layer = model.weights.at<Linear>(row.site, point.layer);
  const MatrixView<const double> x =
      input(row, 0, point).row_block(point.first_row - first_, out.rows);
  const std::size_t panels = layer.weight.panels(), members = work_.team.size();
  work_.team.each(members, [&](std::size_t part) {
    const auto column = [&](std::size_t p) {
      return std::min(out.cols, p * panels / members * PackedMatrix::panel_cols);
    };
    const std::size_t first = column(part), end = column(part + 1);
    if (first == end) return;
    Workspace::Own& own = work_.own[part];
    own.columns.assign(out.rows * out.cols, 0);
    own.product.reshape(out.rows, out.cols);
    for (std::size_t i = 0; i < out.rows; ++i)
      std::fill_n(own.columns.begin() + static_cast<std::ptrdiff_t>(i * out.cols + first),
                  end - first, std::uint8_t{1});
    linear_of_marked(a, layer, x, Marks(own.columns.data(), out.rows, out.cols, out.cols),
                     own.product.view());
    for (std::size_t i = 0; i < out.rows; ++i)
      std::copy_n(std::as_const(own.product).row(i).begin() + static_cast<std::ptrdiff_t>(first),
                  end - first, out.row(i).begin() + static_cast<std::ptrdiff_t>(first));
  });
}

void Pass::store(const TapPoint& point, MatrixView<double> out) {
  const NumberSystem* system = plan_.storage().at(point.site, point.layer);
  if (system == nullptr) return;
  const SiteRow& row = row_of(*config_.network, point.site);
  by_rows(
      blocks(row, out.rows, work_of_value), [&](std::size_t, std::size_t first, std::size_t count) {
        store_rows(*system,
                   causal_part(row, out.row_block(first, count), point.first_row + first + count),
                   entries_of(row.site));
      });
}

}  // namespace lamp
