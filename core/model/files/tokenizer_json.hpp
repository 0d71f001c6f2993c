// tokenizer.json, what the tokenizers library writes: vocabulary, merges, added tokens and how
// words are cut, in one file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "core/base/result.hpp"
#include "core/model/files/tokenizer_tables.hpp"

namespace lamp {

inline constexpr std::uint64_t largest_tokenizer_file = 64U << 20;

/// A JSON file of at most that size.
Result<nlohmann::json> read_tokenizer_file(const std::filesystem::path& file);

/// Read are byte-level BPE models. Refused by name, since ids would silently differ: other models,
/// dropout, prefixes and suffixes of subwords, byte fallback, normalizers; pre-tokenizers but
/// ByteLevel, Split by an expression (isolated), Digits and sequences of them; a blank put before
/// the text; added tokens that are found in plain text and take blanks or word ends beside them;
/// merges of added tokens whose characters stand for other bytes.
/// What is added around a text (post_processor), padding and truncation is not looked at: nothing
/// is inserted.
Result<BpeTables> read_tokenizer_json(const std::filesystem::path& file);
/// The same of a document; `name` is what messages call it.
Result<BpeTables> bpe_tables_of(const nlohmann::json& document, const std::string& name);

}  // namespace lamp
