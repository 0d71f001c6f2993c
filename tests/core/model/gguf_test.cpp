// GGUF: blocks against the numbers they stand for, files built byte by byte and spoilt, and models
// in them in the terms of a network.
#include "core/model/files/gguf.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "core/model/files/gguf_model.hpp"
#include "core/model/files/tokenizer.hpp"
#include "tests/core/model/files.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace {

using lamp::ExitCode;
using lamp::Gguf;
using lamp::GgufModel;
using lamp::test::Random;
using lamp::test::says;
using lamp::test::TemporaryFolder;

template <class T>
std::string raw(T x) {
  std::string bytes(sizeof x, '\0');
  std::memcpy(bytes.data(), &x, sizeof x);
  return bytes;
}
std::string text(std::string_view x) { return raw(std::uint64_t{x.size()}) + std::string(x); }

// Values of the metadata behind their types.
std::string u32(std::uint32_t x) { return raw(std::uint32_t{4}) + raw(x); }
std::string f32(float x) { return raw(std::uint32_t{6}) + raw(x); }
std::string string(std::string_view x) { return raw(std::uint32_t{8}) + text(x); }
std::string list(std::uint32_t of, std::uint64_t count, std::string_view elements) {
  return raw(std::uint32_t{9}) + raw(of) + raw(count) + std::string(elements);
}
std::string strings(const std::vector<std::string>& all) {
  std::string elements;
  for (const std::string& one : all) elements += text(one);
  return list(8, all.size(), elements);
}

constexpr std::uint32_t type_f32 = 0, type_q4_0 = 2;

/// A file, part by part, to be spoilt.
struct File {
  std::vector<std::pair<std::string, std::string>> metadata;
  struct OneTensor {
    std::string name;
    std::vector<std::uint64_t> extents;  // as in the file: the first are neighbours
    std::uint32_t type;
    std::string bytes;
    std::uint64_t offset = ~std::uint64_t{0};  // of its own where it is not this
  };
  std::vector<OneTensor> tensors;
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t extra_tensors = 0, extra_entries = 0, alignment = 32;

  [[nodiscard]] std::string bytes() const {
    std::string head = magic + raw(version) + raw(tensors.size() + extra_tensors) +
                       raw(metadata.size() + extra_entries);
    for (const auto& [key, value] : metadata) head += text(key) + value;
    std::string data;
    for (const OneTensor& t : tensors) {
      const bool own = t.offset == ~std::uint64_t{0};
      head += text(t.name) + raw(static_cast<std::uint32_t>(t.extents.size()));
      for (const std::uint64_t extent : t.extents) head += raw(extent);
      head += raw(t.type) + raw(own ? std::uint64_t{data.size()} : t.offset);
      data += t.bytes;
      data.resize((data.size() + alignment - 1) / alignment * alignment);
    }
    head.resize((head.size() + alignment - 1) / alignment * alignment);
    return head + data;
  }
  void add(const std::string& name, std::vector<std::uint64_t> extents, Random& random) {
    std::uint64_t size = 1;
    for (const std::uint64_t extent : extents) size *= extent;
    std::string values;
    for (std::uint64_t i = 0; i < size; ++i) values += raw(static_cast<float>(random.symmetric()));
    tensors.push_back({name, std::move(extents), type_f32, values});
  }
};

/// The number of an element of a tensor of binary32 numbers.
float element(const File::OneTensor& tensor, std::size_t i) {
  float x = 0.0F;
  std::memcpy(&x, &tensor.bytes[4 * i], sizeof x);
  return x;
}

/// A GPT-2 as llama.cpp writes it: linear weights (out, in).
File small_gpt2() {
  Random random(5);
  File file;
  file.metadata = {{"general.architecture", string("gpt2")},
                   {"gpt2.context_length", u32(7)},
                   {"gpt2.embedding_length", u32(4)},
                   {"gpt2.block_count", u32(1)},
                   {"gpt2.attention.head_count", u32(2)},
                   {"gpt2.feed_forward_length", u32(6)},
                   {"gpt2.attention.layer_norm_epsilon", f32(1e-5F)}};
  file.add("token_embd.weight", {4, 5}, random), file.add("position_embd.weight", {4, 7}, random);
  file.add("output_norm.weight", {4}, random), file.add("output_norm.bias", {4}, random);
  for (const auto& [name, in, out] :
       {std::tuple{"attn_qkv", 4, 12}, std::tuple{"attn_output", 4, 4}, std::tuple{"ffn_up", 4, 6},
        std::tuple{"ffn_down", 6, 4}}) {
    const auto rows = static_cast<std::uint64_t>(out);
    file.add("blk.0." + std::string(name) + ".weight", {static_cast<std::uint64_t>(in), rows},
             random);
    file.add("blk.0." + std::string(name) + ".bias", {rows}, random);
  }
  for (const char* const name : {"attn_norm", "ffn_norm"})
    for (const char* const part : {".weight", ".bias"})
      file.add("blk.0." + std::string(name) + part, {4}, random);
  return file;
}

template <class Change>
bool refused(Change change, std::initializer_list<std::string_view> words) {
  File file = small_gpt2();
  change(file);
  const TemporaryFolder folder;
  const auto opened = GgufModel::open(folder.write("x.gguf", file.bytes()));
  return !opened && says(opened.error(), ExitCode::bad_data, words);
}

// Blocks: codes first, then their bytes and, by another way, their numbers: products and sums in
// binary64, where all are exact, and one rounding.

struct Blocks {
  std::string bytes;
  std::vector<double> numbers;
};

/// Sign, exponent 2^-14 to 2^1 and fraction of a binary16 number: its code and its value.
std::pair<std::uint16_t, double> half(Random& random) {
  const std::uint32_t sign = random.below(2), exponent = 1 + random.below(16),
                      fraction = random.below(1024);
  const double value = std::ldexp(1024.0 + fraction, static_cast<int>(exponent) - 25);
  return {static_cast<std::uint16_t>(sign << 15 | exponent << 10 | fraction),
          sign != 0 ? -value : value};
}

Blocks blocks_of(std::string_view type, std::size_t count, Random& random) {
  Blocks made;
  for (std::size_t b = 0; b < count; ++b) {
    const auto [d_code, d] = half(random);
    const auto [m_code, m] = half(random);
    if (type == "F16") {
      made.bytes += raw(d_code), made.numbers.push_back(d);
    } else if (type == "Q8_0") {
      made.bytes += raw(d_code);
      for (int i = 0; i < 32; ++i) {
        const int q = static_cast<int>(random.below(256)) - 128;
        made.bytes += raw(static_cast<std::int8_t>(q)), made.numbers.push_back(q * d);
      }
    } else if (type == "Q4_0" || type == "Q4_1") {
      std::array<int, 32> q{};
      for (int& code : q) code = static_cast<int>(random.below(16));
      made.bytes += raw(d_code) + (type == "Q4_1" ? raw(m_code) : "");
      for (std::size_t i = 0; i < 16; ++i) made.bytes += static_cast<char>(q[i] + 16 * q[i + 16]);
      for (const int code : q)
        made.numbers.push_back(type == "Q4_1" ? code * d + m : (code - 8) * d);
    } else {  // Q6_K, by the four parts of each half that share bytes
      std::array<int, 256> q{};
      std::array<int, 16> s{};
      for (int& code : q) code = static_cast<int>(random.below(64));
      for (int& scale : s) scale = static_cast<int>(random.below(256)) - 128;
      std::string low(128, '\0'), high(64, '\0'), scales;
      for (std::size_t h = 0; h < 2; ++h)
        for (std::size_t i = 0; i < 32; ++i) {
          const auto part = [&](std::size_t p) { return q[128 * h + 32 * p + i]; };
          low[64 * h + i] = static_cast<char>(part(0) % 16 + 16 * (part(2) % 16));
          low[64 * h + 32 + i] = static_cast<char>(part(1) % 16 + 16 * (part(3) % 16));
          high[32 * h + i] = static_cast<char>(part(0) / 16 + 4 * (part(1) / 16) +
                                               16 * (part(2) / 16) + 64 * (part(3) / 16));
        }
      for (const int scale : s) scales += static_cast<char>(scale);
      made.bytes += low + high + scales + raw(d_code);
      for (std::size_t e = 0; e < 256; ++e) made.numbers.push_back(d * s[e / 16] * (q[e] - 32));
    }
  }
  return made;
}

}  // namespace

TEST_CASE("gguf: blocks decode to the numbers they stand for", "[model][gguf]") {
  Random random(1);
  for (const char* const name : {"F16", "Q8_0", "Q4_0", "Q4_1", "Q6_K"}) {
    INFO(name);
    const auto& types = lamp::block_types();
    const auto type = std::find_if(types.begin(), types.end(),
                                   [&](const lamp::BlockType& t) { return t.name == name; });
    REQUIRE(type != types.end());
    const Blocks made = blocks_of(name, 40, random);
    std::vector<float> out(40 * type->elements), expected;
    REQUIRE(made.bytes.size() == 40 * type->bytes);
    type->decode(std::as_bytes(std::span(made.bytes)), out);
    for (const double x : made.numbers) expected.push_back(static_cast<float>(x));
    std::size_t differ = 0, rounded = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      differ += static_cast<std::size_t>(std::bit_cast<std::uint32_t>(out[i]) !=
                                             std::bit_cast<std::uint32_t>(expected[i]) &&
                                         !(out[i] == 0.0F && expected[i] == 0.0F));
      rounded += static_cast<std::size_t>(static_cast<double>(expected[i]) != made.numbers[i]);
    }
    CHECK(differ == 0);
    CHECK((rounded > 0) == (type->name == "Q4_1"));
  }
}

TEST_CASE("gguf: metadata and tensors are what the file says", "[model][gguf]") {
  Random random(2);
  File file;
  file.metadata = {{"a", u32(7)},
                   {"b", f32(0.1F)},
                   {"c", string("text")},
                   {"d", raw(std::uint32_t{7}) + raw(std::uint8_t{1})},
                   {"e", raw(std::uint32_t{5}) + raw(std::int32_t{-3})},
                   {"f", list(4, 2, raw(std::uint32_t{5}) + raw(std::uint32_t{6}))},
                   {"g", strings({"x", "", "y z"})},
                   {"h", list(6, 0, "")},
                   {"general.alignment", u32(64)}};
  file.alignment = 64;
  file.add("first", {3}, random), file.add("second", {5, 2}, random);
  file.version = 2;
  const TemporaryFolder folder;
  const auto opened = Gguf::open(folder.write("x.gguf", file.bytes()));
  REQUIRE(opened);
  const auto& metadata = opened->metadata();
  CHECK(std::get<std::uint64_t>(metadata.at("a")) == 7);
  CHECK(std::get<double>(metadata.at("b")) == static_cast<double>(0.1F));
  CHECK(std::get<std::string>(metadata.at("c")) == "text");
  CHECK(std::get<bool>(metadata.at("d")));
  CHECK(std::get<std::int64_t>(metadata.at("e")) == -3);
  CHECK(std::get<std::vector<std::int64_t>>(metadata.at("f")) == std::vector<std::int64_t>{5, 6});
  CHECK(std::get<std::vector<std::string>>(metadata.at("g")) ==
        std::vector<std::string>{"x", "", "y z"});
  CHECK(std::get<std::vector<double>>(metadata.at("h")).empty());
  const lamp::GgufTensor& second = opened->tensors().at("second");
  CHECK(second.shape == std::vector<std::size_t>{2, 5});
  std::vector<float> out(4);
  REQUIRE(opened->read(second, 3, out));
  for (std::size_t i = 0; i < out.size(); ++i)
    CHECK(lamp::test::same_bits(static_cast<double>(out[i]),
                                static_cast<double>(element(file.tensors[1], 3 + i))));
}

TEST_CASE("gguf: a file that is wrong is told where", "[model][gguf][bad-input]") {
  constexpr std::uint64_t absurd = std::uint64_t{1} << 60;
  CHECK(refused([](File& f) { f.magic = "GGML"; }, {"x.gguf", "does not begin with GGUF"}));
  CHECK(refused([](File& f) { f.version = 1; }, {"version 1", "legal: 2, 3"}));
  CHECK(refused([](File& f) { f.version = 3U << 24; }, {"big-endian"}));
  CHECK(refused([](File& f) { f.extra_tensors = absurd; }, {"tensors; legal: at most"}));
  CHECK(refused([](File& f) { f.extra_entries = absurd; }, {"entries of metadata; legal"}));
  CHECK(refused(
      [](File& f) {
        f.metadata.push_back({"k", raw(std::uint32_t{13})});
      },
      {"a value of type 13", "0 to 12"}));
  CHECK(refused([](File& f) { f.metadata.push_back({"k", list(9, 1, "")}); }, {"a list of lists"}));
  CHECK(refused(
      [](File& f) {
        f.metadata.push_back({"k", list(0, absurd, "")});
      },
      {"a list of 1152921504606846976 elements"}));
  CHECK(refused(
      [](File& f) {
        f.metadata.push_back({"k", list(8, 2000, "")});
      },
      {"a list of 2000 elements"}));
  CHECK(refused(
      [](File& f) {
        f.metadata.push_back({"k", raw(std::uint32_t{8}) + raw(absurd)});
      },
      {"a string of 1152921504606846976 bytes"}));
  CHECK(refused([](File& f) { f.metadata.push_back({"k", string("\xFF")}); }, {"not UTF-8"}));
  CHECK(refused([](File& f) { f.metadata.push_back(f.metadata[1]); },
                {"\"gpt2.context_length\" is given twice"}));
  CHECK(refused([](File& f) { f.tensors.push_back(f.tensors[0]); },
                {"\"token_embd.weight\" is there twice"}));
  CHECK(refused([](File& f) { f.tensors[1].extents = {}; }, {"\"position_embd.weight\" has 0"}));
  CHECK(refused([](File& f) { f.tensors[1].extents = {1, 1, 1, 1, 28}; }, {"has 5 extents"}));
  CHECK(refused([](File& f) { f.tensors[1].extents = {4, 0}; }, {"an extent of 0"}));
  CHECK(refused([](File& f) { f.tensors[1].extents = {4, absurd}; }, {"an extent of 11529"}));
  CHECK(refused([](File& f) { f.tensors[1].extents = {2000, 2000, 2000, 2000}; }, {"extent"}));
  CHECK(refused([](File& f) { f.tensors[1].type = 12; }, {"has type Q4_K", "F32", "Q6_K"}));
  CHECK(refused([](File& f) { f.tensors[1].type = 99; }, {"has type 99"}));
  CHECK(refused([](File& f) { f.tensors[1].type = type_q4_0; }, {"rows of 4", "multiples of 32"}));
  CHECK(refused([](File& f) { f.tensors[1].offset = 8; }, {"at 8 of the data", "multiples of 32"}));
  CHECK(refused([](File& f) { f.tensors[1].offset = absurd; }, {"within the"}));
  CHECK(refused([](File& f) { f.tensors[1].offset = 32; }, {"begins within tensor"}));
  CHECK(refused([](File& f) { f.tensors.back().extents = {400}; }, {"within the"}));
  CHECK(refused(
      [](File& f) {
        f.metadata.push_back({"general.alignment", u32(24)});
      },
      {"general.alignment is no power of 2"}));
  CHECK(refused([](File& f) { f.metadata[0].second = string("mamba"); },
                {"general.architecture is \"mamba\"", "gpt2, llama"}));
  CHECK(refused([](File& f) { f.metadata.erase(f.metadata.begin() + 3); },
                {"gpt2.block_count is missing"}));
  CHECK(refused([](File& f) { f.metadata[2].second = string("4"); },
                {"gpt2.embedding_length is missing"}));
  CHECK(refused([](File& f) { f.tensors[3].name = "output_norm.scale"; },
                {"\"output_norm.scale\" is not one of this architecture's"}));
  CHECK(refused([](File& f) { f.tensors[0].name = "rope_freqs.weight"; }, {"rotary positions"}));
  CHECK(refused([](File& f) { f.tensors.erase(f.tensors.begin()); }, {"no tensor \"token_embd"}));
}

TEST_CASE("gguf: a GPT-2's tensors by their names, linear weights (in, out)", "[model][gguf]") {
  const File file = small_gpt2();
  const TemporaryFolder folder;
  const auto model = GgufModel::open(folder.write("x.gguf", file.bytes()));
  REQUIRE(model);
  CHECK(
      nlohmann::json::parse(model->config()) ==
      nlohmann::json::parse(
          R"({"model_type":"gpt2","n_positions":7,"n_embd":4,"n_layer":1,"n_head":2,"n_inner":6,"layer_norm_epsilon":1e-5,"vocab_size":5,"tie_word_embeddings":true})"));
  CHECK(model->tensors().size() == file.tensors.size());
  for (const std::filesystem::path& path : {folder.path(), folder.path() / "x.gguf"})
    CHECK(lamp::read_config_of_model(path)->n_inner == 6);
  const auto check = [&](const char* name, std::size_t in_file, std::size_t rows, std::size_t cols,
                         bool transposed) {
    const lamp::Tensor& tensor = model->tensors().at(name);
    CHECK(tensor.shape == (cols == 0 ? std::vector{rows} : std::vector{rows, cols}));
    std::vector<float> out(tensor.size());
    REQUIRE(model->read(tensor, out));
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t at = transposed ? i % cols * rows + i / cols : i;
      CHECK(out[i] == element(file.tensors[in_file], at));
    }
  };
  check("wpe.weight", 1, 7, 4, false);
  check("ln_f.bias", 3, 4, 0, false);
  check("h.0.attn.c_attn.weight", 4, 4, 12, true);
  check("h.0.attn.c_attn.bias", 5, 12, 0, false);
  check("h.0.mlp.c_proj.weight", 10, 6, 4, true);
  check("h.0.ln_2.weight", 14, 4, 0, false);
}

TEST_CASE("gguf: a Llama's queries and keys are put back in order", "[model][gguf]") {
  Random random(6);
  File file;
  file.metadata = {{"general.architecture", string("llama")},
                   {"llama.context_length", u32(16)},
                   {"llama.embedding_length", u32(12)},
                   {"llama.block_count", u32(1)},
                   {"llama.attention.head_count", u32(3)},
                   {"llama.attention.head_count_kv", u32(1)},
                   {"llama.feed_forward_length", u32(6)},
                   {"llama.attention.layer_norm_rms_epsilon", f32(1e-6F)},
                   {"llama.rope.freq_base", f32(10000.0F)},
                   {"llama.rope.dimension_count", u32(4)},
                   {"tokenizer.ggml.eos_token_id", u32(2)}};
  file.add("token_embd.weight", {12, 5}, random), file.add("output.weight", {12, 5}, random);
  file.add("blk.0.attn_q.weight", {12, 12}, random),
      file.add("blk.0.attn_k.weight", {12, 4}, random);
  file.add("blk.0.attn_q.bias", {12}, random), file.add("blk.0.attn_v.weight", {12, 4}, random);
  const TemporaryFolder folder;
  const auto model = GgufModel::open(folder.write("x.gguf", file.bytes()));
  REQUIRE(model);
  const auto config = nlohmann::json::parse(model->config());
  CHECK(config["rms_norm_eps"] == 1e-6);
  CHECK(config["head_dim"] == 4);
  CHECK(config["tie_word_embeddings"] == false);
  CHECK(config["attention_bias"] == true);
  CHECK(config["eos_token_id"] == 2);
  // Rows of a head of four in the file: 0, 2, 1, 3.
  constexpr std::array<std::size_t, 4> from{0, 2, 1, 3};
  const auto check = [&](const char* name, std::size_t in_file, bool rotary) {
    const lamp::Tensor& tensor = model->tensors().at(name);
    std::vector<float> out(tensor.size());
    REQUIRE(model->read(tensor, out));
    const std::size_t cols = tensor.shape.size() == 1 ? 1 : tensor.shape[1];
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t row = i / cols, source = rotary ? row / 4 * 4 + from[row % 4] : row;
      CHECK(out[i] == element(file.tensors[in_file], source * cols + i % cols));
    }
  };
  check("layers.0.self_attn.q_proj.weight", 2, true);
  check("layers.0.self_attn.k_proj.weight", 3, true);
  check("layers.0.self_attn.q_proj.bias", 4, true);
  check("layers.0.self_attn.v_proj.weight", 5, false);
  check("lm_head.weight", 1, false);

  const auto spoilt = [&](std::size_t entry, const std::string& value,
                          std::initializer_list<std::string_view> words) {
    File other = file;
    other.metadata[entry].second = value;
    const auto opened = GgufModel::open(folder.write("x.gguf", other.bytes()));
    return !opened && says(opened.error(), ExitCode::bad_data, words);
  };
  CHECK(spoilt(9, u32(2), {"llama.rope.dimension_count is 2", "legal: 4"}));
  CHECK(spoilt(4, u32(0), {"attn_q.bias\" has 12 rows", "0 heads"}));
  CHECK(spoilt(5, u32(3), {"attn_k.weight\" has 4 rows", "3 heads"}));
  file.metadata.push_back({"llama.rope.scaling.type", string("yarn")});
  CHECK(spoilt(0, string("llama"), {"rope.scaling.type is \"yarn\"", "legal: none"}));
}

TEST_CASE("gguf: the tokenizer of its metadata, or of files beside it", "[model][gguf]") {
  std::vector<std::string> tokens{"<|endoftext|>"};
  for (int byte = 33; byte < 127; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  tokens.emplace_back("ab");
  const auto file_with = [&](const std::string& pre, const std::vector<std::string>& names) {
    std::string types;
    for (std::size_t i = 0; i < names.size(); ++i) types += raw(std::int32_t{i == 0 ? 3 : 1});
    File file;
    file.metadata = {{"tokenizer.ggml.model", string("gpt2")},
                     {"tokenizer.ggml.pre", string(pre)},
                     {"tokenizer.ggml.tokens", strings(names)},
                     {"tokenizer.ggml.token_type", list(5, names.size(), types)},
                     {"tokenizer.ggml.merges", strings({"a b"})}};
    return file;
  };
  const TemporaryFolder folder;
  const auto read = [&](const File& file) {
    return lamp::Tokenizer::read(folder.write("x.gguf", file.bytes()));
  };
  const auto tokenizer = read(file_with("gpt-2", tokens));
  REQUIRE(tokenizer);
  CHECK(*tokenizer->encode("ab1") == std::vector<lamp::TokenId>{95, 17});
  CHECK(*tokenizer->encode("<|endoftext|>", true) == std::vector<lamp::TokenId>{0});
  CHECK(tokenizer->end_of_text() == lamp::TokenId{0});
  const auto of_folder = lamp::Tokenizer::read(folder.path());
  REQUIRE(of_folder);
  CHECK(of_folder->content() == tokenizer->content());
  for (const char* const pre : {"smollm", "llama-bpe", "qwen2"})
    CHECK(read(file_with(pre, tokens)));

  const auto fails = [&](const File& file, std::initializer_list<std::string_view> words) {
    const auto failed = read(file);
    return !failed && says(failed.error(), ExitCode::bad_data, words);
  };
  CHECK(fails(file_with("falcon", tokens), {"tokenizer.ggml.pre is \"falcon\"", "smollm"}));
  std::vector<std::string> twice = tokens;
  twice.push_back("a");
  CHECK(fails(file_with("gpt-2", twice), {"the token \"a\" is there twice"}));
  File other = file_with("gpt-2", tokens);
  other.metadata[0].second = string("llama");
  CHECK(fails(other, {"tokenizer.ggml.model is \"llama\"", "byte-level BPE"}));
  other = file_with("gpt-2", tokens);
  other.metadata[3].second = list(5, 1, raw(std::int32_t{1}));
  CHECK(fails(other, {"types of 1"}));
  other.metadata[3].second.replace(4, 4, raw(std::uint32_t{8}));  // a list of strings is no types
  other.metadata.pop_back();
  CHECK_FALSE(read(other));

  // no tokens in the file: those beside it
  File bare;
  folder.write("vocab.json", R"({"a":0,"b":1,"ab":2})");
  folder.write("merges.txt", "a b\n");
  const auto beside = read(bare);
  REQUIRE(beside);
  CHECK(*beside->encode("ab") == std::vector<lamp::TokenId>{2});
}

TEST_CASE("gguf: which file of a path it is", "[model][gguf]") {
  const TemporaryFolder folder;
  const auto found = [&](const std::filesystem::path& path) { return *lamp::find_gguf(path); };
  CHECK_FALSE(found(folder.path()).has_value());
  const std::filesystem::path file = folder.write("a.gguf", "");
  CHECK(found(folder.path()) == file);
  CHECK(found(file) == file);
  CHECK(found(folder.path() / "missing.gguf") == folder.path() / "missing.gguf");
  CHECK_FALSE(found(folder.path() / "result.h5").has_value());
  folder.write("b.gguf", "");
  const auto two = lamp::find_gguf(folder.path());
  REQUIRE_FALSE(two);
  CHECK(says(two.error(), ExitCode::bad_data, {"holds 2 files .gguf", "a.gguf"}));
  folder.write("model.safetensors", "");
  CHECK_FALSE(found(folder.path()).has_value());
}

TEST_CASE("gguf: no mutation of a file crashes the reader", "[model][gguf][fuzz]") {
  File file = small_gpt2();
  file.metadata.push_back({"tokenizer.ggml.model", string("gpt2")});
  file.metadata.push_back({"tokenizer.ggml.pre", string("gpt-2")});
  file.metadata.push_back({"tokenizer.ggml.tokens", strings({"a", "b", "ab", "<x>", "c"})});
  file.metadata.push_back({"tokenizer.ggml.merges", strings({"a b"})});
  const std::string original = file.bytes();
  const std::size_t header = original.find("blk.0.ffn_norm.bias") + 60;
  const TemporaryFolder folder;
  std::size_t accepted = 0, refusals = 0;
  const auto try_file = [&](const std::string& bytes) {
    const std::filesystem::path path = folder.write("x.gguf", bytes);
    const auto tokenizer = lamp::Tokenizer::read(path);
    if (!tokenizer && !says(tokenizer.error(), ExitCode::bad_data, {}) &&
        !says(tokenizer.error(), ExitCode::missing_input, {}))
      FAIL("tokenizer");
    const auto model = GgufModel::open(path);
    if (!model) {
      if (!says(model.error(), ExitCode::bad_data, {"x.gguf: "})) FAIL("model");
      ++refusals;
      return;
    }
    ++accepted;
    for (const auto& [name, tensor] : model->tensors()) {
      std::vector<float> out(tensor.size());
      if (!model->read(tensor, out)) FAIL("read");
    }
  };
  for (std::size_t length = 0; length < original.size(); length += 1 + length / 64)
    try_file(original.substr(0, length));
  CHECK(accepted == 0);
  Random random(9);
  for (int trial = 0; trial < 1500; ++trial) {
    std::string bytes = original;
    for (std::uint32_t edits = 1 + random.below(3); edits > 0; --edits) {
      const std::size_t at = random.below(static_cast<std::uint32_t>(header));
      if (random.below(3) == 0)
        bytes.replace(at, 8, raw(std::uint64_t{1} << random.below(64)));
      else
        bytes[at] = static_cast<char>(random.below(256));
    }
    try_file(bytes);
  }
  CHECK(accepted > 20);
  CHECK(refusals > 1000);
}
