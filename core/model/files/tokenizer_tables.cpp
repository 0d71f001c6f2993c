#include "core/model/files/tokenizer_tables.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "core/base/system_error.hpp"
#include "core/model/files/bpe_builder.hpp"
#include "core/model/files/gguf.hpp"
#include "core/model/files/gguf_model.hpp"
#include "core/base/input_file.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"
#include "core/model/files/tokenizer_json.hpp"

namespace lamp {
namespace {

using nlohmann::json;

/// What added_tokens.json says, {"token": id}; nothing where there is none.
Result<std::vector<AddedToken>> read_added(const std::filesystem::path& file) {
  std::vector<AddedToken> added;
  if (!may_be_there(file)) return added;
  const Result<json> document = read_tokenizer_file(file);
  if (!document) return document.error();
  for (const auto& [content, id] : document->items()) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= most_tokens)
      return Error{ExitCode::bad_data, file.string() + ": id of " + in_quotes(content) +
                                           " is not one; legal: integers"};
    added.push_back({.content = content, .id = id.get<TokenId>()});
  }
  return added;
}

Result<void> read_merges(const std::filesystem::path& file, BpeBuilder& builder) {
  const Result<std::string> text = read_text_file(file, largest_tokenizer_file);
  if (!text) return text.error();
  std::size_t number = 0;
  for (std::size_t at = 0; at < text->size();) {
    const std::size_t end = std::min(text->find('\n', at), text->size());
    const std::string_view line = std::string_view(*text).substr(at, end - at);
    at = end + 1;
    const std::string place = file.string() + ":" + std::to_string(number + 1);
    if (line.ends_with('\r'))
      return Error{
          ExitCode::bad_data,
          place + ": ends in CR LF; legal: LF; to repair: sed -i 's/\\r$//' " + file.string()};
    if (++number == 1 && line.starts_with("#version")) continue;
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string_view::npos)
      return Error{ExitCode::bad_data, place + ": " + in_quotes(line) +
                                           "; legal: two tokens with one space between them"};
    if (const Result<void> done =
            builder.add_merge(line.substr(0, space), line.substr(space + 1), place);
        !done)
      return done.error();
  }
  return {};
}

Result<BpeTables> read_two_files(const std::filesystem::path& folder) {
  const std::filesystem::path vocabulary = folder / "vocab.json", merges = folder / "merges.txt";
  const Result<json> document = read_tokenizer_file(vocabulary);
  if (!document) return document.error();
  Result<std::vector<AddedToken>> added = read_added(folder / "added_tokens.json");
  if (!added) return added.error();
  BpeBuilder builder(vocabulary.string(), merges.string());
  if (Result<void> done = builder.add_tokens(*document, *std::move(added)); !done)
    return done.error();
  if (const Result<void> done = read_merges(merges, builder); !done) return done.error();
  builder.add_bracketed();
  return builder.finish(PreTokenizer::gpt2(), false);
}

}  // namespace

Result<json> read_tokenizer_file(const std::filesystem::path& file) {
  const Result<std::string> text = read_text_file(file, largest_tokenizer_file);
  if (!text) return text.error();
  return parse_strict_json(*text, file.string());
}

Result<BpeTables> read_bpe_tables(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::path folder = path;
  const bool is_file = path.extension() == ".gguf" && !std::filesystem::is_directory(path, ignored);
  if (is_file || (!may_be_there(path / "tokenizer.json") && !may_be_there(path / "vocab.json"))) {
    const Result<std::optional<std::filesystem::path>> file = find_gguf(path);
    if (!file) return file.error();
    if (*file) {
      const Result<Gguf> gguf = Gguf::open(**file);
      if (!gguf) return gguf.error();
      const Result<json> document = gguf_tokenizer(*gguf);
      if (!document) return document.error();
      if (!document->is_null()) return bpe_tables_of(*document, (*file)->string());
      folder = (*file)->parent_path();
    }
  }
  return may_be_there(folder / "tokenizer.json") ? read_tokenizer_json(folder / "tokenizer.json")
                                                 : read_two_files(folder);
}

}  // namespace lamp
