#include "experiments/config/tokens.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "core/base/input_file.hpp"
#include "core/model/files/tokenizer.hpp"
#include "core/model/files/tokenizer_tables.hpp"
#include "experiments/config/shuffle.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {
namespace {

/// The whole of a regular file; opening anything else neither blocks nor succeeds.
Result<std::string> read_file(const std::filesystem::path& file) {
  const auto of_key = [](const Error& error) {
    return Error{error.code, one_line(error.message) + "; see tokens.path"};
  };
  const Result<InputFile> input = InputFile::open(file);
  if (!input) return of_key(input.error());
  std::string bytes(static_cast<std::size_t>(input->size()), '\0');
  if (const Result<void> done = input->read_at(0, std::as_writable_bytes(std::span(bytes))); !done)
    return of_key(done.error());
  return bytes;
}

/// The carriage return that first keeps a mark beside it from being a line of its own, or nothing.
std::optional<std::size_t> return_beside_mark(std::string_view text) {
  constexpr std::size_t none = std::string_view::npos;
  for (std::size_t at = text.find(end_of_text_token); at != none;
       at = text.find(end_of_text_token, at + 1)) {
    const std::size_t end = at + end_of_text_token.size();
    const char before = at == 0 ? '\n' : text[at - 1],
               after = end == text.size() ? '\n' : text[end];
    const bool alone = (before == '\n' || before == '\r') && (after == '\n' || after == '\r');
    if (alone && after == '\r') return end;
    if (alone && before == '\r') return at - 1;
  }
  return std::nullopt;
}

bool has_plain_newline(std::string_view text) {
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1))
    if (at == 0 || text[at - 1] != '\r') return true;
  return false;
}

/// What editors of other systems leave in a text, and what would keep a line `<|endoftext|>` from
/// being the mark: a byte order mark; lines that end in CR LF, or in CR. A CR elsewhere in a text
/// whose lines end in LF is a character of the text.
Result<void> check_text(std::string_view text, const std::string& where) {
  const auto line_of = [&](std::size_t at) {
    return std::to_string(
        1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
  };
  const auto bad = [&](std::size_t at, const std::string& what, const std::string& edit) {
    return Error{ExitCode::bad_data, where + ":" + line_of(at) + ": " + what +
                                         "; to repair: sed -i '" + edit + "' " + shell_word(where)};
  };
  if (text.starts_with("\xEF\xBB\xBF"))
    return bad(0, "begins with a byte order mark; legal: UTF-8 without one",
               "1s/^\\xEF\\xBB\\xBF//");
  const std::size_t first = text.find('\r');
  if (first == std::string_view::npos) return {};
  const std::optional<std::size_t> at_mark = return_beside_mark(text);
  if (!at_mark && has_plain_newline(text)) return {};
  const std::string lost = at_mark ? ", and so the mark " + std::string(end_of_text_token) +
                                         " in line " + line_of(*at_mark) + " is lost"
                                   : "";
  const std::size_t next = at_mark.value_or(first) + 1;
  if (next == text.size() || text[next] == '\n')
    return bad(first, "ends in CR LF" + lost + "; legal: LF", "s/\\r$//");
  return bad(first, "ends in CR" + lost + "; legal: LF", "s/\\r$//; s/\\r/\\n/g");
}

/// A line `[1, 2, 3]` of one or more ids: a list of JSON whose elements are integers.
Result<std::vector<TokenId>> parse_ids(std::string_view line, const std::string& where) {
  std::vector<TokenId> ids;
  std::size_t at = 0;
  const auto skip_blanks = [&] { at = std::min(line.find_first_not_of(" \t\r", at), line.size()); };
  const auto next_is = [&](char c) { return at < line.size() && line[at] == c; };
  const auto fail = [&](const std::string& what) {
    return Error{ExitCode::bad_data, where + ":" + std::to_string(at + 1) + ": " + what +
                                         "; a line is a JSON list of token ids, e.g. [464, 3290]"};
  };
  skip_blanks();
  if (!next_is('[')) return fail("expected '['");
  do {
    ++at, skip_blanks();
    TokenId id = 0;
    const char* const first = line.data() + at;
    const auto [end, error] = std::from_chars(first, line.data() + line.size(), id);
    if (error == std::errc::result_out_of_range)
      return fail("an id above " + std::to_string(std::numeric_limits<TokenId>::max()));
    if (error != std::errc{}) return fail("expected a token id");
    if (*first == '0' && end != first + 1) return fail("a number that begins with 0");
    at = static_cast<std::size_t>(end - line.data());
    ids.push_back(id);
    skip_blanks();
  } while (next_is(','));
  if (!next_is(']')) return fail("expected ',' or ']'");
  ++at, skip_blanks();
  if (at != line.size()) return fail("text after the list");
  return ids;
}

Digest identity(const TokenSequence& sequence, const std::string& variant) {
  std::string text = "sequence " + std::to_string(sequence.index) + "\n";
  for (const TokenId id : sequence.ids) text += std::to_string(id) + "\n";
  return sha256(text + variant);
}

Result<void> check_ids(std::span<const TokenId> ids, const ModelConfig& model,
                       const std::string& where) {
  for (std::size_t t = 0; t < ids.size(); ++t)
    if (ids[t] >= model.vocab_size)
      return Error{ExitCode::bad_data,
                   where + ": token " + std::to_string(t) + " is " + std::to_string(ids[t]) +
                       "; legal: 0 .. " + std::to_string(model.vocab_size - 1) + " for this model"};
  return {};
}

Result<std::vector<std::vector<TokenId>>> sequences_of_text(const TokenRequest& request,
                                                            const std::string& bytes,
                                                            const Tokenizer& tokenizer,
                                                            const std::string& where) {
  if (Result<void> legal = check_text(bytes, where); !legal) return legal.error();
  const Result<std::vector<TokenId>> encoded = tokenizer.encode_documents(bytes);
  if (!encoded) return Error{encoded.error().code, where + ": " + encoded.error().message};
  const std::size_t length = request.sequence_length, available = encoded->size(),
                    least = request.min_length.value_or(length);
  std::vector<std::vector<TokenId>> sequences;
  for (std::size_t s = 0; s < request.sequences; ++s) {
    const std::size_t begin = request.offset + s * length;
    if (begin > available || available - begin < least) {
      const std::size_t rest = available > request.offset ? available - request.offset : 0,
                        fit = rest / length + (rest % length >= least ? 1 : 0);
      return Error{ExitCode::bad_data, where + ": the text has " + std::to_string(available) +
                                           " tokens, too few for tokens.offset " +
                                           std::to_string(request.offset) + " + tokens.sequences " +
                                           std::to_string(request.sequences) +
                                           " x tokens.sequence_length " + std::to_string(length) +
                                           (least < length ? ", the last of tokens.min_length " +
                                                                 std::to_string(least) + " or more"
                                                           : "") +
                                           "; at most " + std::to_string(fit) + " sequences fit"};
    }
    const auto first = encoded->begin() + static_cast<std::ptrdiff_t>(begin);
    sequences.emplace_back(
        first, first + static_cast<std::ptrdiff_t>(std::min(length, available - begin)));
  }
  return sequences;
}

Result<std::vector<std::vector<TokenId>>> sequences_of_ids(const TokenRequest& request,
                                                           std::string_view bytes,
                                                           const std::string& where) {
  std::vector<std::vector<TokenId>> sequences;
  std::size_t number = 0;
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    const std::string place = where + ":" + std::to_string(++number);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Result<std::vector<TokenId>> ids = parse_ids(line, place);
    if (!ids) return ids.error();
    if (sequences.size() == request.sequences) continue;  // it is to be a list, of any length
    const std::size_t needed =
        request.offset + request.min_length.value_or(request.sequence_length);
    if (ids->size() < needed)
      return Error{ExitCode::bad_data, place + ": the line has " + std::to_string(ids->size()) +
                                           " ids; legal: at least tokens.offset + "
                                           "tokens." +
                                           (request.min_length ? "min_length" : "sequence_length") +
                                           " = " + std::to_string(needed)};
    const auto first = ids->begin() + static_cast<std::ptrdiff_t>(request.offset);
    sequences.emplace_back(
        first, first + static_cast<std::ptrdiff_t>(
                           std::min(request.sequence_length, ids->size() - request.offset)));
  }
  if (sequences.size() < request.sequences)
    return Error{ExitCode::bad_data, where + ": the file has " + std::to_string(sequences.size()) +
                                         " lists of ids; tokens.sequences asks for " +
                                         std::to_string(request.sequences)};
  return sequences;
}

}  // namespace

Result<TokenSet> read_tokens(const TokenRequest& request, const ModelConfig& model,
                             const std::filesystem::path& model_folder) {
  if (request.sequence_length < 1 || request.sequence_length > model.n_positions)
    return Error{ExitCode::bad_data, "tokens.sequence_length is " +
                                         std::to_string(request.sequence_length) +
                                         "; legal: 1 .. " + std::to_string(model.n_positions) +
                                         ", the model's n_positions"};
  TokenSet set;
  std::optional<Tokenizer> tokenizer;
  if (!request.from_ids) {
    Result<Tokenizer> read = Tokenizer::read(model_folder);
    if (!read) return read.error();
    set.tokenizer = read->content();
    tokenizer = *std::move(read);
  }
  for (std::size_t text = 0; text < request.paths.size(); ++text) {
    const std::string where = one_line(request.paths[text].string());
    Result<std::string> bytes = read_file(request.paths[text]);
    if (!bytes) return bytes.error();
    set.text_contents.push_back(sha256(*bytes));
    Result<std::vector<std::vector<TokenId>>> cut =
        tokenizer ? sequences_of_text(request, *bytes, *tokenizer, where)
                  : sequences_of_ids(request, *bytes, where);
    if (!cut) return cut.error();
    for (std::size_t index = 0; index < cut->size(); ++index) {
      const std::vector<TokenId>& ids = (*cut)[index];
      if (Result<void> legal = check_ids(ids, model, where + ": sequence " + std::to_string(index));
          !legal)
        return legal.error();
      for (std::size_t v = 0; v < request.variants.size(); ++v) {
        const TokenVariant& variant = request.variants[v];
        TokenSequence sequence{.text = text, .index = index, .variant = v, .ids = ids, .id = {}};
        if (variant.shuffle)
          shuffle(sequence.ids, ShuffleStream::tokens, *variant.shuffle,
                  static_cast<std::uint32_t>(index));
        sequence.id = identity(sequence, variant.identity);
        set.sequences.push_back(std::move(sequence));
      }
    }
  }
  return set;
}

}  // namespace lamp::experiments
