// The tokenizer against published ids of GPT-2's, against the plain algorithm on random merges, and
// every bad input.
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/files/tokenizer.hpp"
#include "tests/core/model/files.hpp"
#include "tests/support/random.hpp"

namespace {

using lamp::ExitCode;
using lamp::TokenId;
using lamp::Tokenizer;
using lamp::test::Random;
using lamp::test::says;
using lamp::test::slurp;
using lamp::test::source;
using lamp::test::TemporaryFolder;
using nlohmann::json;
using Ids = std::vector<TokenId>;

Tokenizer gpt2() { return *Tokenizer::read(source("tests/golden/gpt2-tokenizer")); }

/// Symbols of the byte alphabet, found the way GPT-2's encoder.py builds it; index: byte.
std::vector<std::string> alphabet() {
  std::vector<std::string> symbols;
  unsigned next = 256;
  for (unsigned b = 0; b < 256; ++b) {
    const bool kept =
        (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
    const unsigned point = kept ? b : next++;
    std::string symbol;
    if (point < 0x80)
      symbol += static_cast<char>(point);
    else
      symbol += {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 0x3F))};
    symbols.push_back(symbol);
  }
  return symbols;
}

/// The two files of a small tokenizer: 256 bytes, the results of the merges, <|endoftext|>.
struct SmallFiles {
  json vocab = json::object();
  std::vector<std::string> lines{"#version: 0.2"};

  explicit SmallFiles(const std::vector<std::pair<std::string, std::string>>& merges = {
                          {"a", "b"}, {"ab", "c"}}) {
    for (const std::string& symbol : alphabet()) add(symbol);
    for (const auto& [left, right] : merges) {
      lines.push_back(left + " " + right);
      if (!vocab.contains(left + right)) add(left + right);
    }
    add("<|endoftext|>");
  }
  void add(const std::string& token) {
    const std::size_t id = vocab.size();
    vocab[token] = id;
  }
  /// The same as tokenizer.json.
  [[nodiscard]] json document() const {
    json merges = json::array();
    for (std::size_t i = 1; i < lines.size(); ++i) merges.push_back(lines[i]);
    json added = json::array();
    added.push_back({{"id", vocab.at("<|endoftext|>")},
                     {"content", "<|endoftext|>"},
                     {"special", true},
                     {"lstrip", false}});
    return {{"added_tokens", added},
            {"normalizer", nullptr},
            {"pre_tokenizer",
             {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}}},
            {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
  }
  [[nodiscard]] std::string merges(const std::string& end = "\n") const {
    std::string text;
    for (const std::string& line : lines) text += line + end;
    return text;
  }
};

struct Reading {
  TemporaryFolder folder;
  lamp::Result<Tokenizer> tokenizer;
  Reading(std::string_view vocab, std::string_view merges)
      : tokenizer((folder.write("vocab.json", vocab), folder.write("merges.txt", merges),
                   Tokenizer::read(folder.path()))) {}
  explicit Reading(const SmallFiles& files) : Reading(files.vocab.dump(), files.merges()) {}
};

struct JsonReading {
  TemporaryFolder folder;
  lamp::Result<Tokenizer> tokenizer;
  explicit JsonReading(const json& document)
      : tokenizer(
            (folder.write("tokenizer.json", document.dump()), Tokenizer::read(folder.path()))) {}
};

/// The two files of a folder as tokenizer.json; merges as pairs, or as text.
json as_tokenizer_json(const std::string& folder, bool pairs) {
  SmallFiles files;
  files.vocab = json::parse(slurp(source(folder + "/vocab.json")));
  std::istringstream merges(slurp(source(folder + "/merges.txt")));
  files.lines.clear();
  for (std::string line; std::getline(merges, line);) files.lines.push_back(line);
  if (!files.lines[0].starts_with("#version")) files.lines.insert(files.lines.begin(), "");
  json document = files.document();
  if (pairs)
    for (json& merge : document["model"]["merges"]) {
      const auto text = merge.get<std::string>();
      merge = json{text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)};
    }
  return document;
}

template <class AnyReading>
bool refused(const AnyReading& reading, std::initializer_list<std::string_view> words) {
  return !reading.tokenizer && says(reading.tokenizer.error(), ExitCode::bad_data, words);
}

/// The plain algorithm: while some adjacent pair has a rank, merge every occurrence of the lowest,
/// left to right.
std::vector<std::string> plain_merges(
    std::string_view word, const std::map<std::pair<std::string, std::string>, int>& ranks) {
  std::vector<std::string> parts;
  for (const char c : word) parts.emplace_back(1, c);
  for (;;) {
    auto best = ranks.end();
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks.find({parts[i], parts[i + 1]});
      if (found != ranks.end() && (best == ranks.end() || found->second < best->second))
        best = found;
    }
    if (best == ranks.end()) return parts;
    std::vector<std::string> merged;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const bool here = i + 1 < parts.size() && std::pair(parts[i], parts[i + 1]) == best->first;
      merged.push_back(here ? parts[i] + parts[i + 1] : parts[i]);
      i += here ? 1U : 0U;
    }
    parts = std::move(merged);
  }
}

}  // namespace

TEST_CASE("tokenizer: GPT-2's published ids, both ways", "[model][tokenizer][golden]") {
  const Tokenizer tokenizer = gpt2();
  CHECK(tokenizer.vocab_size() == 50257);
  CHECK(tokenizer.end_of_text() == TokenId{50256});
  std::ifstream lines(source("tests/golden/gpt2-tokenizer/golden.jsonl"));
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const json golden = json::parse(line);
    const auto text = golden.at("text").get<std::string>();
    const Ids expected = golden.at("ids").get<Ids>();
    const auto ids = tokenizer.encode(text);
    INFO(text);
    REQUIRE(ids);
    CHECK(*ids == expected);
    CHECK(*tokenizer.decode(expected) == text);
  }
  CHECK(count == 310);
  CHECK(*tokenizer.encode("Hello world") !=
        *tokenizer.encode("Hello  world"));  // the comparison can fail
}

TEST_CASE("tokenizer: white space is Unicode's White_Space", "[model][tokenizer]") {
  // Before a letter, two white space characters are two words, two symbols are one word: in which a
  // merge of the last byte of the one with the first byte of the other happens. U+180E is no white
  // space since Unicode 6.3, though PCRE2's \s has it.
  const std::vector<std::string> symbols = alphabet();
  const std::vector<std::pair<std::string, bool>> characters{
      {"\t", true},      {"\v", true},     {"\u0085", true},  {"\u00a0", true},
      {"\u1680", true},  {"\u2003", true}, {"\u2028", true},  {"\u202f", true},
      {"\u205f", true},  {"\u3000", true}, {"\u180e", false}, {"\u200b", false},
      {"\u2060", false}, {"\x1c", false},  {"\x1f", false},   {"\x08", false}};
  for (const auto& [character, space] : characters) {
    const auto symbol = [&](char c) { return symbols[static_cast<unsigned char>(c)]; };
    const Reading reading(SmallFiles({{symbol(character.back()), symbol(character.front())}}));
    REQUIRE(reading.tokenizer);
    INFO(character << " first byte " << static_cast<int>(static_cast<unsigned char>(character[0])));
    CHECK(reading.tokenizer->encode(character + character + "a")->size() ==
          2 * character.size() + (space ? 1 : 0));
    const Reading after_symbol(SmallFiles({{"!", symbol(character.front())}}));
    CHECK(after_symbol.tokenizer->encode("!" + character)->size() ==
          character.size() + (space ? 1 : 0));
  }
}

TEST_CASE("tokenizer: shipped models and texts survive the round trip", "[model][tokenizer]") {
  for (const char* const model : {"data/models/gpt2-tiny", "data/models/gpt2-nano"}) {
    const auto tokenizer = Tokenizer::read(source(model));
    REQUIRE(tokenizer);
    CHECK(tokenizer->vocab_size() == 4096);
    CHECK(tokenizer->end_of_text() == TokenId{4095});
    for (const char* const name : {"prose.txt", "science.txt", "code.txt"}) {
      const std::string text = slurp(source(std::string("data/texts/") + name));
      const auto ids = tokenizer->encode(text);
      REQUIRE(ids);
      CHECK(ids->size() < text.size() / 2);
      CHECK(*tokenizer->decode(*ids) == text);
      CHECK(*tokenizer->decode(*tokenizer->encode(text, true)) == text);
    }
  }
}

TEST_CASE("tokenizer: merges as the plain algorithm does, for any merges",
          "[model][tokenizer][law]") {
  Random random(11);
  const std::string letters = "abc";
  for (int table = 0; table < 60; ++table) {
    std::vector<std::string> known{"a", "b", "c"};
    std::vector<std::pair<std::string, std::string>> merges;
    for (int k = 0; k < 12; ++k) {
      const std::pair pair{known[random.below(static_cast<std::uint32_t>(known.size()))],
                           known[random.below(static_cast<std::uint32_t>(known.size()))]};
      if (std::find(merges.begin(), merges.end(), pair) != merges.end() ||
          pair.first.size() + pair.second.size() > 8)
        continue;
      merges.push_back(pair);
      known.push_back(pair.first + pair.second);
    }
    // In an order of their own: a merge may come before the one that makes its half, which no
    // training gives.
    for (std::size_t k = merges.size(); k > 1; --k)
      std::swap(merges[k - 1], merges[random.below(static_cast<std::uint32_t>(k))]);
    std::map<std::pair<std::string, std::string>, int> ranks;
    for (const auto& merge : merges) ranks.emplace(merge, static_cast<int>(ranks.size()));
    const SmallFiles files(merges);
    const Reading reading(files);
    REQUIRE(reading.tokenizer);
    for (int trial = 0; trial < 50; ++trial) {
      std::string word;
      for (std::uint32_t n = 1 + random.below(40); n > 0; --n) word += letters[random.below(3)];
      Ids expected;
      for (const std::string& part : plain_merges(word, ranks))
        expected.push_back(files.vocab.at(part).get<TokenId>());
      INFO("table " << table << ", word " << word);
      REQUIRE(*reading.tokenizer->encode(word) == expected);
    }
  }
}

TEST_CASE("tokenizer: NUL bytes, every byte and long words", "[model][tokenizer]") {
  const Tokenizer tokenizer = gpt2();
  const std::string nul("a\0b\0\0", 5);
  CHECK(*tokenizer.decode(*tokenizer.encode(nul)) == nul);
  for (const std::string& unit : {std::string("a"), std::string(" "), std::string("ab"),
                                  std::string("\u00e9"), std::string("!?")}) {
    std::string text;
    while (text.size() < 400'000) text += unit;
    const auto start = std::chrono::steady_clock::now();
    const auto ids = tokenizer.encode(text);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    REQUIRE(ids);
    CHECK(*tokenizer.decode(*ids) == text);
    CHECK(taken.count() < 10.0);  // n log n takes well below a second, n^2 minutes
  }
}

TEST_CASE("tokenizer: end of text only where it is asked for", "[model][tokenizer]") {
  const Tokenizer tokenizer = gpt2();
  const TokenId end = 50256;
  const auto id = [&](std::string_view text) { return tokenizer.encode(text)->at(0); };
  const TokenId a = id("a"), b = id("b"), newline = id("\n");
  CHECK(tokenizer.encode("a<|endoftext|>b")->size() == 9);
  CHECK(*tokenizer.encode("a<|endoftext|>b", true) == Ids{a, end, b});
  CHECK(*tokenizer.encode("<|endoftext|><|endoftext|>", true) == Ids{end, end});
  CHECK(*tokenizer.encode("\n<|endoftext|>\n", true) == Ids{newline, end, newline});
  CHECK(*tokenizer.decode(Ids{a, end, b}) == "a<|endoftext|>b");

  const auto documents = [&](std::string_view text) { return *tokenizer.encode_documents(text); };
  CHECK(documents("") == Ids{});
  CHECK(documents("a\nb") == *tokenizer.encode("a\nb"));
  CHECK(documents("a\n<|endoftext|>\nb") == Ids{a, end, b});
  CHECK(documents("<|endoftext|>\nb") == Ids{end, b});
  CHECK(documents("a\n<|endoftext|>") == Ids{a, end});
  CHECK(documents("<|endoftext|>") == Ids{end});
  CHECK(documents("\n<|endoftext|>\n") == Ids{end});
  CHECK(documents("a\n<|endoftext|>\n<|endoftext|>\nb") == Ids{a, end, end, b});
  CHECK(documents("a\n\n<|endoftext|>\n\nb") == Ids{a, newline, end, newline, b});
  for (const char* const plain : {"a<|endoftext|>b", "a\n<|endoftext|> \nb", " <|endoftext|>",
                                  "<|endoftext|>\r\nb", "\n<|endoftext|><|endoftext|>\n"})
    CHECK(documents(plain) == *tokenizer.encode(plain));
}

TEST_CASE("tokenizer: bad texts and ids are named by their place",
          "[model][tokenizer][bad-input]") {
  const Tokenizer tokenizer = gpt2();
  const std::vector<std::pair<std::string, std::string>> texts{
      {"abc\xFF", "byte offset 3"},          {"\xC3", "byte offset 0"},
      {"ab\xC0\x80", "byte offset 2"},       {"x\xED\xA0\x80", "byte offset 1"},
      {"\xF4\x90\x80\x80", "byte offset 0"}, {"\u00e9\xE2\x82", "byte offset 2"},
      {"\xE0\x80\x80", "offset 0"},          {"\xF0\x80\x80\x80", "offset 0"}};
  for (const auto& [text, place] : texts) {
    for (const auto& ids :
         {tokenizer.encode(text), tokenizer.encode(text, true), tokenizer.encode_documents(text)}) {
      REQUIRE_FALSE(ids);
      CHECK(says(ids.error(), ExitCode::bad_data, {"not UTF-8", place}));
    }
  }
  const auto text = tokenizer.decode(Ids{1, 2, 50257});
  REQUIRE_FALSE(text);
  CHECK(says(text.error(), ExitCode::bad_data, {"token 2 has id 50257", "legal: 0 to 50256"}));
  SmallFiles files;
  files.vocab.erase("<|endoftext|>");
  const Reading reading(files);
  REQUIRE(reading.tokenizer);
  CHECK_FALSE(reading.tokenizer->end_of_text().has_value());
  CHECK(reading.tokenizer->encode("<|endoftext|>"));
  const auto ids = reading.tokenizer->encode("ab<|endoftext|>", true);
  REQUIRE_FALSE(ids);
  CHECK(says(ids.error(), ExitCode::bad_data, {"byte offset 2", "no such token"}));
}

TEST_CASE("tokenizer: the version line is optional, the content is not the file",
          "[model][tokenizer]") {
  SmallFiles files;
  const Reading with(files);
  REQUIRE(with.tokenizer);
  files.lines.erase(files.lines.begin());
  const Reading without(files);
  REQUIRE(without.tokenizer);  // and its first merge is not lost
  const Reading unended(files.vocab.dump(2), files.merges().substr(0, files.merges().size() - 1));
  REQUIRE(unended.tokenizer);
  const TokenId abc = files.vocab.at("abc").get<TokenId>();
  for (const Reading* const reading : {&with, &without, &unended}) {
    CHECK(*reading->tokenizer->encode("abc") == Ids{abc});
    CHECK(reading->tokenizer->content() == with.tokenizer->content());
  }
  const Reading other(SmallFiles({{"a", "b"}, {"b", "c"}, {"ab", "c"}}));
  REQUIRE(other.tokenizer);
  CHECK(other.tokenizer->content() != with.tokenizer->content());
}

TEST_CASE("tokenizer: a wrong vocab.json", "[model][tokenizer][bad-input]") {
  const SmallFiles good;
  const auto changed = [&](auto change) {
    SmallFiles files;
    change(files);
    return Reading(files);
  };
  CHECK(refused(changed([](auto& f) { f.vocab["abc"] = 5; }),
                {"vocab.json", "id 5 is given to", "\"abc\"", "legal: once"}));
  CHECK(refused(changed([](auto& f) { f.vocab["abc"] = 900; }),
                {"no token has id 257", "\"abc\" is 900", "0 to 258"}));
  CHECK(refused(changed([](auto& f) { f.vocab["abc"] = -1; }), {"id of \"abc\" is not one"}));
  CHECK(refused(changed([](auto& f) { f.vocab["abc"] = "7"; }), {"id of \"abc\" is not one"}));
  CHECK(refused(changed([](auto& f) { f.vocab.erase("Z"), f.vocab["ZZ"] = 'Z'; }),
                {"token \"ZZ\"", "none of the 2 merges"}));
  CHECK(refused(changed([](auto& f) { f.add("\u4e00"); }),
                {"\"\u4e00\"", "outside GPT-2's byte alphabet"}));
  CHECK(refused(changed([](auto& f) { f.add("a b"); }), {"\"a b\"", "outside"}));
  CHECK(refused(changed([](auto& f) { f.add(""); }), {"the empty token"}));
  CHECK(refused(changed([](auto& f) { f.add("xyz"); }),
                {"token \"xyz\" (id 259)", "none of the 2 merges", "files of one model"}));
  CHECK(
      refused(Reading("{\"a\":0,\"a\":1}", good.merges()), {"vocab.json", "\"a\" is given twice"}));
  CHECK(refused(Reading("[]", good.merges()), {"holds no tokens"}));
  CHECK(refused(Reading("{}", good.merges()), {"holds no tokens"}));
  CHECK(refused(Reading("", good.merges()), {"not JSON"}));
  CHECK(refused(Reading("\xEF\xBB\xBF{}", good.merges()), {"byte order mark"}));
}

TEST_CASE("tokenizer: a wrong merges.txt", "[model][tokenizer][bad-input]") {
  const SmallFiles good;
  const auto line = [&](const std::string& text) {
    SmallFiles files;
    files.lines.push_back(text);
    return Reading(files);
  };
  CHECK(refused(Reading(good.vocab.dump(), good.merges("\r\n")),
                {"merges.txt:1", "CR LF", "sed -i"}));
  CHECK(refused(line("x y"), {"merges.txt:4", "result \"xy\"", "no token", "files of one model"}));
  CHECK(refused(line("xy z"), {"merges.txt:4", "half \"xy\""}));
  CHECK(refused(line("a"), {"merges.txt:4", "\"a\"", "one space between"}));
  CHECK(refused(line(""), {"merges.txt:4", "one space between"}));
  CHECK(refused(line("a b c"), {"merges.txt:4", "one space between"}));
  CHECK(refused(line("a  b"), {"merges.txt:4", "one space between"}));
  CHECK(refused(line(" b"), {"merges.txt:4", "one space between"}));
  CHECK(refused(line("a b"), {"merges.txt:4", "\"a b\" is given twice"}));
  CHECK(refused(line("#version: 0.2"), {"merges.txt:4"}));
  CHECK(refused(line("a \xFF"), {"merges.txt", "not UTF-8"}));
  CHECK(refused(Reading(good.vocab.dump(), ""),
                {"token \"ab\" (id 256)", "none of the 0 merges"}));  // cut short
  CHECK(refused(Reading(good.vocab.dump(), "#version: 0.2\na b\n"),
                {"token \"abc\"", "none of the 1 merges"}));
}

TEST_CASE("tokenizer: missing files", "[model][tokenizer][bad-input]") {
  const TemporaryFolder folder;
  const auto nothing = Tokenizer::read(folder.path());
  REQUIRE_FALSE(nothing);
  CHECK(says(nothing.error(), ExitCode::missing_input, {"vocab.json"}));
  folder.write("vocab.json", SmallFiles().vocab.dump());
  const auto half = Tokenizer::read(folder.path());
  REQUIRE_FALSE(half);
  CHECK(says(half.error(), ExitCode::missing_input, {"merges.txt", "No such file"}));
}

TEST_CASE("tokenizer: tokenizer.json is the same tokenizer", "[model][tokenizer]") {
  for (const bool pairs : {false, true}) {
    const TemporaryFolder folder;
    folder.write("tokenizer.json", as_tokenizer_json("tests/golden/gpt2-tokenizer", pairs).dump());
    const auto read = Tokenizer::read(folder.path());
    REQUIRE(read);
    CHECK(read->content() == gpt2().content());
    CHECK(read->end_of_text() == TokenId{50256});
    for (const char* const text : {"Hello  world's 12 \u00e9", "a<|endoftext|>b", ""})
      CHECK(*read->encode(text, true) == *gpt2().encode(text, true));
  }
}

TEST_CASE("tokenizer: how words are cut", "[model][tokenizer]") {
  // Words are told apart by a merge that the cut forbids: of "1" with "2", of "a" with "1".
  const auto ids = [](const json& pre_tokenizer, const std::string& text) {
    json file = SmallFiles({{"1", "2"}, {"12", "3"}, {"a", "1"}, {"\u0120", "\u0120"}}).document();
    file["pre_tokenizer"] = pre_tokenizer;
    const JsonReading reading(file);
    if (!reading.tokenizer) FAIL(reading.tokenizer.error().message);
    return reading.tokenizer->encode(text)->size();
  };
  const json byte_level{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  json bytes_only = byte_level;
  bytes_only["use_regex"] = false;
  const auto digits = [](bool individual) {
    return json{{"type", "Digits"}, {"individual_digits", individual}};
  };
  const auto split = [](const std::string& expression) {
    return json{{"type", "Split"},
                {"pattern", {{"Regex", expression}}},
                {"behavior", "Isolated"},
                {"invert", false}};
  };
  const auto sequence = [](const std::vector<json>& steps) {
    return json{{"type", "Sequence"}, {"pretokenizers", steps}};
  };
  CHECK(ids(nullptr, "a123") == 2);      // a 123: merges of lowest rank come first
  CHECK(ids(nullptr, "a12a1") == 3);     // a 12 a1
  CHECK(ids(byte_level, "a12a1") == 4);  // a, 12, a, 1
  CHECK(ids(bytes_only, "a12a1") == 3);  // not cut
  CHECK(ids(sequence({digits(true), byte_level}), "a123") == 4);              // each digit
  CHECK(ids(sequence({digits(true), bytes_only}), "a1") == 2);                // a, 1
  CHECK(ids(sequence({digits(false), byte_level}), "a123") == 2);             // a, 123
  CHECK(ids(sequence({split(R"(\p{N}{1,2})"), bytes_only}), "a123") == 3);    // a, 12, 3
  CHECK(ids(sequence({split(R"(\s+(?!\S)|\s+)"), bytes_only}), "  a") == 3);  // " ", " ", a
  CHECK(ids(sequence({split(R"([^\s]+)"), bytes_only}), "  a") == 2);         // "  ", a
  CHECK(ids(sequence({split("x*"), bytes_only}), "a12") == 2);  // an empty match cuts nothing
}

TEST_CASE("tokenizer: added tokens", "[model][tokenizer]") {
  json file = SmallFiles().document();
  const TokenId end = file["model"]["vocab"]["<|endoftext|>"], first = end + 1;
  const auto add = [&](const std::string& content, bool special,
                       const json& more = json::object()) {
    json token{
        {"id", end + file["added_tokens"].size()}, {"content", content}, {"special", special}};
    token.update(more);
    file["added_tokens"].push_back(token);
  };
  add("<pad>", true);
  add("ab ab", false);
  add("<pad><pad>", true);
  add("<mask>", true, {{"lstrip", true}});
  add("\u4e00", false);
  const JsonReading reading(file);
  if (!reading.tokenizer) FAIL(reading.tokenizer.error().message);
  const Tokenizer& t = *reading.tokenizer;
  CHECK(t.vocab_size() == first + 5);
  const TokenId ab = file["model"]["vocab"]["ab"];
  CHECK(*t.encode("ab ab") == Ids{first + 1});  // found unasked
  CHECK(*t.encode("abab ab\u4e00") == Ids{ab, first + 1, first + 4});
  CHECK(*t.encode("<pad>", true) == Ids{first});
  CHECK(*t.encode("<pad><pad><pad>", true) == Ids{first + 2, first});  // the longest, then on
  CHECK(t.encode("<pad>")->size() == 5);         // a special one only asked for
  CHECK(t.encode("<mask>", true)->size() == 6);  // would take a blank: never
  CHECK(*t.decode(Ids{first, first + 1, first + 4}) == "<pad>ab ab\u4e00");
  CHECK(*t.encode_documents("ab\n<|endoftext|>\nab ab") == Ids{ab, end, first + 1});
  file["added_tokens"][1]["special"] = false;  // what a text becomes is part of the content
  CHECK(t.content() != JsonReading(file).tokenizer->content());
}

TEST_CASE("tokenizer: special tokens beside vocab.json", "[model][tokenizer]") {
  SmallFiles files;
  for (const char* const name : {"<s>", "<pad>", "[MASK]"}) files.add(name);
  const TokenId first = files.vocab["<s>"];
  const Reading reading(files);
  if (!reading.tokenizer) FAIL(reading.tokenizer.error().message);
  CHECK(*reading.tokenizer->encode("<s>[MASK]", true) == Ids{first, first + 2});
  CHECK(*reading.tokenizer->decode(Ids{first + 1}) == "<pad>");

  const TemporaryFolder folder;
  const SmallFiles plain;
  folder.write("vocab.json", plain.vocab.dump()), folder.write("merges.txt", plain.merges());
  folder.write("added_tokens.json", json{{"a user", plain.vocab.size()}}.dump());
  const auto added = Tokenizer::read(folder.path());
  REQUIRE(added);
  CHECK(*added->encode("a user", true) == Ids{static_cast<TokenId>(plain.vocab.size())});
  folder.write("added_tokens.json", json{{"a user", -1}}.dump());
  const auto wrong = Tokenizer::read(folder.path());
  REQUIRE_FALSE(wrong);
  CHECK(says(wrong.error(), ExitCode::bad_data, {"added_tokens.json", "id of \"a user\""}));
}

TEST_CASE("tokenizer: a vocabulary without some bytes refuses texts that have them",
          "[model][tokenizer][bad-input]") {
  json file = SmallFiles().document();
  json& vocabulary = file["model"]["vocab"];
  const TokenId id = vocabulary["Z"];
  vocabulary.erase("Z");
  vocabulary["<|endoftext|>"] = id;  // no gap
  file["added_tokens"][0]["id"] = id;
  const JsonReading reading(file);
  if (!reading.tokenizer) FAIL(reading.tokenizer.error().message);
  CHECK(reading.tokenizer->encode("abc"));
  const auto ids = reading.tokenizer->encode("ab cZ");
  REQUIRE_FALSE(ids);
  CHECK(says(ids.error(), ExitCode::bad_data, {"byte offset 4", "\"Z\"", "no token"}));
}

TEST_CASE("tokenizer: words that are tokens, whatever the merges", "[model][tokenizer]") {
  json file = SmallFiles().document();
  file["model"]["vocab"]["whole"] = file["model"]["vocab"].size();
  CHECK(refused(JsonReading(file), {"\"whole\"", "none of the 2 merges"}));
  file["model"]["ignore_merges"] = true;
  const JsonReading reading(file);
  REQUIRE(reading.tokenizer);
  CHECK(*reading.tokenizer->encode("whole") == Ids{file["model"]["vocab"]["whole"].get<TokenId>()});
  CHECK(reading.tokenizer->encode("wholes")->size() == 6);
}

TEST_CASE("tokenizer: a wrong tokenizer.json", "[model][tokenizer][bad-input]") {
  const auto changed = [](auto change) {
    json file = SmallFiles().document();
    change(file);
    return JsonReading(file);
  };
  const auto step = [&](const json& pre_tokenizer) {
    return changed([&](json& f) { f["pre_tokenizer"] = pre_tokenizer; });
  };
  using Words = std::initializer_list<std::string_view>;
  CHECK(refused(changed([](json& f) { f = json::array(); }), Words{"tokenizer.json: holds"}));
  CHECK(refused(changed([](json& f) { f = json::object(); }), Words{"model.type"}));
  CHECK(refused(changed([](json& f) { f["model"]["type"] = "Unigram"; }),
                Words{"model.type: is \"Unigram\"; legal: \"BPE\""}));
  CHECK(refused(changed([](json& f) { f["model"]["dropout"] = 0.1; }), Words{"model.dropout"}));
  CHECK(refused(changed([](json& f) { f["model"]["byte_fallback"] = true; }),
                Words{"model.byte_fallback"}));
  CHECK(refused(changed([](json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }),
                Words{"model.end_of_word_suffix: is \"</w>\""}));
  CHECK(refused(changed([](json& f) {
                  f["normalizer"] = {{"type", "NFC"}};
                }),
                Words{"normalizer: is of type \"NFC\""}));
  CHECK(refused(changed([](json& f) { f["model"]["vocab"] = json::array(); }), Words{"no tokens"}));
  CHECK(refused(changed([](json& f) { f["model"].erase("merges"); }), Words{"model.merges"}));
  CHECK(refused(changed([](json& f) { f["model"]["merges"].push_back("a"); }),
                Words{"merge 2: \"a\""}));
  CHECK(refused(changed([](json& f) {
                  f["model"]["merges"].push_back({"a", 1});
                }),
                Words{"merge 2: "}));
  CHECK(refused(changed([](json& f) { f["model"]["merges"].push_back("a b"); }),
                Words{"merge 2: merge \"a b\" is given twice"}));
  CHECK(refused(changed([](json& f) { f["model"]["merges"].push_back("x y"); }),
                Words{"merge 2: result \"xy\""}));
  CHECK(refused(changed([](json& f) {
                  f["model"]["vocab"]["\u0120a"] = f["model"]["vocab"].size();
                  f["model"]["merges"].push_back("\u0120 a");
                  f["added_tokens"].push_back(
                      {{"id", f["model"]["vocab"]["\u0120a"]}, {"content", "\u0120a"}});
                }),
                Words{"merge 2: ", "of an added token, which stands for itself"}));
  CHECK(refused(changed([](json& f) { f["added_tokens"] = 3; }), Words{"added_tokens: is 3"}));
  CHECK(refused(changed([](json& f) { f["added_tokens"][0].erase("id"); }),
                Words{"added_tokens: holds"}));
  CHECK(refused(changed([](json& f) { f["added_tokens"][0]["id"] = 3; }),
                Words{"added token \"<|endoftext|>\" has id 3", "in the vocabulary 258"}));
  CHECK(refused(changed([](json& f) {
                  f["added_tokens"].push_back({{"id", 16777216}, {"content", "x"}});
                }),
                Words{"added_tokens: holds"}));
  CHECK(refused(changed([](json& f) {
                  f["added_tokens"].push_back({{"id", 300}, {"content", "<x>"}});
                }),
                Words{"no token has id 259", "0 to 259"}));
  CHECK(refused(changed([](json& f) {
                  f["added_tokens"].push_back(
                      {{"id", 259}, {"content", "x y"}, {"special", false}, {"rstrip", true}});
                }),
                Words{"\"x y\" has rstrip", "special tokens only"}));
  CHECK(refused(step({{"type", "Metaspace"}}), Words{"pre_tokenizer: is of type \"Metaspace\""}));
  CHECK(refused(step({{"type", "ByteLevel"}, {"add_prefix_space", true}}),
                Words{"add_prefix_space: is true"}));
  CHECK(refused(step({{"type", "Sequence"}}), Words{"pre_tokenizer.pretokenizers"}));
  CHECK(refused(step({{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "Isolated"}}),
                Words{"pattern.Regex"}));
  CHECK(refused(step({{"type", "Split"}, {"pattern", {{"Regex", " "}}}, {"behavior", "Removed"}}),
                Words{"\"Isolated\""}));
  CHECK(refused(step({{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}}),
                Words{"\"(a\" is not a pattern that PCRE2 reads"}));
  CHECK(refused(
      step({{"type", "Split"}, {"pattern", {{"Regex", "[\\S]"}}}, {"behavior", "Isolated"}}),
      Words{"\\S in a class"}));
}

TEST_CASE("tokenizer: cut or mutated files are refused or read, never more",
          "[model][tokenizer][bad-input]") {
  const std::string good = SmallFiles().document().dump();
  Random random(5);
  std::size_t read = 0;
  for (int trial = 0; trial < 300; ++trial) {
    std::string bytes = good;
    if (trial % 3 == 0) bytes.resize(random.below(static_cast<std::uint32_t>(bytes.size())));
    for (std::uint32_t k = random.below(4); k > 0 && !bytes.empty(); --k)
      bytes[random.below(static_cast<std::uint32_t>(bytes.size()))] =
          static_cast<char>(random.word());
    const TemporaryFolder folder;
    folder.write("tokenizer.json", bytes);
    const auto tokenizer = Tokenizer::read(folder.path());
    if (tokenizer) {
      ++read;
      static_cast<void>(tokenizer->encode("abc <pad> 12"));
    } else {
      CHECK(tokenizer.error().code == ExitCode::bad_data);
      CHECK(tokenizer.error().message.find("tokenizer.json") != std::string::npos);
      CHECK(tokenizer.error().message.find('\n') == std::string::npos);
    }
  }
  CHECK(read > 30);
}
