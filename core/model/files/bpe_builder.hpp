// From a vocabulary, merges and added tokens to BpeTables, checked against each other: what the
// readers of the two kinds of tokenizer files share.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/model/files/tokenizer_tables.hpp"

namespace lamp {

class BpeBuilder {
 public:
  /// The files' names, for messages.
  BpeBuilder(std::string vocabulary, std::string merges)
      : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)) {}

  /// The tokens of a JSON object {"token in the byte alphabet": id}, and those that `added` has
  /// besides: ids 0 .. n-1 in all, each once.
  Result<void> add_tokens(const nlohmann::json& vocabulary, std::vector<AddedToken> added);
  /// A token that merges need not make is special where its name says so: `<..>`, `[..]`.
  void add_bracketed();
  /// The next merge; `place` is where it stands, for messages.
  Result<void> add_merge(std::string_view left, std::string_view right, const std::string& place);
  /// The tables of what was added.
  Result<BpeTables> finish(PreTokenizer words, bool whole_words);

 private:
  [[nodiscard]] Error bad(const std::string& what) const {
    return {ExitCode::bad_data, vocabulary_ + ": " + what};
  }
  Result<void> index_tokens(const std::vector<bool>& is_added);
  [[nodiscard]] Result<void> find_unmade() const;
  [[nodiscard]] Digest digest() const;

  std::string vocabulary_, merges_;
  std::vector<std::string> names_;  // of each id: in the byte alphabet, an added one as it stands
  std::unordered_map<std::string, TokenId> ids_;
  BpeTables tables_;
};

}  // namespace lamp
