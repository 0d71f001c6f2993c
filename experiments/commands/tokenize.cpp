#include <array>
#include <charconv>
#include <istream>
#include <ostream>
#include <string>

#include "core/model/files/tokenizer.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {
namespace {

constexpr std::string_view blanks = " \t\r\n\f\v";

/// Decimal ids separated by white space.
Result<std::vector<TokenId>> parse_ids(std::string_view text, std::size_t vocab_size) {
  std::vector<TokenId> ids;
  for (std::size_t at = text.find_first_not_of(blanks); at < text.size();
       at = text.find_first_not_of(blanks, at)) {
    const std::size_t end = std::min(text.find_first_of(blanks, at), text.size());
    TokenId id = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, id);
    if (error != std::errc{} || stop != text.data() + end || id >= vocab_size)
      return Error{ExitCode::bad_data,
                   "standard input, byte " + std::to_string(at) + ": " +
                       toml_string(text.substr(at, std::min<std::size_t>(end - at, 40))) +
                       " is no token id; legal: 0 to " + std::to_string(vocab_size - 1)};
    ids.push_back(id);
    at = end;
  }
  return ids;
}

}  // namespace

int tokenize_command(const TokenizeOptions& options, std::istream& in, std::ostream& out) {
  const Result<Tokenizer> tokenizer = Tokenizer::read(options.model);
  if (!tokenizer) return report("tokenize", tokenizer.error());
  std::string text;
  for (std::array<char, 1 << 16> buffer{};
       in.read(buffer.data(), buffer.size()) || in.gcount() > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(in.gcount()));
  if (in.bad()) return report("tokenize", {ExitCode::io, "reading standard input failed"});
  if (options.decode) {
    const Result<std::vector<TokenId>> ids = parse_ids(text, tokenizer->vocab_size());
    if (!ids) return report("tokenize", ids.error());
    const Result<std::string> decoded = tokenizer->decode(*ids);
    if (!decoded) return report("tokenize", decoded.error());
    out << *decoded;
    return 0;
  }
  const Result<std::vector<TokenId>> ids = tokenizer->encode(text, options.special);
  if (!ids) return report("tokenize", {ids.error().code, "standard input: " + ids.error().message});
  for (std::size_t i = 0; i < ids->size(); ++i) out << (i == 0 ? "" : " ") << (*ids)[i];
  out << '\n';
  return 0;
}

}  // namespace lamp::experiments
