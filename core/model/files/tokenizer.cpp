#include "core/model/files/tokenizer.hpp"

#include <cstddef>
#include <cstdint>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "core/model/files/text.hpp"
#include "core/model/files/tokenizer_tables.hpp"

namespace lamp {
namespace {

/// Merges the bytes of one word. As in Radford et al.'s encoder: the pair of lowest rank is merged
/// wherever it occurs, from left to right, before any pair that this creates is looked at. A list
/// of symbols and a heap of pairs: O(n log n).
class WordMerger {
 public:
  explicit WordMerger(const BpeTables& tables) : tables_(tables) {}

  /// Pre: every byte has a token.
  void append_ids(std::string_view word, std::vector<TokenId>& ids) {
    symbols_.clear();
    for (std::size_t i = 0; i < word.size(); ++i)
      symbols_.push_back({*tables_.byte_ids[static_cast<unsigned char>(word[i])],
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
  explicit Encoder(const BpeTables& tables) : tables_(tables), merger_(tables) {
    if (!tables.whole_words) return;
    for (TokenId id = 0; id < tables.bytes.size(); ++id) whole_.emplace(tables.bytes[id], id);
  }

  void append(std::string_view text) {
    tables_.words.cut(text, [&](std::string_view word) { append_word(word); });
  }
  void append(TokenId id) { ids_.push_back(id); }
  /// The first byte that no token has.
  [[nodiscard]] const char* without_token() const { return without_token_; }
  std::vector<TokenId> take() { return std::move(ids_); }

 private:
  void append_word(std::string_view word) {
    const auto [entry, fresh] = known_.try_emplace(word, ids_.size(), 0);
    auto& [first, count] = entry->second;
    if (fresh) {
      find_ids(word);
      count = ids_.size() - first;
    } else {
      for (std::size_t i = 0; i < count; ++i) ids_.push_back(ids_[first + i]);
    }
  }

  void find_ids(std::string_view word) {
    if (const auto found = whole_.find(word); found != whole_.end())
      return ids_.push_back(found->second);
    for (const char& c : word)
      if (!tables_.byte_ids[static_cast<unsigned char>(c)]) {
        if (without_token_ == nullptr) without_token_ = &c;
        return;
      }
    merger_.append_ids(word, ids_);
  }

  const BpeTables& tables_;
  WordMerger merger_;
  std::vector<TokenId> ids_;
  std::unordered_map<std::string_view, TokenId> whole_;
  std::unordered_map<std::string_view, std::pair<std::size_t, std::size_t>>
      known_;  // word: first, count in ids_
  const char* without_token_ = nullptr;
};

constexpr std::size_t nowhere = std::string_view::npos;

/// A place in a text, [begin, end), that becomes one id; by default there is none.
struct Marker {
  std::size_t begin = nowhere, end = nowhere;
  TokenId id = 0;
};

/// Finds tokens as they stand in a text: the first, of those the longest.
class TokenFinder {
 public:
  TokenFinder(std::string_view text, std::vector<const AddedToken*> tokens)
      : text_(text), tokens_(std::move(tokens)) {
    for (const AddedToken* token : tokens_) next_.push_back(text.find(token->content));
  }

  Marker find(std::size_t from) {
    Marker first;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const std::string& content = tokens_[i]->content;
      if (next_[i] < from) next_[i] = text_.find(content, from);
      if (next_[i] == nowhere || next_[i] > first.begin) continue;
      const Marker found{next_[i], next_[i] + content.size(), tokens_[i]->id};
      if (found.begin < first.begin || found.end > first.end) first = found;
    }
    return first;
  }

 private:
  std::string_view text_;
  std::vector<const AddedToken*> tokens_;
  std::vector<std::size_t> next_;  // place of each, from where it was last looked for
};

/// The next line that is nothing but `<|endoftext|>`, with the newline before it (unless an earlier
/// marker took it) and after it.
Marker find_line(std::string_view text, std::size_t from, TokenId id) {
  for (std::size_t at = text.find(end_of_text_token, from); at != nowhere;
       at = text.find(end_of_text_token, at + 1)) {
    const std::size_t end = at + end_of_text_token.size();
    const bool starts = at == 0 || text[at - 1] == '\n';
    const bool ends = end == text.size() || text[end] == '\n';
    if (starts && ends)
      return {at - (at > from ? 1U : 0U), end + (end < text.size() ? 1U : 0U), id};
  }
  return {};
}

}  // namespace

struct Tokenizer::Tables : BpeTables {
  explicit Tables(BpeTables tables) : BpeTables(std::move(tables)) {}

  /// The added tokens that a text becomes without being asked, or all of them.
  [[nodiscard]] std::vector<const AddedToken*> found_in_text(bool special) const {
    std::vector<const AddedToken*> tokens;
    for (const AddedToken& token : added)
      if (token.from_text && (special || !token.special)) tokens.push_back(&token);
    return tokens;
  }

  /// `special`: all special tokens are found; `documents`: lines that are `<|endoftext|>`.
  [[nodiscard]] Result<std::vector<TokenId>> encode(std::string_view text, bool special,
                                                    bool documents) const {
    if (const auto at = first_invalid_utf8(text))
      return Error{ExitCode::bad_data, "text is not UTF-8 at byte offset " + std::to_string(*at) +
                                           ": " + in_quotes(text.substr(*at, 1))};
    const TokenId end_id = end_of_text.value_or(0);
    Marker line = documents ? find_line(text, 0, end_id) : Marker{};
    if (!end_of_text) {
      const std::size_t asked = special ? 0 : line.begin;
      const std::size_t at = asked == nowhere ? nowhere : text.find(end_of_text_token, asked);
      if (at != nowhere)
        return Error{ExitCode::bad_data, "text has <|endoftext|> at byte offset " +
                                             std::to_string(at) +
                                             ", but the vocabulary has no such token; legal: a "
                                             "vocabulary with it, or a text without"};
    }
    Encoder encoder(*this);
    TokenFinder tokens(text, found_in_text(special));
    for (std::size_t at = 0;;) {
      if (line.begin < at) line = find_line(text, at, end_id);
      const Marker token = tokens.find(at), next = line.begin <= token.begin ? line : token;
      encoder.append(text.substr(at, next.begin - at));
      if (next.begin == nowhere) break;
      encoder.append(next.id);
      at = next.end;
    }
    if (const char* lost = encoder.without_token())
      return Error{ExitCode::bad_data,
                   "text has at byte offset " + std::to_string(lost - text.data()) + " the byte " +
                       in_quotes(std::string_view(lost, 1)) +
                       ", for which the vocabulary has no token; legal: bytes that have one"};
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
  return tables_->encode(text, special, false);
}

Result<std::vector<TokenId>> Tokenizer::encode_documents(std::string_view text) const {
  return tables_->encode(text, false, true);
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
