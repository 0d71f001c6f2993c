#include "core/model/files/tokenizer_json.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/model/files/bpe_builder.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

using nlohmann::json;
using Expressions = std::vector<std::string>;

class Reader {
 public:
  Reader(const json& document, std::string file) : document_(document), file_(std::move(file)) {}

  Result<BpeTables> read() {
    if (!document_.is_object()) return bad("", "holds " + shown(document_), "an object");
    const json& model = part(document_, "model");
    for (const auto step : {&Reader::check_model, &Reader::check_normalizer})
      if (Result<void> done = (this->*step)(model); !done) return done.error();
    Result<std::vector<AddedToken>> added = added_tokens();
    if (!added) return added.error();
    Expressions expressions;
    if (Result<void> done =
            add_steps(part(document_, "pre_tokenizer"), "pre_tokenizer", expressions);
        !done)
      return done.error();
    Result<PreTokenizer> words = PreTokenizer::make(std::move(expressions));
    if (!words) return bad("pre_tokenizer", words.error().message, "an expression of PCRE2");

    BpeBuilder builder(file_, file_);
    if (Result<void> done = builder.add_tokens(part(model, "vocab"), *std::move(added)); !done)
      return done.error();
    if (Result<void> done = add_merges(part(model, "merges"), builder); !done) return done.error();
    builder.add_bracketed();
    return builder.finish(*std::move(words), is_true(model, "ignore_merges"));
  }

 private:
  [[nodiscard]] Error bad(const std::string& key, const std::string& what,
                          const std::string& legal) const {
    return {ExitCode::bad_data,
            file_ + ": " + (key.empty() ? "" : key + ": ") + what + "; legal: " + legal};
  }

  /// A member of an object; null where there is none.
  static const json& part(const json& object, const char* key) {
    static const json none;
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found == object.end() ? none : *found;
  }
  static bool is_true(const json& object, const char* key) { return part(object, key) == true; }
  static std::string type_of(const json& object) {
    const json& type = part(object, "type");
    return type.is_string() ? type.get<std::string>() : "";
  }
  static bool is_empty(const json& value) {
    return value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty());
  }

  Result<void> check_model(const json& model) {
    // Files of earlier versions of the library do not name the type.
    if (!model.is_object() || (type_of(model) != "BPE" && model.contains("type")))
      return bad("model.type", "is " + shown(part(model, "type")), "\"BPE\"");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (!is_empty(part(model, key)))
        return bad(std::string("model.") + key, "is " + shown(part(model, key)), "null");
    if (const json& dropout = part(model, "dropout"); !dropout.is_null() && dropout != 0)
      return bad("model.dropout", "is " + shown(dropout), "null");
    if (is_true(model, "byte_fallback"))
      return bad("model.byte_fallback", "is true", "false: byte-level BPE");
    return {};
  }

  Result<void> check_normalizer(const json&) {
    const json& normalizer = part(document_, "normalizer");
    if (normalizer.is_null()) return {};
    return bad("normalizer", "is of type " + in_quotes(type_of(normalizer)), "null");
  }

  Result<std::vector<AddedToken>> added_tokens() {
    std::vector<AddedToken> added;
    const json& list = part(document_, "added_tokens");
    if (list.is_null()) return added;
    if (!list.is_array()) return bad("added_tokens", "is " + shown(list), "a list");
    for (const json& token : list) {
      const json &content = part(token, "content"), &id = part(token, "id");
      if (!content.is_string() || !id.is_number_unsigned() ||
          id.get<std::uint64_t>() >= most_tokens)
        return bad("added_tokens", "holds " + shown(token), "objects with \"id\" and \"content\"");
      AddedToken read{.content = content.get<std::string>(),
                      .id = id.get<TokenId>(),
                      .special = is_true(token, "special")};
      for (const char* beside : {"lstrip", "rstrip", "single_word"})
        if (is_true(token, beside)) {
          read.from_text = false;
          if (!read.special)
            return bad("added_tokens", in_quotes(read.content) + " has " + beside,
                       "in special tokens only");
        }
      added.push_back(std::move(read));
    }
    return added;
  }

  /// The expressions of a pre-tokenizer, one after the other.
  Result<void> add_steps(const json& step, const std::string& key, Expressions& expressions) {
    if (step.is_null()) return {};
    const std::string type = type_of(step);
    if (type == "Sequence") {
      const json& list = part(step, "pretokenizers");
      if (!list.is_array()) return bad(key + ".pretokenizers", "is " + shown(list), "a list");
      for (const json& one : list)
        if (Result<void> done = add_steps(one, key, expressions); !done) return done;
      return {};
    }
    if (type == "ByteLevel") {
      if (is_true(step, "add_prefix_space"))
        return bad(key + ".add_prefix_space", "is true",
                   "false: a text's first word is taken as it stands");
      if (part(step, "use_regex") != false) expressions.emplace_back(gpt2_expression);
      return {};
    }
    if (type == "Digits") {
      expressions.emplace_back(is_true(step, "individual_digits") ? R"(\p{N})" : R"(\p{N}+)");
      return {};
    }
    if (type == "Split") {
      const json& expression = part(part(step, "pattern"), "Regex");
      const bool isolated = part(step, "behavior") == "Isolated" && !is_true(step, "invert");
      if (!expression.is_string() || !isolated)
        return bad(key, "has the step " + json_text(step).substr(0, 200),
                   "a Split with pattern.Regex, behavior \"Isolated\", invert false");
      expressions.push_back(expression.get<std::string>());
      return {};
    }
    return bad(key, "is of type " + in_quotes(type), "ByteLevel, Split, Digits, Sequence");
  }

  /// "a b", as libraries wrote them until 2024, or ["a", "b"].
  Result<void> add_merges(const json& merges, BpeBuilder& builder) {
    if (!merges.is_array()) return bad("model.merges", "is " + shown(merges), "a list");
    std::size_t number = 0;
    for (const json& merge : merges) {
      const std::string place = file_ + ": merge " + std::to_string(number++);
      std::optional<std::pair<std::string, std::string>> halves;
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
        halves = {merge[0].get<std::string>(), merge[1].get<std::string>()};
      if (merge.is_string()) {
        const auto text = merge.get<std::string>();
        const std::size_t space = text.find(' ');
        if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos)
          halves = {text.substr(0, space), text.substr(space + 1)};
      }
      if (!halves || halves->first.empty() || halves->second.empty())
        return Error{ExitCode::bad_data,
                     place + ": " + shown(merge) + "; legal: \"a b\" or [\"a\", \"b\"]"};
      if (Result<void> done = builder.add_merge(halves->first, halves->second, place); !done)
        return done;
    }
    return {};
  }

  const json& document_;
  std::string file_;
};

}  // namespace

Result<BpeTables> read_tokenizer_json(const std::filesystem::path& file) {
  const Result<json> document = read_tokenizer_file(file);
  if (!document) return document.error();
  return bpe_tables_of(*document, file.string());
}

Result<BpeTables> bpe_tables_of(const json& document, const std::string& name) {
  return Reader(document, name).read();
}

}  // namespace lamp
