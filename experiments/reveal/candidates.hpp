// Which arithmetic in a revealed tree has a command's bits: candidates answer everything that the
// command answered.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/arith/reveal/reveal.hpp"
#include "core/arith/spec.hpp"

namespace lamp::experiments {

struct FinalRounding {
  FloatFormat format;
  Rounding mode = Rounding::rne;
};

/// An arithmetic whose sum may be rounded once more at the end. For `sequential` an Arithmetic can
/// say that (blocked:n with a wider `block`); for other trees none can: such a candidate is
/// described in words, not named.
struct Candidate {
  Arithmetic arithmetic;
  std::optional<FinalRounding> last{};
};

/// The same bits, or both NaN.
bool same_bits(double x, double y);

double answer(const Candidate& candidate, const DotProduct& product);

/// Candidates for a sum, the likeliest first; null: it has no tree. `format`: of the operands, and
/// of the accumulator if that is not wider. With a tree, orders without one are left out, except
/// `kahan` beside `sequential`, which answers the probes alike. Sums of fewer than three terms all
/// have the same tree.
std::vector<Candidate> candidates(const AdditionTree* tree, std::size_t n,
                                  const FloatFormat& format);

/// Questions to a command with its answers. Those of reveal(n, format, ..), the probes, are not
/// kept (gigabytes at most_revealed_terms): given the same answers, it asks the same ones again.
struct Answers {
  std::size_t n = 1;
  FloatFormat format;
  std::vector<double> to_probes{};  // in their order, of all scales, also where no tree was found
  std::vector<DotProduct> more{};   // as good as probes: type_products, ladder_products
  std::vector<double> to_more{};
  std::vector<DotProduct> random{};
  std::vector<double> to_random{};
};

/// Whether the candidate gives every answer to probes and `more`, bit by bit; every NaN is the
/// same.
bool answers_probes(const Candidate& candidate, const Answers& answers);

struct Agreement {
  Candidate candidate;
  std::size_t products = 0;  // random ones, whose bits agree
};

/// The first candidate that gives every answer; else, of those that say what they are by their
/// arithmetic alone, the one with the most random products among those that no probe refutes.
/// Nothing where probes refute all.
std::optional<Agreement> best_candidate(const std::vector<Candidate>& candidates,
                                        const Answers& answers);

/// The keys of an arithmetic that are not the default, in the order of `lamp config`: ("format",
/// "binary32").
std::vector<std::pair<std::string, std::string>> keys_of(const Arithmetic& arithmetic);

}  // namespace lamp::experiments
