// How a text is cut into words before byte-level BPE merges each.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace lamp {

/// Steps, each a regular expression that cuts every piece of the step before: its matches, and what
/// is between them, are pieces of their own. Expressions are those of tokenizer.json (Oniguruma's
/// syntax, as far as PCRE2 has it): \s is Unicode's White_Space, \p{L} and \p{N} are those of the
/// installed PCRE2's Unicode tables. Threads may share one.
class PreTokenizer {
 public:
  /// An error says which expression does not compile, and where.
  static Result<PreTokenizer> make(std::vector<std::string> expressions);
  /// GPT-2's one step.
  static PreTokenizer gpt2();

  /// Calls word(piece) for every word of a valid UTF-8 text, in order. No expressions: one word.
  void cut(std::string_view text, const std::function<void(std::string_view)>& word) const;
  [[nodiscard]] const std::vector<std::string>& expressions() const { return expressions_; }

 private:
  struct Pattern;
  void cut(std::size_t step, std::string_view piece,
           const std::function<void(std::string_view)>& word) const;

  std::vector<std::string> expressions_;
  std::vector<std::shared_ptr<const Pattern>> patterns_;
};

/// GPT-2's expression, as its encoder.py and tokenizer.json's ByteLevel step have it.
inline constexpr std::string_view gpt2_expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace lamp
