#include "core/arith/reveal/reveal.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "core/base/philox.hpp"

namespace lamp {
namespace {

using Index = AdditionTree::Index;
using Terms = std::vector<Index>;

constexpr std::size_t most_numbers = std::size_t{1} << 22;  // of one batch
constexpr std::size_t most_terms_of_marks = 128;            // n^2 log n probes
constexpr std::size_t least_checks = 64;

/// +M at i, -M at j, units at some other terms; where i = j there are units alone.
struct Probe {
  Index i = 0, j = 0;
  Terms units;
};

std::string describe(const Probe& probe, double count) {
  std::string text =
      "+M at " + std::to_string(probe.i) + ", -M at " + std::to_string(probe.j) + ": ";
  if (std::isnan(count)) return text + "the answer is no number of units";
  return text + std::to_string(static_cast<long long>(count)) + " of " +
         std::to_string(probe.units.size()) + " units survive";
}

Error contradiction(const std::string& what) {
  return {ExitCode::check_failed, "the answers are those of no summation tree: " + what};
}

/// Asks for probes and reads answers as numbers of units.
class Prober {
 public:
  Prober(std::size_t n, const ProbeScale& scale, const DotProducts& ask, std::size_t& asked)
      : n_(n), scale_(scale), ask_(ask), asked_(asked) {}

  [[nodiscard]] const ProbeScale& scale() const { return scale_; }

  /// How many units survive in each probe; NaN where the answer is not 0, 1, .. units.
  Result<std::vector<double>> counts(std::span<const Probe> probes) const {
    std::vector<double> counts;
    const std::size_t at_once = std::max<std::size_t>(most_numbers / (2 * n_), 1);
    for (std::size_t first = 0; first < probes.size(); first += at_once) {
      const std::span<const Probe> some =
          probes.subspan(first, std::min(at_once, probes.size() - first));
      std::vector<DotProduct> products;
      for (const Probe& probe : some) products.push_back(product(probe));
      const Result<std::vector<double>> answers = ask_(products);
      if (!answers) return answers.error();
      expects(answers->size() == some.size(), "reveal: an answer for each dot product");
      asked_ += some.size();
      for (std::size_t q = 0; q < some.size(); ++q)
        counts.push_back(count((*answers)[q], some[q].units.size()));
    }
    return counts;
  }

 private:
  [[nodiscard]] DotProduct product(const Probe& probe) const {
    DotProduct dot{std::vector<double>(n_), std::vector<double>(n_, scale_.unit_b)};
    for (const Index k : probe.units) dot.a[k] = scale_.unit_a;
    if (probe.i == probe.j) return dot;
    dot.a[probe.i] = scale_.large_a, dot.b[probe.i] = scale_.large_b;
    dot.a[probe.j] = -scale_.large_a, dot.b[probe.j] = scale_.large_b;
    return dot;
  }
  [[nodiscard]] double count(double answer, std::size_t units) const {
    const double count = answer / scale_.unit();
    if (scale_.marks) return count == 1.0 ? 1.0 : 0.0;
    return count >= 0.0 && count <= static_cast<double>(units) && count == std::floor(count)
               ? count
               : std::nan("");
  }

  std::size_t n_;
  const ProbeScale& scale_;
  const DotProducts& ask_;
  std::size_t& asked_;
};

/// Checks that all units survive where there are units alone.
Result<void> check_units(std::size_t n, const Prober& prober) {
  Terms units(std::min(n, prober.scale().units));
  std::iota(units.begin(), units.end(), Index{0});
  const Probe probe{.units = units};
  const Result<std::vector<double>> counts = prober.counts({&probe, 1});
  if (!counts) return counts.error();
  if (counts->front() == static_cast<double>(units.size())) return {};
  return contradiction("the sum of " + std::to_string(units.size()) + " units and zeros is not " +
                       std::to_string(units.size()));
}

/// The terms under one node or several children of one node, and what is known about them once they
/// are asked.
struct Subtree {
  Terms terms;
  std::optional<Index> witness{};  // a term of the part that these terms are added to
  // How the pivot meets the others: which subtrees join its own, one after the other.
  Index pivot = 0;
  std::vector<std::size_t> joins{};
  bool open = false;  // the last one joins in the addition that adds the witness's part too
};

/// Builds the tree level by level.
class Search {
 public:
  Search(std::size_t n, const Prober& prober) : prober_(prober) {
    Terms all(n);
    std::iota(all.begin(), all.end(), Index{0});
    subtrees_.push_back({.terms = std::move(all)});
  }

  Result<AdditionTree> tree() {
    for (std::size_t first = 0; first < subtrees_.size();) {
      const std::size_t last = subtrees_.size();
      if (const Result<void> done = resolve(first, last); !done) return done.error();
      first = last;
    }
    return assembled();
  }

 private:
  /// A pair of terms and the probes that count the units around it, as many as the scale has room
  /// for in each.
  struct Pair {
    std::size_t subtree;
    Probe first;  // the first of the probes; what errors show
    std::size_t probes, units;
  };

  /// Probes in one batch the pivot of each subtree first, .. against all its other terms.
  Result<void> resolve(std::size_t first, std::size_t last) {
    std::vector<Pair> pairs;
    std::vector<Probe> probes;
    for (std::size_t s = first; s < last; ++s) {
      Subtree& subtree = subtrees_[s];
      subtree.pivot = subtree.terms[draw(
          subtree.terms.size())];  // at random, so that no tree is always the worst case
      Terms around = subtree.terms;
      if (subtree.witness) around.push_back(*subtree.witness);
      for (const Index j : subtree.terms) {
        if (j == subtree.pivot) continue;
        Terms units;
        for (const Index k : around)
          if (k != j && k != subtree.pivot) units.push_back(k);
        pairs.push_back({.subtree = s, .first = {}, .probes = 0, .units = units.size()});
        append(probes, pairs.back(), {.i = subtree.pivot, .j = j, .units = std::move(units)});
      }
    }
    const Result<std::vector<double>> counts = prober_.counts(probes);
    if (!counts) return counts.error();
    std::vector<std::map<std::size_t, Terms>> by_size(last - first);
    std::size_t probe = 0;
    for (const Pair& pair : pairs) {
      double survivors = 0.0;
      for (std::size_t q = 0; q < pair.probes; ++q, ++probe) {
        if (std::isnan((*counts)[probe]))
          return contradiction(describe(probes[probe], (*counts)[probe]));
        survivors += (*counts)[probe];
      }
      by_size[pair.subtree - first][pair.units + 2 - static_cast<std::size_t>(survivors)].push_back(
          pair.first.j);
    }
    for (std::size_t s = first; s < last; ++s)
      if (const Result<void> joined = join(s, by_size[s - first]); !joined) return joined.error();
    return {};
  }

  void append(std::vector<Probe>& probes, Pair& pair, Probe whole) const {
    const std::size_t room = prober_.scale().units;
    std::size_t first = 0;
    pair.first = {.i = whole.i, .j = whole.j, .units = {}};
    do {
      const std::size_t count = std::min(room, whole.units.size() - first);
      const auto begin = whole.units.begin() + static_cast<std::ptrdiff_t>(first);
      probes.push_back({.i = whole.i,
                        .j = whole.j,
                        .units = Terms(begin, begin + static_cast<std::ptrdiff_t>(count))});
      first += count;
      ++pair.probes;
    } while (first < whole.units.size());
  }

  /// by_size: for each size, the terms whose smallest common partial sum with the pivot has that
  /// many terms, counted among the subtree's and the witness.
  Result<void> join(std::size_t s, const std::map<std::size_t, Terms>& by_size) {
    std::size_t size = 1;
    for (const auto& [common, terms] : by_size) {
      size += terms.size();
      const bool all = size == subtrees_[s].terms.size();
      const bool with_witness = all && subtrees_[s].witness && common == size + 1;
      if (s == 0 && common == 2 && terms.size() > 1)
        return contradiction(
            "every unit survives +M and -M: a sum that is exact or compensated, or wider than M / "
            "u");
      if (common != size && !with_witness) {
        const Index pivot = subtrees_[s].pivot;
        return contradiction("the partial sum that joins " + std::to_string(pivot) + " and " +
                             std::to_string(terms.front()) + " has " + std::to_string(common) +
                             " terms, by the units that are lost, but " + std::to_string(size) +
                             " terms meet " + std::to_string(pivot) + " there or before");
      }
      if (with_witness) subtrees_[s].open = true;
      subtrees_[s].joins.push_back(subtrees_.size());
      const Index pivot = subtrees_[s].pivot;
      subtrees_.push_back({.terms = terms, .witness = pivot});
    }
    return {};
  }

  /// The tree, assembled from the last subtree to the first: children come after their parents.
  AdditionTree assembled() const {
    AdditionTree tree;
    std::vector<Terms> tops(subtrees_.size());  // of each subtree its one top, or, where it is
                                                // open, the children of the common node
    for (std::size_t s = subtrees_.size(); s-- > 0;) {
      Index top = tree.leaf(subtrees_[s].pivot);
      for (std::size_t t = 0; t < subtrees_[s].joins.size(); ++t) {
        Terms children{top};
        const Terms& others = tops[subtrees_[s].joins[t]];
        children.insert(children.end(), others.begin(), others.end());
        if (subtrees_[s].open && t + 1 == subtrees_[s].joins.size())
          tops[s] = std::move(children);
        else
          top = tree.add(std::move(children));
      }
      if (!subtrees_[s].open) tops[s] = {top};
    }
    return tree;
  }

  std::size_t draw(std::size_t below) {
    const PhiloxCounter words = philox4x32({counter_++, 0, 0, 0}, {0, 0});
    return words[0] % below;
  }

  const Prober& prober_;
  std::vector<Subtree> subtrees_;
  std::uint32_t counter_ = 0;
};

/// Random probes, each with the number of units that survive by the tree.
Result<std::size_t> check(const AdditionTree& tree, const Prober& prober) {
  const std::vector<AdditionTree::Node>& nodes = tree.nodes();
  const std::size_t n = tree.terms();
  std::vector<std::size_t> size(nodes.size(), 1),
      begin(nodes.size());  // a node's terms are neighbours, in a suitable order
  std::vector<Index> parent(nodes.size()), leaf(n);
  for (Index i = 0; i < nodes.size(); ++i) {
    if (nodes[i].children.empty()) leaf[nodes[i].term] = i;
    if (!nodes[i].children.empty()) size[i] = 0;
    for (const Index child : nodes[i].children) size[i] += size[child], parent[child] = i;
  }
  for (std::size_t i = nodes.size(); i-- > 0;) {
    std::size_t next = begin[i];
    for (const Index child : nodes[i].children) begin[child] = next, next += size[child];
  }
  const auto has = [&](Index node, Index term) {
    return begin[leaf[term]] - begin[node] < size[node];
  };  // wraps below the beginning

  std::uint32_t counter = 0;
  const auto draw = [&](std::size_t below) {
    return static_cast<Index>(philox4x32({counter++, 1, 0, 0}, {0, 0})[0] % below);
  };
  std::vector<Probe> probes;
  std::vector<double> expected;
  if (n < 3) return std::size_t{0};
  for (std::size_t t = 0; t < std::max(least_checks, n); ++t) {
    Probe probe{.i = draw(n), .j = 0, .units = {}};
    probe.j = static_cast<Index>((probe.i + 1 + draw(n - 1)) % n);
    Index common = leaf[probe.i];
    while (!has(common, probe.j)) common = parent[common];
    double survivors = 0.0;
    const Index start = draw(n);
    for (Index d = 0; d < n && probe.units.size() < prober.scale().units; ++d) {
      const Index k = static_cast<Index>((start + d) % n);
      if (k == probe.i || k == probe.j) continue;
      probe.units.push_back(k);
      survivors += has(common, k) ? 0.0 : 1.0;
    }
    probes.push_back(std::move(probe)), expected.push_back(survivors);
  }
  const Result<std::vector<double>> counts = prober.counts(probes);
  if (!counts) return counts.error();
  for (std::size_t q = 0; q < probes.size(); ++q)
    if ((*counts)[q] != expected[q])
      return contradiction(describe(probes[q], (*counts)[q]) +
                           ", of the tree that other probes show " +
                           std::to_string(static_cast<long long>(expected[q])));
  return probes.size();
}

}  // namespace

std::vector<ProbeScale> probe_scales(const FloatFormat& format, std::size_t n) {
  constexpr int widest_accumulator = 24, widest_step = 26, ample = 80;
  std::vector<ProbeScale> scales;
  if (format.is_unsigned) return scales;
  const int one =
      std::clamp(0, format.emin, format.emax);  // exponent of the factor that changes nothing much
  const int smallest = format.subnormals ? format.emin - format.p + 1 : format.emin;
  const auto consider = [&](int large_a, int large_b, int unit_a, int unit_b, int p) {
    const int ratio = large_a + large_b - unit_a - unit_b;
    if (ratio < p + 1) return;
    const int room = std::min({format.p, ratio - p - 1, 30});
    scales.push_back(
        {pow2(large_a), pow2(large_b), pow2(unit_a), pow2(unit_b), std::size_t{1} << room, false});
  };
  if (format.emax - format.emin < ample)  // the accumulator may be wider
    for (const int unit : {format.emin, smallest})
      consider(format.emax, format.emax, unit, unit, widest_accumulator);
  if (format.emax - format.emin < ample) {  // a matrix engine keeps more bits than its binary16
                                            // results, which bound M and the unit
    const int large = std::clamp(binary16.emax - format.emax, smallest, format.emax);
    consider(format.emax, large, smallest,
             std::clamp(binary16.emin - binary16.p + 1 - smallest, smallest, one), widest_step);
  }
  for (const int unit : {one, format.emin, smallest})
    if (unit != one || format.emax - one >= ample) consider(format.emax, one, unit, one, format.p);
  if (n <= most_terms_of_marks)
    for (std::size_t s = 0, count = scales.size(); s < count; ++s) {
      ProbeScale marks = scales[s];
      marks.units = 1, marks.marks = true;
      scales.push_back(marks);
    }
  return scales;
}

Result<RevealedTree> reveal(std::size_t n, const FloatFormat& format, const DotProducts& ask) {
  expects(n >= 1 && n <= most_revealed_terms, "reveal: 1 <= n <= most_revealed_terms");
  const std::vector<ProbeScale> scales = probe_scales(format, n);
  if (scales.empty())
    return Error{
        ExitCode::bad_data,
        "the format has no +M and -M that swallow a unit; legal: signed formats of more than " +
            std::to_string(format.p + 1) + " binades"};
  std::size_t asked = 0;
  std::optional<Error> failure;
  for (const ProbeScale& scale : scales) {
    const Prober prober(n, scale, ask, asked);
    const Result<void> units = check_units(n, prober);
    Result<AdditionTree> tree =
        units ? Search(n, prober).tree() : Result<AdditionTree>(units.error());
    Result<std::size_t> checks = tree ? check(*tree, prober) : Result<std::size_t>(tree.error());
    if (checks)
      return RevealedTree{
          .tree = std::move(tree).value(), .scale = scale, .probes = asked, .checks = *checks};
    if (checks.error().code != ExitCode::check_failed) return checks.error();
    if (!failure || !scale.marks) failure = checks.error();
  }
  return *failure;
}

}  // namespace lamp
