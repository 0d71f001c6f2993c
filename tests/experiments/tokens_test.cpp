// Sequences of tokens: which tokens they are (oracle: the tokenizer on the whole text, and lists
// written by hand), and every input that is none.
#include "experiments/config/tokens.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <numeric>
#include <set>

#include "core/model/files/tokenizer.hpp"
#include "tests/core/model/files.hpp"

using namespace lamp;
using namespace lamp::experiments;
using lamp::test::source;
using lamp::test::TemporaryFolder;

namespace {

const std::filesystem::path tiny = source("data/models/gpt2-tiny");

ModelConfig small_model() {
  ModelConfig model;
  model.vocab_size = 10, model.n_positions = 8;
  return model;
}

ModelConfig tiny_model() {
  const Result<ModelConfig> model = read_model_config(tiny / "config.json");
  REQUIRE(model.ok());
  return *model;
}

/// Reads lines of ids with a model of 10 tokens and 8 positions.
Result<TokenSet> read_ids(const TemporaryFolder& folder, const std::string& lines,
                          std::size_t length, std::size_t sequences, std::size_t offset = 0) {
  return read_tokens({.from_ids = true,
                      .paths = {folder.write("ids", lines)},
                      .sequence_length = length,
                      .sequences = sequences,
                      .offset = offset},
                     small_model(), "no tokenizer is needed");
}

Result<TokenSet> read_text(const std::filesystem::path& text, std::size_t length,
                           std::size_t sequences, std::size_t offset = 0) {
  return read_tokens(
      {.paths = {text}, .sequence_length = length, .sequences = sequences, .offset = offset},
      tiny_model(), tiny);
}

/// One line that holds every one of the words, and the code.
bool refused(const Result<TokenSet>& result, const std::vector<std::string>& words,
             ExitCode code = ExitCode::bad_data) {
  if (result.ok()) return false;
  UNSCOPED_INFO(result.error().message);
  if (result.error().code != code || result.error().message.find('\n') != std::string::npos)
    return false;
  return std::all_of(words.begin(), words.end(), [&](const std::string& w) {
    return result.error().message.find(w) != std::string::npos;
  });
}

using Ids = std::vector<TokenId>;

}  // namespace

TEST_CASE("tokens: sequences of a text are its tokens in order, nothing added", "[tokens]") {
  const std::filesystem::path file = source("data/texts/prose.txt");
  const Ids all = *Tokenizer::read(tiny)->encode_documents(test::slurp(file));
  for (const std::size_t offset : {std::size_t{0}, std::size_t{7}}) {
    const Result<TokenSet> set = read_text(file, 50, 3, offset);
    REQUIRE(set.ok());
    REQUIRE(set->sequences.size() == 3);
    for (std::size_t s = 0; s < 3; ++s) {
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(offset + 50 * s);
      CHECK(set->sequences[s].ids == Ids(first, first + 50));
      CHECK(set->sequences[s].index == s);
    }
  }
  CHECK(read_text(file, 1, 2)->sequences[1].ids == Ids{all[1]});  // of length 1
}

TEST_CASE("tokens: a text that is too short is an error and never wraps around", "[tokens]") {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.write("text", "One two three four five six.");
  const std::size_t tokens =
      Tokenizer::read(tiny)->encode_documents("One two three four five six.")->size();
  REQUIRE(tokens >= 6);
  const std::string available = "the text has " + std::to_string(tokens) + " tokens";
  CHECK(read_text(file, 1, tokens).ok());
  CHECK(refused(read_text(file, 1, tokens + 1),
                {"text: ", available, "tokens.sequences",
                 "at most " + std::to_string(tokens) + " sequences fit"}));
  CHECK(read_text(file, tokens, 1).ok());
  CHECK(refused(read_text(file, tokens + 1, 1), {available, "at most 0 sequences"}));
  CHECK(read_text(file, 2, 1, tokens - 2).ok());
  CHECK(refused(read_text(file, 2, 1, tokens - 1), {available, "tokens.offset"}));
  CHECK(refused(read_text(file, 1, 1, tokens), {available}));
  CHECK(refused(read_text(file, 1, 1, std::size_t{1000000000000000}), {available}));
  CHECK(refused(read_text(folder.write("empty", ""), 1, 1), {"empty: the text has 0 tokens"}));
}

TEST_CASE("tokens: with a least length, what ends before is a sequence too", "[tokens]") {
  const TemporaryFolder folder;
  const std::string words = "One two three four five six.";
  const std::filesystem::path file = folder.write("text", words);
  const Ids all = *Tokenizer::read(tiny)->encode_documents(words);
  const auto read = [&](std::size_t length, std::size_t sequences, std::size_t offset,
                        std::size_t least) {
    return read_tokens({.paths = {file},
                        .sequence_length = length,
                        .sequences = sequences,
                        .offset = offset,
                        .min_length = least},
                       tiny_model(), tiny);
  };
  const std::size_t n = all.size();
  for (const std::size_t rest : {std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
    const Result<TokenSet> two = read(n - rest, 2, 0, rest);
    REQUIRE(two.ok());
    CHECK(two->sequences[0].ids.size() == n - rest);
    CHECK(two->sequences[1].ids == Ids(all.end() - static_cast<std::ptrdiff_t>(rest), all.end()));
    CHECK(refused(read(n - rest, 2, 0, rest + 1), {"at most 1 sequences fit"}));
    CHECK(refused(read(n - rest, 3, 0, rest), {"at most 2 sequences fit"}));
  }
  CHECK(read(n + 9, 1, 0, n)->sequences[0].ids == all);
  CHECK(read(n + 9, 1, 2, n - 2)->sequences[0].ids == Ids(all.begin() + 2, all.end()));
  CHECK(refused(read(n + 9, 1, 0, n + 1),
                {"the last of tokens.min_length " + std::to_string(n + 1) + " or more",
                 "at most 0 sequences fit"}));
  CHECK(refused(read(n, 1, n, 1), {"at most 0 sequences fit"}));
}

TEST_CASE("tokens: sequence_length is 1 to n_positions", "[tokens]") {
  const TemporaryFolder folder;
  const std::string line = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n";
  CHECK(refused(read_ids(folder, line, 0, 1), {"tokens.sequence_length is 0; legal: 1 .. 8"}));
  CHECK(read_ids(folder, line, 1, 1)->sequences[0].ids == Ids{0});
  CHECK(read_ids(folder, line, 8, 1)->sequences[0].ids == Ids{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(refused(read_ids(folder, line, 9, 1),
                {"tokens.sequence_length is 9; legal: 1 .. 8, the model's n_positions"}));
  const std::size_t positions = tiny_model().n_positions;
  CHECK(read_text(source("data/texts/prose.txt"), positions, 1)->sequences[0].ids.size() ==
        positions);
  CHECK(refused(read_text(source("data/texts/prose.txt"), positions + 1, 1), {"n_positions"}));
}

TEST_CASE("tokens: lines of ids", "[tokens]") {
  const TemporaryFolder folder;
  const Result<TokenSet> set =
      read_ids(folder, "[1, 2, 3]\r\n\n \t\n[4,5,6,7]\n [ 9 ,8,\t7 ] ", 3, 3);
  REQUIRE(set.ok());
  REQUIRE(set->sequences.size() == 3);
  CHECK(set->sequences[0].ids == Ids{1, 2, 3});
  CHECK(set->sequences[1].ids == Ids{4, 5, 6});  // a longer line is cut
  CHECK(set->sequences[2].ids == Ids{9, 8, 7});
  CHECK(read_ids(folder, "[1, 2, 3]\n[4, 5, 6]", 2, 2, 1)->sequences[1].ids == Ids{5, 6});
  CHECK(read_ids(folder, "[0, 9]\n[2]\n\n[3, 10, 4294967295]", 2, 1)
            .ok());  // lines beyond tokens.sequences are lists of any ids

  CHECK(
      refused(read_ids(folder, "[1, 2, 3]\n[4, 5]\n", 3, 2), {"ids:2: the line has 2 ids", "= 3"}));
  CHECK(refused(read_ids(folder, "[1, 2, 3]\n", 3, 1, 1), {"ids:1: the line has 3 ids", "= 4"}));
  CHECK(refused(read_ids(folder, "[1, 2]\n\n[3, 4]\n", 2, 3),
                {"ids: the file has 2 lists", "asks for 3"}));
  CHECK(refused(read_ids(folder, "", 1, 1), {"ids: the file has 0 lists"}));
  CHECK(refused(read_ids(folder, "[4294967296]", 1, 1), {"ids:1:2: an id above 4294967295; "}));
  CHECK(refused(read_ids(folder, "[4294967295]", 1, 1), {"token 0 is 4294967295; legal: 0 .. 9"}));
  CHECK(refused(read_ids(folder, "[9]\n[3, 10]\n", 1, 2, 0), {}) == false);  // 10 is cut away
  CHECK(refused(read_ids(folder, "[9, 9]\n[3, 10]\n", 2, 2),
                {"sequence 1: token 1 is 10; legal: 0 .. 9"}));
  struct Malformed {
    std::string line;
    std::string place;
  };
  for (const Malformed& bad : std::vector<Malformed>{{"1, 2", "1:1"},
                                                     {"[", "1:2"},
                                                     {"[]", "1:2"},
                                                     {"[ ]", "1:3"},
                                                     {"[01]", "1:2"},
                                                     {"[1, 00]", "1:5"},
                                                     {"[1, 2", "1:6"},
                                                     {"[1, 2,", "1:7"},
                                                     {"[1][2]", "1:4"},
                                                     {"[1],", "1:4"},
                                                     {"[- 1]", "1:2"},
                                                     {"[1\f]", "1:3"},
                                                     {"[1 2]", "1:4"},
                                                     {"[1, ]", "1:5"},
                                                     {"[,1]", "1:2"},
                                                     {"[1,,2]", "1:4"},
                                                     {"[1]]", "1:4"},
                                                     {"[1] x", "1:5"},
                                                     {"[-1]", "1:2"},
                                                     {"[+1]", "1:2"},
                                                     {"[1.5]", "1:3"},
                                                     {"[1e1]", "1:3"},
                                                     {"[0x1]", "1:3"},
                                                     {"[99999999999999999999]", "1:2"},
                                                     {"[4294967296]", "1:2"},
                                                     {"[\"1\"]", "1:2"},
                                                     {"[[1]]", "1:2"},
                                                     {"[null]", "1:2"},
                                                     {"{\"ids\": [1]}", "1:1"},
                                                     {"[1\xFF]", "1:3"},
                                                     {std::string("[1\0]", 4), "1:3"},
                                                     {std::string("[1]\0", 4), "1:4"},
                                                     {std::string("\0\0", 2), "1:1"},
                                                     {"\xEF\xBB\xBF[1]", "1:1"}}) {
    INFO(bad.line);
    CHECK(refused(read_ids(folder, bad.line + "\n", 1, 1),
                  {"ids:" + bad.place + ": ", "a JSON list of token ids"}));
    CHECK(refused(read_ids(folder, "[1]\n\n" + bad.line, 1, 1),  // also where it is not needed
                  {"ids:3" + bad.place.substr(1) + ": ", "a JSON list of token ids"}));
  }
}

TEST_CASE("tokens: line ends that hide the mark of a document are refused, with what repairs them",
          "[tokens]") {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& text) {
    return read_text(folder.write("text", text), 1, 1);
  };
  const std::string crlf = "; legal: LF; to repair: sed -i 's/\\r$//' ",
                    lone = "; legal: LF; to repair: sed -i 's/\\r$//; s/\\r/\\n/g' ";
  const auto lost = [](int line) {
    return ", and so the mark <|endoftext|> in line " + std::to_string(line) + " is lost";
  };
  CHECK(
      refused(read("One\r\n<|endoftext|>\r\nTwo\r\n"), {"text:1: ends in CR LF" + lost(2) + crlf}));
  CHECK(refused(read("One\nTwo\r\n\n<|endoftext|>\r\nThree\n"),
                {"text:2: ends in CR LF" + lost(4) + crlf}));
  CHECK(refused(read("<|endoftext|>\r\nOne\n"), {"text:1: ends in CR LF" + lost(1) + crlf}));
  CHECK(refused(read("One\n<|endoftext|>\r"), {"text:2: ends in CR LF" + lost(2) + crlf}));
  CHECK(refused(read("One\r<|endoftext|>\rTwo\r"), {"text:1: ends in CR" + lost(1) + lone}));
  CHECK(refused(read("One\r<|endoftext|>\nTwo\n"), {"text:1: ends in CR" + lost(1) + lone}));
  CHECK(refused(read("One\r\nTwo\r\n"),
                {"text:1: ends in CR LF" + crlf}));  // no mark: every line end would be two tokens
  CHECK(refused(read("One\rTwo"), {"text:1: ends in CR" + lone}));
  CHECK(refused(read("\xEF\xBB\xBF<|endoftext|>\nOne\n"),
                {"text:1: begins with a byte order mark", "sed -i '1s/^\\xEF\\xBB\\xBF//' "}));
  CHECK(refused(read_text(folder.write("a 'text'", "\r\n"), 1, 1),
                {"sed -i 's/\\r$//' '", R"(/a '\''text'\''')"}));
  // A CR in a text whose lines end in LF, and a mark within a line, are characters.
  for (const std::string text : {"One\rTwo\n", "One\r\nTwo\n", "One\r\n<|endoftext|>\nTwo",
                                 "One <|endoftext|>\r\nTwo\n", "<|endoftext|> \r\nOne\n"}) {
    INFO(text);
    const Ids ids = *Tokenizer::read(tiny)->encode_documents(text);
    const Result<TokenSet> set = read_text(folder.write("text", text), ids.size(), 1);
    REQUIRE(set.ok());
    CHECK(set->sequences[0].ids == ids);
  }
}

TEST_CASE("tokens: an id of a text is one of the model's", "[tokens]") {
  const TemporaryFolder folder;
  ModelConfig model = tiny_model();
  const std::filesystem::path file = folder.write("text", "One two three");
  const Ids ids = *Tokenizer::read(tiny)->encode_documents("One two three");
  model.vocab_size = *std::max_element(ids.begin(), ids.end()) + 1;
  CHECK(read_tokens({.paths = {file}, .sequence_length = ids.size(), .sequences = 1}, model, tiny)
            .ok());
  --model.vocab_size;
  CHECK(refused(
      read_tokens({.paths = {file}, .sequence_length = ids.size(), .sequences = 1}, model, tiny),
      {"text: sequence 0: token ", "legal: 0 .. " + std::to_string(model.vocab_size - 1)}));
}

TEST_CASE("tokens: files that are no texts", "[tokens]") {
  const TemporaryFolder folder;
  CHECK(refused(read_text(folder.path() / "absent", 1, 1), {"absent: ", "see tokens.path"},
                ExitCode::missing_input));
  const std::filesystem::path file = folder.write("file", "text");
  CHECK(refused(read_text(file / "below", 1, 1), {"below"}, ExitCode::missing_input));
  CHECK(refused(read_text(folder.path(), 1, 1), {"a directory, not a regular file"}));
  REQUIRE(::mkfifo((folder.path() / "fifo").c_str(), 0600) == 0);
  CHECK(refused(read_text(folder.path() / "fifo", 1, 1),
                {"not a regular file"}));  // and does not wait for a writer
  CHECK(refused(read_text("/dev/zero", 1, 1), {"not a regular file"}));
  CHECK(refused(read_text(folder.write("bytes", "abc \xC3\x28 def"), 1, 1), {"bytes: ", "UTF-8"}));
  CHECK(refused(read_text(folder.write("surrogate", "a\xED\xA0\x80"), 1, 1), {"UTF-8"}));
  CHECK(refused(read_text(folder.write("truncated", "a\xE2\x82"), 1, 1), {"UTF-8"}));
  if (::geteuid() != 0) {  // root reads everything
    REQUIRE(::chmod(file.c_str(), 0) == 0);
    CHECK(refused(read_text(file, 1, 1), {"file"}, ExitCode::permission));
  }
  CHECK(refused(
      read_tokens({.paths = {source("data/texts/prose.txt")}, .sequence_length = 1, .sequences = 1},
                  tiny_model(), folder.path()),
      {"vocab.json"}, ExitCode::missing_input));  // a text needs a tokenizer
  CHECK_FALSE(
      refused(read_text(source("data/texts/prose.txt"), 1, 1), {}));  // the checker sees success
}

TEST_CASE("tokens: shuffle permutes each sequence and depends on seed and sequence alone",
          "[tokens]") {
  const TemporaryFolder folder;
  ModelConfig model = small_model();
  model.vocab_size = 200, model.n_positions = 100;
  std::string line = "[";
  for (int i = 0; i < 100; ++i) line += (i == 0 ? "" : ", ") + std::to_string(i);
  line += "]\n";
  const std::filesystem::path file = folder.write("ids", line + line);
  const auto shuffled = [&](std::uint32_t seed, std::size_t sequences = 2) {
    const Result<TokenSet> set = read_tokens({.from_ids = true,
                                              .paths = {file},
                                              .sequence_length = 100,
                                              .sequences = sequences,
                                              .variants = {{.shuffle = seed}}},
                                             model, "");
    REQUIRE(set.ok());
    std::vector<Ids> ids;
    for (const TokenSequence& sequence : set->sequences) ids.push_back(sequence.ids);
    return ids;
  };
  Ids ascending(100);
  std::iota(ascending.begin(), ascending.end(), TokenId{0});
  std::set<Ids> different{ascending};
  for (const std::uint32_t seed : {0U, 1U, 42U}) {
    const std::vector<Ids> once = shuffled(seed);
    CHECK(shuffled(seed) == once);
    CHECK(shuffled(seed, 1)[0] == once[0]);
    for (Ids ids : once) {
      different.insert(ids);
      std::sort(ids.begin(), ids.end());
      CHECK(ids == ascending);
    }
  }
  CHECK(different.size() == 1 + 3 * 2);
}

TEST_CASE("tokens: each sequence in all variants, with identities of their own", "[tokens]") {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.write("ids", "[0, 1, 2, 3]\n[4, 5, 6, 7]\n");
  const auto read = [&](std::vector<TokenVariant> variants) {
    const Result<TokenSet> set = read_tokens({.from_ids = true,
                                              .paths = {file},
                                              .sequence_length = 4,
                                              .sequences = 2,
                                              .variants = std::move(variants)},
                                             small_model(), "");
    REQUIRE(set.ok());
    return set->sequences;
  };
  const std::vector<TokenSequence> plain = read({{}}),
                                   all = read({{}, {.shuffle = 3}, {.identity = "x"}});
  const std::vector<TokenSequence> shuffled = read({{.shuffle = 3}});
  REQUIRE(all.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(all[i].index == i / 3);
    CHECK(all[i].variant == i % 3);
    CHECK(all[i].ids == (i % 3 == 1 ? shuffled : plain)[i / 3].ids);
  }
  CHECK(all[0].id == plain[0].id);
  CHECK(all[1].id == shuffled[0].id);
  CHECK_FALSE(all[2].id == plain[0].id);
}

TEST_CASE("tokens: shuffles are uniform", "[tokens]") {
  // 2400 permutations of 4: a count has mean 100 and variance 100 (1 - 1/24); six sigma.
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.write("ids", "[0, 1, 2, 3]\n");
  std::map<Ids, int> counts;
  for (std::uint32_t seed = 0; seed < 2400; ++seed)
    ++counts[read_tokens({.from_ids = true,
                          .paths = {file},
                          .sequence_length = 4,
                          .sequences = 1,
                          .variants = {{.shuffle = seed}}},
                         small_model(), "")
                 ->sequences[0]
                 .ids];
  CHECK(counts.size() == 24);
  for (const auto& [ids, count] : counts) CHECK(std::abs(count - 100) <= 59);
}

TEST_CASE("tokens: identities", "[tokens]") {
  const TemporaryFolder folder;
  const Result<TokenSet> set = read_ids(folder, "[1, 2, 3]\n[1, 2, 3]\n[1, 2, 4]\n", 3, 3);
  REQUIRE(set.ok());
  std::set<Digest> ids;
  for (const TokenSequence& sequence : set->sequences) ids.insert(sequence.id);
  CHECK(ids.size() == 3);  // the same tokens draw differently in another sequence
  CHECK(read_ids(folder, "[1, 2, 3, 4]", 3, 1)->sequences[0].id == set->sequences[0].id);
  CHECK(set->tokenizer == Digest{});
  CHECK(set->text_contents == std::vector{sha256("[1, 2, 3]\n[1, 2, 3]\n[1, 2, 4]\n")});
  const Result<TokenSet> texts =
      read_tokens({.paths = {source("data/texts/prose.txt"), source("data/texts/code.txt")},
                   .sequence_length = 10,
                   .sequences = 2},
                  tiny_model(), tiny);
  REQUIRE(texts.ok());
  REQUIRE(texts->sequences.size() == 4);
  CHECK((texts->sequences[2].text == 1 && texts->sequences[2].index == 0));
  CHECK(texts->tokenizer == Tokenizer::read(tiny)->content());
}
