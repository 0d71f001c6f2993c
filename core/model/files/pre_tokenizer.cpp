#include "core/model/files/pre_tokenizer.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8  // asked for by pcre2.h
#include <pcre2.h>

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "core/base/contract.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

/// Unicode's White_Space, as part of a class: PCRE2's \s has U+180E besides.
constexpr std::string_view white_space =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

/// The expression with \s and \S spelled out. Nothing where \S stands in a class, which no class
/// can spell.
std::optional<std::string> spelled_out(std::string_view expression) {
  std::string out;
  bool in_class = false;
  for (std::size_t at = 0; at < expression.size(); ++at) {
    const char c = expression[at];
    if (c == '\\' && at + 1 < expression.size()) {
      const char escaped = expression[++at];
      if (escaped == 'S' && in_class) return std::nullopt;
      if (escaped == 's')
        out += in_class ? std::string(white_space) : '[' + std::string(white_space) + ']';
      else if (escaped == 'S')
        out += "[^" + std::string(white_space) + ']';
      else
        (out += c) += escaped;
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

}  // namespace

/// A compiled expression: shared by threads, each with match data of its own.
struct PreTokenizer::Pattern {
  explicit Pattern(pcre2_code* compiled) : code(compiled) {
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without a JIT PCRE2 interprets: same matches
  }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() { pcre2_code_free(code); }
  pcre2_code* code;
};

Result<PreTokenizer> PreTokenizer::make(std::vector<std::string> expressions) {
  PreTokenizer made;
  for (const std::string& expression : expressions) {
    const auto bad = [&](const std::string& what) {
      return Error{ExitCode::bad_data, "the expression " + in_quotes(expression) + " " + what};
    };
    const std::optional<std::string> pattern = spelled_out(expression);
    if (!pattern) return bad("has \\S in a class; legal: \\s there, \\S outside of classes");
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* const code =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern->data()), pattern->size(),
                      PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    if (code == nullptr) {
      std::array<PCRE2_UCHAR, 120> message{};
      pcre2_get_error_message(error, message.data(), message.size());
      return bad("is not a pattern that PCRE2 reads: " +
                 std::string(reinterpret_cast<const char*>(message.data())));
    }
    made.patterns_.push_back(std::make_shared<const Pattern>(code));
  }
  made.expressions_ = std::move(expressions);
  return made;
}

PreTokenizer PreTokenizer::gpt2() {
  Result<PreTokenizer> made = make({std::string(gpt2_expression)});
  expects(made.ok(), "GPT-2's expression compiles");
  return *std::move(made);
}

void PreTokenizer::cut(std::string_view text,
                       const std::function<void(std::string_view)>& word) const {
  if (!text.empty()) cut(0, text, word);
}

void PreTokenizer::cut(std::size_t step, std::string_view piece,
                       const std::function<void(std::string_view)>& word) const {
  if (step == patterns_.size()) return word(piece);
  const pcre2_code* const code = patterns_[step]->code;
  const std::unique_ptr<pcre2_match_data, FreeMatch> match(
      pcre2_match_data_create_from_pattern(code, nullptr));
  expects(match != nullptr, "memory for PCRE2's match data");
  const auto* const subject = reinterpret_cast<PCRE2_SPTR>(piece.data());
  for (std::size_t at = 0; at < piece.size();) {
    // The whole text was validated once; an empty match cuts nothing.
    const int count = pcre2_match(code, subject, piece.size(), at,
                                  PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match.get(), nullptr);
    const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(match.get());
    const std::size_t begin = count > 0 ? ends[0] : piece.size(),
                      end = count > 0 ? ends[1] : piece.size();
    if (begin > at) cut(step + 1, piece.substr(at, begin - at), word);
    if (end > begin) cut(step + 1, piece.substr(begin, end - begin), word);
    at = end;
  }
}

}  // namespace lamp
