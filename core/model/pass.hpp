// One forward pass, over the rows first_ .. first_ + tokens - 1 of a sequence. Internal to
// core/model: forward.cpp walks the table and evaluates sites, teamwork.cpp shares their rows among
// threads, selecting.cpp is LAMP's step.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/model/buffers.hpp"
#include "core/model/forward.hpp"
#include "core/model/storage.hpp"
#include "core/selection/target.hpp"

namespace lamp {

/// What the steps of a pass share.
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

  void run();

 private:
  [[nodiscard]] std::size_t so_far() const { return first_ + tokens_.size(); }

  /// Evaluates the sites of one layer, or those outside of layers; the sites per head, head by
  /// head.
  void layer(Rows rows, Layer layer);

  /// Evaluates the first of the sites, with the next where that is the softmax which LAMP selects
  /// for; returns how many.
  std::size_t step(Rows rows, Layer layer, Head head);

  /// Evaluates one site in the plan's arithmetic and taps it. Where the sink wants the local error,
  /// the reference arithmetic comes first, because the output may take the place of an input.
  void site(const SiteRow& row, const TapPoint& point, const SelectionPlan* selection);

  /// In the plan's arithmetic, with LAMP's step where there is a selection; as it is stored.
  void evaluate(const SiteRow& row, const TapPoint& point, const SelectionPlan* selection,
                MatrixView<double> out);

  /// Taps the softmax that LAMP's step at `point` has evaluated.
  void tap_f(const SiteRow& f, TapPoint point);

  /// Rounds a site's output to what it is kept in.
  void store(const TapPoint& point, MatrixView<double> out);
  void store(const TapPoint& point, std::span<double> row) const;

  // Work in multiply-accumulates, of a number that is copied, stored, or a function of others;
  // whose LAMP's step is taken; of a logit that is recorded. They decide whether to share it.
  static constexpr double work_of_value = 32.0, work_of_choice = 512.0, work_of_tap = 256.0;

  /// How a team shares rows of a site's output; where they are causal, by their entries and what
  /// else a row takes, in entries (measured: that of softmax and LAMP's step).
  [[nodiscard]] RowBlocks blocks(const SiteRow& row, std::size_t rows, double work_of_output,
                                 double beside_entries = 64.0) const;
  /// The same of its evaluation. Of one site and number of rows always the same: scores have packed
  /// the keys of their block.
  [[nodiscard]] RowBlocks blocks(const SiteRow& row, std::size_t rows) const;

  /// Calls work(part, first, count) for every block that has rows.
  template <class Work>
  void by_rows(const RowBlocks& blocks, const Work& work) {
    work_.team.each(blocks.parts, [&](std::size_t part) {
      const std::size_t first = blocks.begin(part), count = blocks.count(part);
      if (count > 0) work(part, first, count);
    });
  }

  /// Of rows of a causal site the columns that they have in common with later rows up to `end`.
  template <class T>
  [[nodiscard]] static MatrixView<T> causal_part(const SiteRow& row, MatrixView<T> x,
                                                 std::size_t end) {
    return info(row.site).causal ? x.columns(0, end) : x;
  }

  /// "Select, recompute, mix" at the site g of `row`: evaluates g low, chooses S in every row by
  /// what f sees of it, and replaces the chosen components by those of `recompute`. Low values are
  /// read as they are stored, mixed rows are stored again. Where f is a softmax, it is evaluated
  /// too.
  void select(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
              MatrixView<double> g);

  /// The same, with taps, where f reads the rows of all heads side by side: chooses when the last
  /// head's are there.
  void select_across_heads(const SiteRow& row, const TapPoint& point);

  /// What f sees of the low rows of g.
  struct Seen {
    MatrixView<const double> y{}, z{}, g{};  // as in SelectionRow
    std::size_t first = 0;  // the row of g that y and z begin with, where they are see_rows()'s
    std::span<const double> columns{}, column_norms{};
    MatrixView<const double> mapped{};  // W z of rule value-aware, with tau
    const Target* target = nullptr;
    /// f itself, where it is a softmax: z again, to write to.
    struct Softmax {
      TapPoint at;
      Arithmetic arithmetic;
      MatrixView<double> z;
    };
    std::optional<Softmax> softmax{};
  };

  Seen see(const SelectionSpec& spec, const SiteRow& row, const TapPoint& point,
           MatrixView<double> low);

  /// Whether what f sees is evaluated by see_rows(), rows_seen rows at a time, and not by see():
  /// they are still in the cache when their sets are chosen.
  static bool sees_by_rows(const SiteRow& row) {
    return *row.f == Composition::norm || *row.f == Composition::final_softmax;
  }
  static constexpr std::size_t rows_seen = 8;  // of which the sums take turns

  /// What f sees of `count` rows of g, from `first` on; in the memory of `own`.
  Seen see_rows(const SiteRow& row, const TapPoint& point, const Seen& seen, std::size_t first,
                std::size_t count, Workspace::Own& own);

  /// What rule value-aware sees of an activation: z as the linear map after it reads it, the
  /// 2-norms of the map's columns, and its output.
  void see_map(const SelectionSpec& spec, const SiteRow& row, const TapPoint& point,
               MatrixView<const double> low, Seen& seen);

  /// The marks of row i, one for each component of g.
  std::span<std::uint8_t> marks(MatrixView<const double> g, std::size_t i) {
    return std::span(work_.marks).subspan(i * g.cols, g.cols);
  }

  /// Chooses S in every row of g, and more where that is not enough for the fallback. Where f is a
  /// softmax, each row is mixed at once and f of it evaluated, since rules may look at the row
  /// before.
  void choose(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
              MatrixView<double> g, const Seen& seen);

  /// Chooses S in `count` rows of g, from `first` on; returns how many of them the fallback, for
  /// the unit roundoff u of the low arithmetic, takes whole.
  std::size_t choose_rows(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
                          MatrixView<double> g, const Seen& seen, std::size_t first,
                          std::size_t count, double u, Workspace::Own& own);

  /// x times the weights of a linear site, in fused binary64.
  void map_rows(const SiteRow& linear, MatrixView<const double> x, const PackedMatrix& map,
                Matrix<double>& out);

  SelectionRow see_row(const SelectionSpec& spec, const SiteRow& row, const TapPoint& point,
                       const Seen& seen, std::size_t i, ReadValues& values);

  /// What a rule that looks ahead ranks the n components of row i by, at a site whose f is a
  /// softmax; empty: nothing.
  [[nodiscard]] std::span<const double> ranking(LookAhead ahead, const TapPoint& point,
                                                const Seen& seen, std::size_t i,
                                                std::size_t n) const;

  /// Fills work_.partial: scores of the first terms of each inner product, in the low arithmetic.
  void first_terms(std::size_t terms, const SiteRow& row, const TapPoint& point);

  /// Keeps the softmax for rules that look ahead from it.
  void keep_softmax(LookAhead ahead, const TapPoint& point, MatrixView<const double> z);

  [[nodiscard]] DrawCoordinates draws(const TapPoint& point, std::size_t i) const;

  /// u of the arithmetic that makes the low rows of g; the largest, where f reads those of all
  /// heads.
  [[nodiscard]] double low_roundoff(const SiteRow& row, TapPoint point) const;

  /// Evaluates g in the arithmetic of `recompute` in all rows, which costs less than picking
  /// components and gives the same bits.
  void recompute_all(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
                     MatrixView<const double> g);

  /// The same of the chosen components of a linear site, where they may be evaluated apart from the
  /// others: their draws and operands are their own.
  void recompute_chosen(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
                        MatrixView<const double> g);

  /// mix_row() of every row.
  void mix(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
           MatrixView<double> g);

  /// Replaces the chosen components of row i of g and shifts the others; returns whether there are
  /// any.
  bool mix_row(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
               MatrixView<double> g, std::size_t i);

  /// The same, and f of the row.
  void mix_with_f(const SelectionPlan& selection, const SiteRow& row, const TapPoint& point,
                  MatrixView<double> g, const Seen::Softmax& f, std::size_t i);

  /// Lets rules see the values that f weights in a head, as that product reads them.
  void read_values(const SiteRow& row, const TapPoint& point);

  /// How many components of row i of a site are defined.
  [[nodiscard]] std::size_t entries(const SiteRow& row, std::size_t cols, std::size_t i) const;

  /// The head's part of a site's output.
  [[nodiscard]] MatrixView<double> output(const SiteRow& row, Head head);

  /// What the site reads as input k in a head.
  [[nodiscard]] MatrixView<const double> input(const SiteRow& row, std::size_t k,
                                               const TapPoint& point) const;

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
  void keep(const SiteRow& row, Layer layer);

  /// Prepares what all evaluations of a site share: scores in several arithmetics pack the keys
  /// once, each member those that its rows see.
  void prepare(const SiteRow& row, const TapPoint& point);

  /// Evaluates a site with a model's weights, or a block of its rows from point.first_row on.
  void compute(const Model& model, const SiteRow& row, const TapPoint& point, const Arithmetic& a,
               MatrixView<double> out);

  /// The same by one thread. Of a causal site out has the columns up to that of its last row, and
  /// scores have the keys of these.
  void compute_block(const Model& model, const SiteRow& row, const TapPoint& point,
                     const Arithmetic& a, MatrixView<double> out, const PackedMatrix& keys);

  /// Whether compute() shares a product of `rows` rows by its columns, and how.
  [[nodiscard]] bool shares_columns(const Model& model, const SiteRow& row, const TapPoint& point,
                                    const Arithmetic& a, std::size_t rows) const;
  void compute_columns(const Model& model, const SiteRow& row, const TapPoint& point,
                       const Arithmetic& a, MatrixView<double> out);

  /// For error weights `dot`: bounds of the inner products of a site, of its output's shape.
  void bounds(const SiteRow& row, const TapPoint& point, MatrixView<double> out);

  /// The plan's arithmetic at a point, drawing from the point's own stream.
  [[nodiscard]] Arithmetic arithmetic_at(const TapPoint& point) const {
    return drawing(plan_.at(point.site, point.layer, point.head), point);
  }

  [[nodiscard]] Arithmetic drawing(const Arithmetic& arithmetic, const TapPoint& point) const {
    return drawing_at(arithmetic, options_, point);
  }

  /// Evaluates a site in the reference arithmetic where the sink wants that, into work_.local, of
  /// the output's shape; returns whether it does.
  bool evaluate_local(const SiteRow& row, const TapPoint& point, MatrixView<const double> out);
  void compute_local(const SiteRow& row, const TapPoint& point, MatrixView<double> local);

  void tap(const TapPoint& point, MatrixView<const double> x, bool local) {
    sink_.values(point, x);
    if (local) sink_.local(point, x, std::as_const(work_.local).view());
  }

  void logits(const SiteRow& row);

  void logit_block(const SiteRow& site, std::size_t first, std::size_t rows);

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

}  // namespace lamp
