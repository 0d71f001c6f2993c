// The forward pass of a network: its table of sites, layer by layer under a precision plan.
// Activations are binary64 at every site boundary. A pass goes on from rows computed before where
// it is given them: it is causal, so later rows change nothing in earlier ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/base/index.hpp"
#include "core/base/matrix.hpp"
#include "core/base/stop.hpp"
#include "core/base/team.hpp"
#include "core/model/ops/read_values.hpp"
#include "core/model/plan.hpp"
#include "core/model/weights.hpp"

namespace lamp::mpfr {
struct KeysValues;
}

namespace lamp {

/// Rows of logits that a pass computes at a time.
inline constexpr std::size_t logit_rows = 64;

/// Where a tapped value comes from. Sites without layer or head leave them 0.
struct TapPoint {
  Site site = Site::embed;
  Layer layer{};
  Head head{};
  std::size_t first_row =
      0;  // of the sequence: what row 0 of the values is. Logits come in blocks of rows
};

/// Is shown the values of a pass. They are valid during the call only. It is called by the thread
/// that called the pass, in the order of evaluation, but for takes_rows_apart().
class TapSink {
 public:
  virtual ~TapSink() = default;
  /// Rows are token positions. Of a causal site (rows, first_row + rows), entries (i, j > first_row
  /// + i) are unspecified; of another one (rows, width of the site in one head).
  virtual void values(const TapPoint& point, MatrixView<const double> x) = 0;
  /// Whether values() may be called for different rows of a site in any order and at once: those of
  /// logits then are, by the threads that have evaluated them.
  [[nodiscard]] virtual bool takes_rows_apart(Site) const { return false; }
  /// Whether local() is wanted at a site; it costs a second evaluation there.
  [[nodiscard]] virtual bool wants_local(Site) const { return false; }
  /// After values(): the same operation on the same computed inputs in the reference arithmetic
  /// (PassOptions::local_reference).
  virtual void local(const TapPoint& point, MatrixView<const double> x,
                     MatrixView<const double> reference);
  /// Selected components of row `first_row` of a site with a selection rule: one byte per entry (of
  /// a causal site, per causal entry), 0 or 1.
  virtual void selected(const TapPoint& point, std::span<const std::uint8_t> marks) = 0;
  /// How many rows of a site the fallback of its selection recomputed whole; where f reads the rows
  /// of all heads, told of head 0; of logits, block by block.
  virtual void fell_back(const TapPoint&, std::size_t) {}
};

/// What a forward pass needs besides the model: the coordinates that its random draws (rules,
/// stochastic rounding) depend on.
struct PassOptions {
  Activation activation = Activation::gelu_new;
  std::uint32_t seed = 0;
  std::uint32_t sequence = 0;
  const PrecisionPlan* local_reference =
      nullptr;                         // arithmetic of local(); needed where a sink wants it
  const Model* local_model = nullptr;  // weights of local(); null: those of the pass
  std::size_t first_logits = 0;        // the logits of rows before this one are not evaluated
  std::size_t threads = 1;             // of a pass in unlimited(p); others have Workspace::team
  const StopRequest* stop = nullptr;   // asked before every site; null: nobody stops the pass
};

/// The arithmetic with the draws of a point: row 0 of what is evaluated is row point.first_row.
Arithmetic drawing_at(Arithmetic arithmetic, const PassOptions& options, const TapPoint& point);

/// Memory of a pass, reused from one to the next, and the threads that share its work: of one pass
/// at a time. `rows` are those of the pass. No bit depends on how many threads there are.
class Workspace {
 public:
  Team team;
  Matrix<double> stream;                // (rows, n_embd): the residual stream
  std::vector<Matrix<double>> outputs;  // of sites, as Buffers says
  Matrix<double> logits;                // (up to logit_rows, vocab_size)
  Matrix<double> local;                 // a site's output in the reference arithmetic
  // Of a site where LAMP selects: its high values, of all rows or of those in `redone` (the place
  // of each row; empty: all), and w_j; inputs of these rows; what f sees or makes of the low ones.
  Matrix<double> recomputed, bounds, gathered, seen, factor, mapped;
  std::vector<std::size_t> redone;
  std::vector<std::uint8_t> gathered_marks;  // of these rows
  struct OfHeads {
    Matrix<double> recomputed, bounds, local;
  } of_heads;  // the same where f reads all heads: filled head by head
  std::vector<Matrix<double>> layer_before;  // by head: softmax, of the layer before, for rules
  Matrix<double> partial;                    // scores of the first terms
  std::vector<double> columns;               // sums or norms of a linear map
  std::vector<Matrix<double>> cache;         // keys and values, as EarlierRows::kept, of one layer
  std::vector<std::uint8_t> marks;           // one a component, (rows, columns)

  /// What a member of the team has by itself.
  struct Own {
    PackedMatrix keys;  // of one head, transposed: (d_head, those that its rows see)
    ReadValues values;  // of one head, for rules that read them
    SelectionScratch selection;
    std::vector<SelectionRow> rows;               // that it chooses in together
    std::vector<std::span<std::uint8_t>> chosen;  // and their marks
    std::vector<std::uint8_t> columns;            // marks of those that it evaluates
    Matrix<double> product;                       // of these
    Matrix<double> seen;                          // what f sees of some rows where LAMP selects
  };
  std::vector<Own> own;  // by part of the work

  /// SelectionScratch::Seen of all members.
  [[nodiscard]] SelectionScratch::Seen selections_seen() const;
  void forget_selections();
};

/// tokens: T ids, 1 <= T <= n_positions, each < vocab_size (checked: a programmer's error here, the
/// caller validates). The plan selects at selectable sites of the network only. A plan that is
/// unlimited(p) everywhere selects nothing and keeps its values in p bits from site to site
/// (core/mpfr/forward.hpp); taps see them rounded to binary64. Throws Stopped at the first site
/// that options.stop keeps from being evaluated, and RuleFailed where an own rule fails, as does
/// all that makes passes.
void forward(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan,
             const PassOptions& options, TapSink& sink, Workspace& workspace);

/// What the later rows of a sequence need of the earlier ones.
struct EarlierRows {
  /// Of a sequence of `length` tokens, 1 <= length <= n_positions, of which no row is computed yet.
  EarlierRows(const ModelConfig& model, std::size_t length);

  std::size_t length;    // of the whole sequence: rules that count masked entries depend on it
  std::size_t rows = 0;  // computed so far. To go on from fewer with other tokens, lower it
  std::vector<KeptColumns> kept;  // what they need of each layer: keys and values
  /// By layer, then as in `kept`: (length, columns), of which the first `rows` are known.
  std::vector<std::vector<Matrix<double>>> values;
  /// By layer and head, for rules that look at the row before: its softmax. A pass with such a rule
  /// goes on from the last row alone.
  std::map<std::pair<std::size_t, std::size_t>, std::vector<double>> last_softmax{};
  std::shared_ptr<mpfr::KeysValues> unlimited{};  // the same of a pass in unlimited(p)
};

/// The rows earlier.rows .. earlier.rows + tokens.size() - 1 of a pass over earlier.length tokens;
/// adds them to `earlier`. They have the bits that forward() over the whole sequence gives them, in
/// any arithmetic, order, selection and stochastic mode: forward() is the case that starts from row
/// 0 and is given all tokens. Pre: model, plan and options as for the rows before; 1 <=
/// tokens.size() <= earlier.length - earlier.rows.
void forward_from(const Model& model, EarlierRows& earlier, std::span<const TokenId> tokens,
                  const PrecisionPlan& plan, const PassOptions& options, TapSink& sink,
                  Workspace& workspace);

}  // namespace lamp
