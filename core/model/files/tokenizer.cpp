#include "core/model/files/tokenizer.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8  // asked for by pcre2.h
#include <pcre2.h>

#include <cstddef>
#include <cstdint>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "core/base/contract.hpp"
#include "core/model/files/text.hpp"
#include "core/model/files/tokenizer_tables.hpp"

namespace lamp {
namespace {

/// GPT-2's pre-tokenisation pattern. Its \s means Unicode's White_Space and is spelled out here,
/// since PCRE2's \s has U+180E besides; \p{L} and \p{N} are those of PCRE2's Unicode tables. Every
/// character starts a match.
std::string word_pattern() {
  const std::string space =
      R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
  return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{L}\p{N})" + space + "]+|[" + space +
         "]+(?![^" + space + "])|[" + space + "]+";
}

/// The compiled pattern: shared by threads, each with match data of its own.
class WordPattern {
 public:
  WordPattern() {
    const std::string pattern = word_pattern();
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset, nullptr);
    expects(code_ != nullptr, "the pre-tokenisation pattern compiles");
    pcre2_jit_compile(code_,
                      PCRE2_JIT_COMPLETE);  // where PCRE2 has no JIT it interprets: same matches
  }
  WordPattern(const WordPattern&) = delete;
  WordPattern& operator=(const WordPattern&) = delete;
  ~WordPattern() { pcre2_code_free(code_); }
  [[nodiscard]] const pcre2_code* code() const { return code_; }

 private:
  pcre2_code* code_ = nullptr;
};

/// Cuts a valid UTF-8 text into words, one after the other. The text was validated once, so PCRE2
/// does not validate the rest of it again at every word.
class WordCutter {
 public:
  WordCutter(const WordPattern& pattern, std::string_view text)
      : pattern_(pattern),
        text_(text),
        match_(pcre2_match_data_create_from_pattern(pattern.code(), nullptr)) {
    expects(match_ != nullptr, "memory for PCRE2's match data");
  }
  WordCutter(const WordCutter&) = delete;
  WordCutter& operator=(const WordCutter&) = delete;
  ~WordCutter() { pcre2_match_data_free(match_); }

  /// The next word; empty at the end of the text.
  std::string_view next() {
    if (at_ == text_.size()) return {};
    const auto* const subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
    const int count = pcre2_match(pattern_.code(), subject, text_.size(), at_, PCRE2_NO_UTF_CHECK,
                                  match_, nullptr);
    const std::size_t end = count > 0 ? pcre2_get_ovector_pointer(match_)[1] : at_;
    expects(end > at_, "the pre-tokenisation pattern matches at every character");
    const std::size_t begin = std::exchange(at_, end);
    return text_.substr(begin, end - begin);
  }

 private:
  const WordPattern& pattern_;
  std::string_view text_;
  std::size_t at_ = 0;
  pcre2_match_data* match_;
};

/// Merges the bytes of one word. As in Radford et al.'s encoder: the pair of lowest rank is merged
/// wherever it occurs, from left to right, before any pair that this creates is looked at. A list
/// of symbols and a heap of pairs: O(n log n).
class WordMerger {
 public:
  explicit WordMerger(const BpeTables& tables) : tables_(tables) {}

  void append_ids(std::string_view word, std::vector<TokenId>& ids) {
    symbols_.clear();
    for (std::size_t i = 0; i < word.size(); ++i)
      symbols_.push_back({tables_.byte_ids[static_cast<unsigned char>(word[i])],
                          i == 0 ? none : i - 1, i + 1 == word.size() ? none : i + 1});
    for (std::size_t i = 0; i < word.size(); ++i) find_pair(i);
    while (start_round()) merge_round();
    for (std::size_t i = 0; i != none; i = symbols_[i].next) ids.push_back(symbols_[i].id);
  }

 private:
  static constexpr std::size_t none = ~std::size_t{0};
  struct Symbol {
    TokenId id;
    std::size_t previous, next;
  };
  struct Pair {
    std::uint32_t rank;
    TokenId left, right, merged;
    std::size_t at;  // of the left symbol
    bool operator>(const Pair& other) const {
      return std::tie(rank, at) > std::tie(other.rank, other.at);
    }
  };

  /// Remembers the pair at symbol i for a later round, if some merge takes it.
  void find_pair(std::size_t i) {
    if (i == none || symbols_[i].next == none) return;
    const TokenId left = symbols_[i].id, right = symbols_[symbols_[i].next].id;
    const auto merge = tables_.merges.find(pair_key(left, right));
    if (merge != tables_.merges.end())
      found_.push_back({merge->second.rank, left, right, merge->second.id, i});
  }

  bool start_round() {
    for (const Pair& pair : found_) pairs_.push(pair);
    found_.clear();
    return !pairs_.empty();
  }

  void merge_round() {
    for (const std::uint32_t rank = pairs_.top().rank; !pairs_.empty() && pairs_.top().rank == rank;
         pairs_.pop()) {
      const Pair pair = pairs_.top();
      Symbol& left = symbols_[pair.at];
      if (left.id != pair.left || left.next == none || symbols_[left.next].id != pair.right)
        continue;  // merged away meanwhile
      Symbol& right = symbols_[left.next];
      left.id = pair.merged;
      left.next = right.next;
      if (left.next != none) symbols_[left.next].previous = pair.at;
      right = {gone, none, none};
      find_pair(left.previous);
      find_pair(pair.at);
    }
  }

  static constexpr TokenId gone = ~TokenId{0};
  const BpeTables& tables_;
  std::vector<Symbol> symbols_;
  std::vector<Pair> found_;
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> pairs_;
};

/// Appends the ids of pieces of one text. A word met before is copied from where it was first
/// written.
class Encoder {
 public:
  Encoder(const BpeTables& tables, const WordPattern& pattern)
      : pattern_(pattern), merger_(tables) {}

  void append(std::string_view text) {
    WordCutter words(pattern_, text);
    for (std::string_view word = words.next(); !word.empty(); word = words.next())
      append_word(word);
  }
  void append(TokenId id) { ids_.push_back(id); }
  std::vector<TokenId> take() { return std::move(ids_); }

 private:
  void append_word(std::string_view word) {
    const auto [entry, fresh] = known_.try_emplace(word, ids_.size(), 0);
    auto& [first, count] = entry->second;
    if (fresh) {
      merger_.append_ids(word, ids_);
      count = ids_.size() - first;
    } else {
      for (std::size_t i = 0; i < count; ++i) ids_.push_back(ids_[first + i]);
    }
  }

  const WordPattern& pattern_;
  WordMerger merger_;
  std::vector<TokenId> ids_;
  std::unordered_map<std::string_view, std::pair<std::size_t, std::size_t>>
      known_;  // word: first, count in ids_
};

/// A place in a text, [begin, end), that becomes one end-of-text id.
struct Marker {
  std::size_t begin, end;
};

std::optional<Marker> find_anywhere(std::string_view text, std::size_t from) {
  const std::size_t at = text.find(end_of_text_token, from);
  if (at == std::string_view::npos) return std::nullopt;
  return Marker{at, at + end_of_text_token.size()};
}

/// The next line that is nothing but the token, with the newline before it (unless an earlier
/// marker took it) and after it.
std::optional<Marker> find_line(std::string_view text, std::size_t from) {
  for (auto found = find_anywhere(text, from); found;
       found = find_anywhere(text, found->begin + 1)) {
    const bool starts = found->begin == 0 || text[found->begin - 1] == '\n';
    const bool ends = found->end == text.size() || text[found->end] == '\n';
    if (!starts || !ends) continue;
    return Marker{found->begin - (found->begin > from ? 1U : 0U),
                  found->end + (found->end < text.size() ? 1U : 0U)};
  }
  return std::nullopt;
}

}  // namespace

struct Tokenizer::Tables : BpeTables {
  explicit Tables(BpeTables tables) : BpeTables(std::move(tables)) {}
  WordPattern pattern;

  template <class FindMarker>
  Result<std::vector<TokenId>> encode(std::string_view text, FindMarker find_marker) const {
    if (const auto at = first_invalid_utf8(text))
      return Error{ExitCode::bad_data, "text is not UTF-8 at byte offset " + std::to_string(*at) +
                                           ": " + in_quotes(text.substr(*at, 1))};
    Encoder encoder(*this, pattern);
    std::size_t at = 0;
    for (std::optional<Marker> marker = find_marker(text, at); marker;
         marker = find_marker(text, at)) {
      if (!end_of_text) {
        return Error{ExitCode::bad_data, "text has <|endoftext|> at byte offset " +
                                             std::to_string(marker->begin) +
                                             ", but the vocabulary has no such token; legal: a "
                                             "vocab.json with it, or a text without"};
      }
      encoder.append(text.substr(at, marker->begin - at));
      encoder.append(*end_of_text);
      at = marker->end;
    }
    encoder.append(text.substr(at));
    return encoder.take();
  }
};

Result<Tokenizer> Tokenizer::read(const std::filesystem::path& folder) {
  Result<BpeTables> tables = read_bpe_tables(folder);
  if (!tables) return tables.error();
  Tokenizer tokenizer;
  tokenizer.tables_ = std::make_shared<const Tables>(*std::move(tables));
  return tokenizer;
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, bool special) const {
  if (special) return tables_->encode(text, find_anywhere);
  return tables_->encode(text,
                         [](std::string_view, std::size_t) { return std::optional<Marker>{}; });
}

Result<std::vector<TokenId>> Tokenizer::encode_documents(std::string_view text) const {
  return tables_->encode(text, find_line);
}

Result<std::string> Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= vocab_size()) {
      return Error{ExitCode::bad_data, "token " + std::to_string(i) + " has id " +
                                           std::to_string(ids[i]) + "; legal: 0 to " +
                                           std::to_string(vocab_size() - 1)};
    }
    text += tables_->bytes[ids[i]];
  }
  return text;
}

std::size_t Tokenizer::vocab_size() const { return tables_->bytes.size(); }
std::optional<TokenId> Tokenizer::end_of_text() const { return tables_->end_of_text; }
const Digest& Tokenizer::content() const { return tables_->content; }

}  // namespace lamp
