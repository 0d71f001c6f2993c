// What can be found of a dot product that only answers: its summation tree, and the arithmetic that
// has its bits. `lamp reveal` asks a command, the Python module a callable.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/arith/reveal/reveal.hpp"
#include "experiments/reveal/candidates.hpp"
#include "experiments/reveal/questions.hpp"

namespace lamp::experiments {

/// Random dot products that are asked for after the probes.
inline constexpr std::size_t random_dot_products = 1000;

struct Revelation {
  std::size_t n = 1;
  FloatFormat format;
  std::optional<RevealedTree> tree{};
  std::string why_not{};  // there is no tree
  std::optional<NarrowerType> narrower{};
  std::vector<std::string> names{};  // of the tree
  std::optional<Agreement> agreement{};
  std::size_t batches = 0;

  /// Random dot products whose bits the best arithmetic has.
  [[nodiscard]] std::size_t products() const { return agreement ? agreement->products : 0; }
  /// Whether every answer is reproduced, even if by no arithmetic that a config could name.
  [[nodiscard]] bool is_whole() const { return products() == random_dot_products; }
  /// The arithmetic to name; null where its sum would have to be rounded once more at the end.
  [[nodiscard]] const Arithmetic* named() const;
  /// Why no arithmetic is named.
  [[nodiscard]] std::string nameless() const;
};

/// Asks for everything: probes, products, and some of both once more. `name`: of what answers, as
/// errors begin ("--command"). The error is that of `ask`; or that the answers vary, or that
/// neither a tree nor an arithmetic has them (code check_failed). Pre: 1 <= n <=
/// most_revealed_terms.
Result<Revelation> revelation(std::string_view name, std::size_t n, const FloatFormat& format,
                              const DotProducts& ask);

/// One line as a command is sent it.
std::string question_line(const DotProduct& product);
/// [arithmetic.revealed] of a config.
std::string revealed_toml(const Arithmetic& arithmetic);
/// The `arith` of a line of calc.
std::string revealed_arith(const Arithmetic& arithmetic);
/// All of it as one line of JSON (experiments/README.md).
std::string revelation_json(const Revelation& found);

}  // namespace lamp::experiments
