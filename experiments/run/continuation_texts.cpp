#include "experiments/run/continuation_texts.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "core/model/files/text.hpp"
#include "experiments/config/variants.hpp"

namespace lamp::experiments {
namespace {

constexpr std::string_view no_character = "\xEF\xBF\xBD";  // U+FFFD

std::string as_utf8(std::string_view bytes) {
  std::string text;
  const auto add = [&](std::string_view good) {
    for (const char c : good) c == '\0' ? text += no_character : text += c;
  };
  while (const std::optional<std::size_t> bad = first_invalid_utf8(bytes)) {
    add(bytes.substr(0, *bad));
    text += no_character;
    bytes.remove_prefix(*bad + 1);
  }
  add(bytes);
  return text;
}

/// The vocabulary of all models where tokens are ids, which need none: nothing where there is none.
std::optional<Tokenizer> common_tokenizer(const Config& config) {
  std::optional<Tokenizer> common;
  for (const std::filesystem::path& folder : model_paths(config)) {
    Result<Tokenizer> read = Tokenizer::read(folder);
    if (!read || (common && read->content() != common->content())) return std::nullopt;
    common = *std::move(read);
  }
  return common;
}

/// That the texts of the experiment were read with.
Result<Tokenizer> tokenizer_of_texts(const Experiment& experiment) {
  const std::filesystem::path folder = model_paths(experiment.config).front();
  Result<Tokenizer> read = Tokenizer::read(folder);
  if (read && read->content() != experiment.tokens.tokenizer)
    return Error{ExitCode::bad_data,
                 folder.string() + ": its tokenizer has changed since the run began"};
  return read;
}

}  // namespace

std::string text_of_ids(const Tokenizer& tokenizer, std::span<const std::int64_t> ids) {
  constexpr char no_utf8 = '\xFF';
  std::string bytes;
  for (const std::int64_t id : ids) {
    if (id < 0) break;
    const auto token = static_cast<TokenId>(id);
    const Result<std::string> piece = tokenizer.decode({&token, 1});
    piece ? bytes += * piece : bytes += no_utf8;
  }
  return as_utf8(bytes);
}

Result<std::vector<record::TextQuantity>> continuation_texts(const Experiment& experiment) {
  const Config& config = experiment.config;
  std::vector<record::TextQuantity> all;
  if (!config.continuation) return all;
  std::optional<Tokenizer> tokenizer;
  if (config.tokens.from_ids) {
    tokenizer = common_tokenizer(config);
    if (!tokenizer) return all;
  } else {
    Result<Tokenizer> read = tokenizer_of_texts(experiment);
    if (!read) return read.error();
    tokenizer = *std::move(read);
  }
  const auto add = [&](const std::string& name, const std::string& of, std::size_t most,
                       const std::string& what) {
    all.push_back({.path = "/continuations/" + name + "_text",
                   .long_name = what + "; a byte that is no UTF-8, and NUL, is U+FFFD",
                   .of = of,
                   .text = [tokenizer = *tokenizer, most](std::span<const std::int64_t> ids) {
                     return text_of_ids(tokenizer, ids.first(std::min(most, ids.size())));
                   }});
  };
  const ContinuationConfig& asked = *config.continuation;
  add("prompt", "/reference/tokens", asked.prefix, "text of the tokens that are continued");
  add("reference", "/continuations/reference", asked.tokens,
      "text of the reference's greedy continuation");
  add("run", "/continuations/run", asked.tokens, "text of the run's greedy continuation");
  return all;
}

}  // namespace lamp::experiments
