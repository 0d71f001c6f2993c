#include "core/model/files/bpe_builder.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

using nlohmann::json;

constexpr std::size_t alphabet_end = 0x144;  // code points of the alphabet are below

/// GPT-2's byte alphabet: bytes that print in Latin-1 stand for themselves, the others, in order,
/// for U+0100 on.
constexpr std::array<char32_t, 256> byte_alphabet = [] {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 0x100;
  for (char32_t b = 0; b < 256; ++b) {
    const bool prints = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    alphabet[b] = prints ? b : next++;
  }
  return alphabet;
}();
static_assert(byte_alphabet[0x20] == 0x120 && byte_alphabet[0xAD] == alphabet_end - 1);

constexpr std::array<int, alphabet_end> alphabet_byte = [] {
  std::array<int, alphabet_end> inverse{};
  inverse.fill(-1);
  for (int b = 0; b < 256; ++b) inverse[byte_alphabet[static_cast<std::size_t>(b)]] = b;
  return inverse;
}();

/// The bytes that a token's symbols stand for, or nothing where one is outside the alphabet.
/// `symbols` is valid UTF-8, of which the alphabet takes one and two bytes a character.
std::optional<std::string> bytes_of(std::string_view symbols) {
  std::string bytes;
  for (std::size_t at = 0; at < symbols.size();) {
    std::size_t point = static_cast<unsigned char>(symbols[at++]);
    if (point >= 0xE0) return std::nullopt;
    if (point >= 0xC0)
      point = (point & 0x1F) << 6 | (static_cast<unsigned char>(symbols[at++]) & 0x3F);
    if (point >= alphabet_end || alphabet_byte[point] < 0) return std::nullopt;
    bytes += static_cast<char>(alphabet_byte[point]);
  }
  return bytes;
}

/// `<pad>`, `[MASK]`: how special tokens are named that no file lists.
bool is_bracketed(std::string_view name) {
  const auto between = [&](char open, char close) {
    return name.size() > 2 && name.front() == open && name.back() == close &&
           name.find_first_of(std::string{open, close}, 1) == name.size() - 1;
  };
  return between('<', '>') || between('[', ']');
}

}  // namespace

Result<void> BpeBuilder::add_tokens(const json& vocabulary, std::vector<AddedToken> added) {
  if (!vocabulary.is_object() || vocabulary.empty())
    return bad("holds no tokens; legal: an object {\"token\": id, ..}");
  std::size_t n = vocabulary.size();
  for (const AddedToken& token : added) n += vocabulary.contains(token.content) ? 0 : 1;
  const std::string legal =
      "; legal: integers 0 to " + std::to_string(n - 1) + " for " + std::to_string(n) + " tokens";
  names_.resize(n);
  std::vector<bool> is_added(n, false);
  std::optional<std::string> beyond;
  const auto give = [&](const std::string& token, std::uint64_t id) -> Result<void> {
    if (token.empty())
      return bad("the empty token has id " + std::to_string(id) +
                 "; legal: tokens of one byte or more");
    if (id >= n) {
      if (!beyond) beyond = "id of " + in_quotes(token) + " is " + std::to_string(id) + legal;
      return {};
    }
    if (!names_[id].empty())
      return bad("id " + std::to_string(id) + " is given to " + in_quotes(names_[id]) + " and to " +
                 in_quotes(token) + "; legal: once");
    names_[id] = token;
    return {};
  };
  for (const auto& [token, value] : vocabulary.items()) {
    if (!value.is_number_unsigned())
      return bad("id of " + in_quotes(token) + " is not one" + legal);
    if (Result<void> done = give(token, value.get<std::uint64_t>()); !done) return done;
  }
  for (const AddedToken& token : added) {
    const auto known = vocabulary.find(token.content);
    if (known != vocabulary.end() && *known != token.id)
      return bad("added token " + in_quotes(token.content) + " has id " + std::to_string(token.id) +
                 ", in the vocabulary " + json_text(*known) + "; legal: one id");
    if (known == vocabulary.end())
      if (Result<void> done = give(token.content, token.id); !done) return done;
    if (token.id < n) is_added[token.id] = true;
  }
  if (beyond) {
    const auto gap =
        static_cast<std::size_t>(std::find(names_.begin(), names_.end(), "") - names_.begin());
    return bad("no token has id " + std::to_string(gap) + ", " + *beyond + ", without gap");
  }
  tables_.added = std::move(added);
  return index_tokens(is_added);
}

Result<void> BpeBuilder::index_tokens(const std::vector<bool>& is_added) {
  for (const std::string& name : names_) {
    const auto id = static_cast<TokenId>(tables_.bytes.size());
    const bool added = is_added[id] || name == end_of_text_token;
    std::optional<std::string> bytes = added ? std::optional(name) : bytes_of(name);
    if (!bytes)
      return bad("token " + in_quotes(name) + " has a character outside GPT-2's byte alphabet");
    ids_.emplace(name, id);
    if (name == end_of_text_token) {
      tables_.end_of_text = id;
      if (!is_added[id]) tables_.added.push_back({.content = name, .id = id});
    }
    if (!added && bytes->size() == 1)
      tables_.byte_ids[static_cast<unsigned char>(bytes->front())] = id;
    tables_.bytes.push_back(*std::move(bytes));
  }
  return {};
}

void BpeBuilder::add_bracketed() {
  std::vector<bool> known(names_.size(), false);
  for (const AddedToken& token : tables_.added) known[token.id] = true;
  for (const auto& [pair, merge] : tables_.merges) known[merge.id] = true;
  for (TokenId id = 0; id < names_.size(); ++id)
    if (!known[id] && is_bracketed(names_[id]))
      tables_.added.push_back({.content = names_[id], .id = id});
}

Result<void> BpeBuilder::add_merge(std::string_view left, std::string_view right,
                                   const std::string& place) {
  std::array<TokenId, 3> ids{};
  const std::array<std::string, 3> names{std::string(left), std::string(right),
                                         std::string(left).append(right)};
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto found = ids_.find(names[i]);
    if (found == ids_.end())
      return Error{ExitCode::bad_data, place + ": " + (i < 2 ? "half " : "result ") +
                                           in_quotes(names[i]) + " of the merge is no token of " +
                                           vocabulary_.substr(vocabulary_.rfind('/') + 1) +
                                           "; legal: files of one model"};
    ids[i] = found->second;
  }
  if (tables_.bytes[ids[2]] != tables_.bytes[ids[0]] + tables_.bytes[ids[1]])
    return Error{ExitCode::bad_data,
                 place + ": merge " + in_quotes(names[0] + ' ' + names[1]) +
                     " is of an added token, which stands for itself and not for the bytes of its "
                     "characters; legal: other tokens"};
  const auto rank = static_cast<std::uint32_t>(tables_.merges.size());
  if (!tables_.merges.emplace(pair_key(ids[0], ids[1]), Merge{rank, ids[2]}).second)
    return Error{ExitCode::bad_data, place + ": merge " + in_quotes(names[0] + ' ' + names[1]) +
                                         " is given twice; legal: once"};
  return {};
}

Result<BpeTables> BpeBuilder::finish(PreTokenizer words, bool whole_words) {
  tables_.words = std::move(words);
  tables_.whole_words = whole_words;
  std::sort(tables_.added.begin(), tables_.added.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  if (const Result<void> done = find_unmade(); !done) return done.error();
  tables_.content = digest();
  return std::move(tables_);
}

/// A token that nothing makes would never be used: the files are of different models, or the merges
/// are cut short.
Result<void> BpeBuilder::find_unmade() const {
  std::vector<bool> made(names_.size(), false);
  for (const std::optional<TokenId>& id : tables_.byte_ids)
    if (id) made[*id] = true;
  for (const auto& [pair, merge] : tables_.merges) made[merge.id] = true;
  for (const AddedToken& token : tables_.added) made[token.id] = true;
  const auto unmade =
      static_cast<std::size_t>(std::find(made.begin(), made.end(), false) - made.begin());
  if (unmade == made.size() || tables_.whole_words) return {};
  return bad("token " + in_quotes(names_[unmade]) + " (id " + std::to_string(unmade) +
             ") is made by none of the " + std::to_string(tables_.merges.size()) + " merges of " +
             merges_.substr(merges_.rfind('/') + 1) + "; legal: files of one model");
}

/// Of the meaning, not of the files: the bytes of each id, then the merges by rank, then what is
/// not as in GPT-2.
Digest BpeBuilder::digest() const {
  Sha256 hash;
  for (const std::string& bytes : tables_.bytes)
    hash.update(std::to_string(bytes.size()) + ":" + bytes);
  std::vector<std::string> lines(tables_.merges.size());
  for (const auto& [pair, merge] : tables_.merges)
    lines[merge.rank] =
        std::to_string(pair >> 32) + " " + std::to_string(pair & 0xFFFFFFFFU) + "\n";
  hash.update("\nmerges\n");
  for (const std::string& line : lines) hash.update(line);
  for (const AddedToken& token : tables_.added)
    if (token.content != end_of_text_token)
      hash.update("\nadded " + std::to_string(token.id) + (token.special ? " special" : "") +
                  (token.from_text ? "" : " never"));
  if (tables_.words.expressions() != std::vector{std::string(gpt2_expression)})
    for (const std::string& expression : tables_.words.expressions())
      hash.update("\nwords " + std::to_string(expression.size()) + ":" + expression);
  if (tables_.whole_words) hash.update("\nwhole words");
  return hash.finish();
}

}  // namespace lamp
