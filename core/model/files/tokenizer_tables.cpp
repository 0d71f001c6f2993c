#include "core/model/files/tokenizer_tables.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "core/model/files/input_file.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

using nlohmann::json;

constexpr std::uint64_t largest_file = 64U << 20;
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

std::string hex_byte(std::size_t byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  return {'0', 'x', digits[byte >> 4], digits[byte & 15]};
}

class TableReader {
 public:
  explicit TableReader(const std::filesystem::path& folder)
      : vocab_(folder / "vocab.json"), merges_(folder / "merges.txt") {}

  Result<BpeTables> read() {
    for (const auto step : {&TableReader::read_vocabulary, &TableReader::find_bytes,
                            &TableReader::read_merges, &TableReader::find_unmade})
      if (const Result<void> done = (this->*step)(); !done) return done.error();
    tables_.content = digest();
    return std::move(tables_);
  }

 private:
  [[nodiscard]] Error bad_vocabulary(const std::string& what) const {
    return {ExitCode::bad_data, vocab_.string() + ": " + what};
  }
  [[nodiscard]] Error bad_merge(std::size_t line, const std::string& what) const {
    return {ExitCode::bad_data, merges_.string() + ":" + std::to_string(line) + ": " + what};
  }

  Result<void> read_vocabulary() {
    const Result<std::string> text = read_text_file(vocab_, largest_file);
    if (!text) return text.error();
    const Result<json> document = parse_strict_json(*text, vocab_.string());
    if (!document) return document.error();
    if (!document->is_object() || document->empty())
      return bad_vocabulary("holds no tokens; legal: an object {\"token\": id, ..}");
    const std::size_t n = document->size();
    names_.resize(n);
    std::optional<std::string> beyond;
    for (const auto& [token, value] : document->items()) {
      const std::string legal = "; legal: integers 0 to " + std::to_string(n - 1) + " for " +
                                std::to_string(n) + " tokens";
      if (!value.is_number_unsigned())
        return bad_vocabulary("id of " + in_quotes(token) + " is not one" + legal);
      const auto id = value.get<std::uint64_t>();
      if (token.empty())
        return bad_vocabulary("the empty token has id " + std::to_string(id) +
                              "; legal: tokens of one byte or more");
      if (id >= n) {
        if (!beyond) beyond = "id of " + in_quotes(token) + " is " + std::to_string(id) + legal;
        continue;
      }
      if (!names_[id].empty()) {
        return bad_vocabulary("id " + std::to_string(id) + " is given to " + in_quotes(names_[id]) +
                              " and to " + in_quotes(token) + "; legal: once");
      }
      names_[id] = token;
    }
    if (beyond) {
      const auto gap =
          static_cast<std::size_t>(std::find(names_.begin(), names_.end(), "") - names_.begin());
      return bad_vocabulary("no token has id " + std::to_string(gap) + ", " + *beyond +
                            ", without gap");
    }
    return index_tokens();
  }

  Result<void> index_tokens() {
    for (const std::string& name : names_) {
      const auto id = static_cast<TokenId>(tables_.bytes.size());
      std::optional<std::string> bytes = bytes_of(name);
      if (!bytes)
        return bad_vocabulary("token " + in_quotes(name) +
                              " has a character outside GPT-2's byte alphabet");
      ids_.emplace(name, id);
      if (name == end_of_text_token) tables_.end_of_text = id;
      tables_.bytes.push_back(*std::move(bytes));
    }
    return {};
  }

  Result<void> find_bytes() {
    std::array<bool, 256> found{};
    for (std::size_t id = 0; id < tables_.bytes.size(); ++id) {
      if (tables_.bytes[id].size() != 1) continue;
      const auto byte = static_cast<unsigned char>(tables_.bytes[id][0]);
      found[byte] = true;
      tables_.byte_ids[byte] = static_cast<TokenId>(id);
    }
    const auto missing =
        static_cast<std::size_t>(std::find(found.begin(), found.end(), false) - found.begin());
    if (missing < found.size())
      return bad_vocabulary("no token for byte " + hex_byte(missing) +
                            "; legal: all 256 bytes have one");
    return {};
  }

  Result<void> read_merges() {
    const Result<std::string> text = read_text_file(merges_, largest_file);
    if (!text) return text.error();
    std::size_t number = 0;
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t end = std::min(text->find('\n', at), text->size());
      const std::string_view line = std::string_view(*text).substr(at, end - at);
      at = end + 1;
      if (line.ends_with('\r'))
        return bad_merge(number + 1, "ends in CR LF; legal: LF; to repair: sed -i 's/\\r$//' " +
                                         merges_.string());
      if (++number == 1 && line.starts_with("#version")) continue;
      if (const Result<void> done = add_merge(line, number); !done) return done.error();
    }
    return {};
  }

  Result<void> add_merge(std::string_view line, std::size_t number) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string_view::npos)
      return bad_merge(number, in_quotes(line) + "; legal: two tokens with one space between them");
    std::array<TokenId, 3> ids{};
    const std::array<std::string, 3> names{
        std::string(line.substr(0, space)), std::string(line.substr(space + 1)),
        std::string(line.substr(0, space)).append(line.substr(space + 1))};
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto found = ids_.find(names[i]);
      if (found == ids_.end()) {
        return bad_merge(number, std::string(i < 2 ? "half " : "result ") + in_quotes(names[i]) +
                                     " of the merge is no token of " + vocab_.filename().string() +
                                     "; legal: files of one model");
      }
      ids[i] = found->second;
    }
    const auto rank = static_cast<std::uint32_t>(tables_.merges.size());
    if (!tables_.merges.emplace(pair_key(ids[0], ids[1]), Merge{rank, ids[2]}).second)
      return bad_merge(number, "merge " + in_quotes(line) + " is given twice; legal: once");
    return {};
  }

  /// A token that nothing makes would never be used: the two files are of different models, or
  /// merges.txt is cut short.
  Result<void> find_unmade() {
    std::vector<bool> made(names_.size(), false);
    for (const TokenId id : tables_.byte_ids) made[id] = true;
    for (const auto& [pair, merge] : tables_.merges) made[merge.id] = true;
    if (tables_.end_of_text) made[*tables_.end_of_text] = true;
    const auto unmade =
        static_cast<std::size_t>(std::find(made.begin(), made.end(), false) - made.begin());
    if (unmade == made.size()) return {};
    return bad_vocabulary("token " + in_quotes(names_[unmade]) + " (id " + std::to_string(unmade) +
                          ") is made by none of the " + std::to_string(tables_.merges.size()) +
                          " merges of " + merges_.filename().string() +
                          "; legal: files of one model");
  }

  /// Of the meaning, not of the files: the bytes of each id, then the merges by rank.
  [[nodiscard]] Digest digest() const {
    Sha256 hash;
    for (const std::string& bytes : tables_.bytes)
      hash.update(std::to_string(bytes.size()) + ":" + bytes);
    std::vector<std::string> lines(tables_.merges.size());
    for (const auto& [pair, merge] : tables_.merges)
      lines[merge.rank] =
          std::to_string(pair >> 32) + " " + std::to_string(pair & 0xFFFFFFFFU) + "\n";
    hash.update("\nmerges\n");
    for (const std::string& line : lines) hash.update(line);
    return hash.finish();
  }

  std::filesystem::path vocab_, merges_;
  std::vector<std::string> names_;  // of each id, in the byte alphabet
  std::unordered_map<std::string, TokenId> ids_;
  BpeTables tables_;
};

}  // namespace

Result<BpeTables> read_bpe_tables(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / "vocab.json", ignored) &&
      std::filesystem::exists(folder / "tokenizer.json", ignored)) {
    return Error{
        ExitCode::missing_input,
        folder.string() + ": has tokenizer.json only; needed: vocab.json and merges.txt, which " +
            "GPT2Tokenizer.from_pretrained(..).save_vocabulary(folder) of transformers writes"};
  }
  return TableReader(folder).read();
}

}  // namespace lamp
