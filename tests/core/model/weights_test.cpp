// A model folder: what is read has the bits of the file, published-style files are accepted, wrong
// ones are told why.
#include <bit>
#include <catch2/catch.hpp>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/files/safetensors.hpp"
#include "core/model/weights.hpp"
#include "tests/core/model/files.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace {

using lamp::EmbeddingWeights;
using lamp::ExitCode;
using lamp::Layer;
using lamp::LayerNormWeights;
using lamp::Linear;
using lamp::Model;
using lamp::Site;
using lamp::test::Random;
using lamp::test::same_bits;
using lamp::test::says;
using lamp::test::source;
using lamp::test::TemporaryFolder;
using lamp::test::TestTensor;

constexpr std::string_view config =
    R"({"model_type":"gpt2","vocab_size":5,"n_positions":7,"n_embd":4,"n_layer":2,"n_head":2,"n_inner":6})";

std::string binary32(const std::vector<float>& values) {
  std::string bytes(4 * values.size(), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A GPT-2 of config's shape with random weights, as a list of tensors to be spoilt.
struct SmallModel {
  std::vector<TestTensor> tensors;
  Random random{3};

  SmallModel() {
    add("wte.weight", "5, 4", 20), add("wpe.weight", "7, 4", 28);
    for (const std::string h : {"h.0.", "h.1."}) {
      add(h + "ln_1.weight", "4", 4), add(h + "ln_1.bias", "4", 4);
      add(h + "attn.c_attn.weight", "4, 12", 48), add(h + "attn.c_attn.bias", "12", 12);
      add(h + "attn.c_proj.weight", "4, 4", 16), add(h + "attn.c_proj.bias", "4", 4);
      add(h + "ln_2.weight", "4", 4), add(h + "ln_2.bias", "4", 4);
      add(h + "mlp.c_fc.weight", "4, 6", 24), add(h + "mlp.c_fc.bias", "6", 6);
      add(h + "mlp.c_proj.weight", "6, 4", 24), add(h + "mlp.c_proj.bias", "4", 4);
    }
    add("ln_f.weight", "4", 4), add("ln_f.bias", "4", 4);
  }
  void add(const std::string& name, const std::string& shape, std::size_t size) {
    std::vector<float> values(size);
    for (float& value : values) value = static_cast<float>(random.symmetric());
    tensors.push_back({name, "F32", shape, binary32(values)});
  }
  TestTensor& at(std::string_view name) {
    for (TestTensor& tensor : tensors)
      if (tensor.name == name) return tensor;
    throw std::runtime_error("no tensor " + std::string(name));
  }
  void remove(std::string_view name) {
    std::erase_if(tensors, [&](const TestTensor& tensor) { return tensor.name == name; });
  }
};

struct Reading {
  TemporaryFolder folder;
  lamp::Result<Model> model;
  explicit Reading(const SmallModel& small, std::string_view text = config)
      : model((folder.write("config.json", text),
               folder.write("model.safetensors", lamp::test::safetensors_file(small.tensors)),
               lamp::read_model(folder.path()))) {}
};

template <class Change>
bool refused(Change change, std::initializer_list<std::string_view> words,
             std::string_view text = config) {
  SmallModel small;
  change(small);
  const Reading reading(small, text);
  return !reading.model && says(reading.model.error(), ExitCode::bad_data, words);
}

bool packs(const lamp::PackedMatrix& packed, std::size_t rows, std::size_t cols,
           const std::string& bytes) {
  if (packed.rows() != rows || packed.cols() != cols || bytes.size() != 4 * rows * cols)
    return false;
  for (std::size_t k = 0; k < rows * cols; ++k) {
    float value = 0.0F;
    std::memcpy(&value, &bytes[4 * k], sizeof value);
    if (!same_bits(packed.at(k / cols, k % cols), static_cast<double>(value))) return false;
  }
  return true;
}

bool holds(const std::vector<double>& values, const std::string& bytes) {
  std::vector<float> expected(values.size());
  if (bytes.size() != 4 * values.size()) return false;
  std::memcpy(expected.data(), bytes.data(), bytes.size());
  return same_bits(values, std::vector<double>(expected.begin(), expected.end()));
}

}  // namespace

TEST_CASE("weights: every tensor arrives in its place, bit for bit", "[model][weights]") {
  SmallModel small;
  const Reading reading(small);
  REQUIRE(reading.model);
  const lamp::Weights& weights = reading.model->weights;
  const auto& embedding = weights.at<EmbeddingWeights>(Site::embed);
  CHECK(binary32({embedding.tokens.flat().begin(), embedding.tokens.flat().end()}) ==
        small.at("wte.weight").bytes);
  CHECK(binary32({embedding.positions.flat().begin(), embedding.positions.flat().end()}) ==
        small.at("wpe.weight").bytes);
  CHECK(holds(weights.at<LayerNormWeights>(Site::ln_f).gamma, small.at("ln_f.weight").bytes));
  CHECK(holds(weights.at<LayerNormWeights>(Site::ln_f).beta, small.at("ln_f.bias").bytes));
  for (std::size_t layer = 0; layer < 2; ++layer) {
    const std::string h = "h." + std::to_string(layer) + ".";
    const auto linear = [&](Site site) -> const Linear& {
      return weights.at<Linear>(site, Layer{layer});
    };
    CHECK(holds(weights.at<LayerNormWeights>(Site::ln_1, Layer{layer}).gamma,
                small.at(h + "ln_1.weight").bytes));
    CHECK(holds(weights.at<LayerNormWeights>(Site::ln_2, Layer{layer}).beta,
                small.at(h + "ln_2.bias").bytes));
    CHECK(packs(linear(Site::qkv).weight, 4, 12, small.at(h + "attn.c_attn.weight").bytes));
    CHECK(packs(linear(Site::attn_proj).weight, 4, 4, small.at(h + "attn.c_proj.weight").bytes));
    CHECK(packs(linear(Site::mlp_fc).weight, 4, 6, small.at(h + "mlp.c_fc.weight").bytes));
    CHECK(packs(linear(Site::mlp_proj).weight, 6, 4, small.at(h + "mlp.c_proj.weight").bytes));
    CHECK(holds(linear(Site::qkv).bias, small.at(h + "attn.c_attn.bias").bytes));
    CHECK(holds(linear(Site::mlp_proj).bias, small.at(h + "mlp.c_proj.bias").bytes));
    CHECK_FALSE(packs(linear(Site::qkv).weight, 4, 12,
                      small.at("h." + std::to_string(1 - layer) + ".attn.c_attn.weight").bytes));
  }
  CHECK(reading.model->config.tied);
  for (std::size_t v = 0; v < 5; ++v)
    for (std::size_t k = 0; k < 4; ++k)
      CHECK(same_bits(weights.at<Linear>(Site::logits).weight.at(k, v),
                      static_cast<double>(embedding.tokens(v, k))));
}

TEST_CASE("weights: without them, no element is looked at and the header is checked as ever",
          "[model][weights]") {
  const auto read = [](const SmallModel& small) {
    TemporaryFolder folder;
    folder.write("config.json", config);
    folder.write("model.safetensors", lamp::test::safetensors_file(small.tensors));
    return lamp::read_model_without_weights(folder.path());
  };
  SmallModel small;
  small.at("h.1.mlp.c_fc.weight").bytes = binary32(
      std::vector<float>(24, std::numeric_limits<float>::quiet_NaN()));  // read_model refuses it
  const auto model = read(small);
  REQUIRE(model);
  CHECK(model->config.tied);
  CHECK(model->config.n_inner == 6);
  CHECK(model->content == lamp::Digest{});
  small.tensors.push_back({"lm_head.weight", "F32", "5, 4", small.at("wte.weight").bytes});
  const auto with_head = read(small);
  REQUIRE(with_head);
  CHECK_FALSE(with_head->config.tied);  // whatever its bits
  small.remove("h.0.ln_2.bias");
  const auto missing = read(small);
  REQUIRE_FALSE(missing);
  CHECK(says(missing.error(), ExitCode::bad_data, {"h.0.ln_2.bias", "missing", "(4)"}));
}

TEST_CASE("weights: the shipped models load; the golden one is untied", "[model][weights]") {
  for (const auto& [folder, tied] :
       {std::pair{"data/models/gpt2-tiny", true}, std::pair{"data/models/gpt2-nano", true},
        std::pair{"tests/golden/gpt-nano-sort", false}}) {
    const auto model = lamp::read_model(source(folder));
    REQUIRE(model);
    CHECK(model->config.tied == tied);
    const lamp::PackedMatrix& head = model->weights.at<Linear>(Site::logits).weight;
    CHECK(head.rows() == model->config.n_embd);
    CHECK(head.cols() == model->config.vocab_size);
    CHECK(model->weights.at<Linear>(Site::mlp_fc, Layer{model->config.n_layer - 1}).bias.size() ==
          model->config.n_inner);
  }
}

TEST_CASE("weights: published-style files, tied and untied heads", "[model][weights]") {
  SmallModel small;
  const Reading plain(small);
  SmallModel published = small;
  for (TestTensor& tensor : published.tensors) tensor.name = "transformer." + tensor.name;
  published.tensors.push_back(
      {"transformer.h.0.attn.bias", "F32", "1, 1, 7, 7", std::string(196, '\0')});
  published.tensors.push_back({"h.1.attn.bias", "BOOL", "1, 1, 7, 7", std::string(49, '\1')});
  published.tensors.push_back({"h.1.attn.masked_bias", "F32", "", std::string(4, '\0')});
  published.tensors.push_back({"lm_head.weight", "F32", "5, 4", small.at("wte.weight").bytes});
  const Reading tied(published);
  REQUIRE(tied.model);
  CHECK(tied.model->config.tied);
  CHECK(tied.model->config == plain.model->config);
  CHECK(tied.model->content != plain.model->content);  // other bytes

  published.tensors.back().bytes[3] ^= 1;
  const Reading untied(published);
  REQUIRE(untied.model);
  CHECK_FALSE(untied.model->config.tied);
  CHECK(packs(untied.model->weights.at<Linear>(Site::mlp_fc, Layer{1}).weight, 4, 6,
              small.at("h.1.mlp.c_fc.weight").bytes));
  float changed = 0.0F;
  std::memcpy(&changed, published.tensors.back().bytes.data(), sizeof changed);
  CHECK(same_bits(untied.model->weights.at<Linear>(Site::logits).weight.at(0, 0),
                  static_cast<double>(changed)));
  CHECK_FALSE(same_bits(
      untied.model->weights.at<Linear>(Site::logits).weight.at(0, 0),
      static_cast<double>(untied.model->weights.at<EmbeddingWeights>(Site::embed).tokens(0, 0))));
}

TEST_CASE("weights: a tied head alone is the token vectors; where it is another, that is said",
          "[model][weights]") {
  SmallModel small;
  const Reading plain(small);
  small.at("wte.weight").name = "lm_head.weight";
  const Reading head(small);
  REQUIRE(head.model);
  CHECK(head.model->config == plain.model->config);
  CHECK_FALSE(head.model->tie_overruled);
  CHECK(binary32({head.model->weights.at<EmbeddingWeights>(Site::embed).tokens.flat().begin(),
                  head.model->weights.at<EmbeddingWeights>(Site::embed).tokens.flat().end()}) ==
        small.at("lm_head.weight").bytes);
  const std::string untied =
      std::string(config.substr(0, config.size() - 1)) + R"(,"tie_word_embeddings":false})";
  CHECK(refused([](auto& m) { m.at("wte.weight").name = "lm_head.weight"; },
                {"\"wte.weight\" is missing"}, untied));

  small.at("lm_head.weight").name = "wte.weight";
  small.add("lm_head.weight", "5, 4", 20);
  CHECK(Reading(small).model->tie_overruled);
  CHECK_FALSE(Reading(small, untied).model->tie_overruled);
  CHECK_FALSE(plain.model->tie_overruled);
}

TEST_CASE("weights: binary16 and bfloat16 tensors are read exactly", "[model][weights]") {
  SmallModel small;
  TestTensor& half = small.at("ln_f.weight");
  half.dtype = "F16",
  half.bytes = std::string("\x00\x3C\x01\x00\xFF\x7B\x00\x80", 8);  // 1, 2^-24, 65504, -0
  TestTensor& brain = small.at("ln_f.bias");
  brain.dtype = "BF16",
  brain.bytes = std::string("\x80\x3F\x01\x00\x7F\x7F\x00\x80", 8);  // 1, 2^-133, xmax, -0
  const Reading reading(small);
  REQUIRE(reading.model);
  CHECK(same_bits(reading.model->weights.at<LayerNormWeights>(Site::ln_f).gamma,
                  std::vector{1.0, 0x1p-24, 65504.0, -0.0}));
  CHECK(same_bits(reading.model->weights.at<LayerNormWeights>(Site::ln_f).beta,
                  std::vector{1.0, 0x1p-133, 0x1.FEp127, -0.0}));
}

TEST_CASE("weights: content is of meaning and bytes, not of paths or layout of config.json",
          "[model][weights]") {
  SmallModel small;
  const Reading first(small), second(small, nlohmann::json::parse(config).dump(4));
  CHECK(first.model->content == second.model->content);
  SmallModel other = small;
  other.at("wpe.weight").bytes[0] ^= 1;
  CHECK(Reading(other).model->content != first.model->content);
  auto changed = nlohmann::json::parse(config);
  changed["layer_norm_epsilon"] = 2e-5;
  CHECK(Reading(small, changed.dump()).model->content != first.model->content);
}

TEST_CASE("weights: a missing, extra or mis-shaped tensor is named with what it should be",
          "[model][weights][bad-input]") {
  CHECK(refused([](auto& m) { m.remove("h.1.mlp.c_fc.bias"); },
                {"tensor \"h.1.mlp.c_fc.bias\" is missing", "shape (6)"}));
  CHECK(refused([](auto& m) { m.remove("wte.weight"); }, {"\"wte.weight\" is missing", "(5, 4)"}));
  CHECK(refused([](auto& m) { m.add("h.2.ln_1.weight", "4", 4); },
                {"\"h.2.ln_1.weight\" of shape (4)", "n_layer 2"}));
  CHECK(
      refused([](auto& m) { m.add("h.2.attn.bias", "1", 1); }, {"\"h.2.attn.bias\"", "n_layer 2"}));
  CHECK(refused([](auto& m) { m.add("h.01.attn.bias", "1", 1); }, {"\"h.01.attn.bias\""}));
  for (const auto& [name, of] :
       {std::pair{"score.weight", "a classifier of sequences"},
        std::pair{"classifier.bias", "a classifier of tokens"},
        std::pair{"qa_outputs.weight", "answers questions"},
        std::pair{"multiple_choice_head.summary.weight", "multiple choice"},
        std::pair{"v_head.summary.weight", "a value model"}})
    CHECK(refused([name = name](auto& m) { m.add(name, "1", 1); },
                  {name, of, "no part of a language model", "save_pretrained('without-head')"}));
  CHECK(refused([](auto& m) { m.add("scores.weight", "1", 1); },
                {"\"scores.weight\"", "no part of a GPT-2"}));
  for (const char* const shape : {"4, 8", "8, 4"})
    CHECK(refused(
        [shape](auto& m) {
          m.remove("h.1.attn.c_attn.weight"), m.add("h.1.attn.c_attn.weight", shape, 32);
        },
        {"\"h.1.attn.c_attn.weight\" has shape", "legal: (4, 12)", "multi-query attention"}));
  CHECK(refused([](auto& m) { m.add("lm_head.bias", "5", 5); }, {"\"lm_head.bias\""}));
  CHECK(refused([](auto& m) { m.add("transformer.wpe.weight", "7, 4", 28); },
                {"\"transformer.wpe.weight\"", "\"wpe.weight\"", "the same one"}));
  CHECK(refused([](auto& m) { m.at("h.0.mlp.c_fc.weight").shape = "6, 4"; },
                {"\"h.0.mlp.c_fc.weight\" has shape (6, 4)", "legal: (4, 6)", "looks transposed"}));
  CHECK(refused([](auto& m) { m.at("wpe.weight").shape = "14, 2"; },
                {"\"wpe.weight\" has shape (14, 2)", "legal: (7, 4)"}));
  CHECK(refused([](auto& m) { m.at("ln_f.bias").shape = "4, 1"; },
                {"has shape (4, 1)", "legal: (4)"}));
  CHECK(refused([](auto& m) { m.add("lm_head.weight", "4, 5", 20); },
                {"\"lm_head.weight\" has shape (4, 5)", "looks transposed"}));
  CHECK(refused([](auto& m) { m.at("ln_f.bias").dtype = "I32"; },
                {"\"ln_f.bias\" has dtype I32", "legal: F64, F32, F16, BF16"}));
  const std::string untied =
      nlohmann::json::parse(config)
          .patch(nlohmann::json::parse(
              R"([{"op":"add","path":"/tie_word_embeddings","value":false}])"))
          .dump();
  CHECK(refused([](auto&) {}, {"\"lm_head.weight\" is missing", "(5, 4)"}, untied));
  const std::string deep =
      nlohmann::json::parse(config)
          .patch(nlohmann::json::parse(R"([{"op":"add","path":"/n_layer","value":65536}])"))
          .dump();
  CHECK(refused([](auto&) {}, {"\"h.2.ln_1.weight\" is missing"}, deep));
}

TEST_CASE("weights: NaN and infinite weights are named by tensor and index",
          "[model][weights][bad-input]") {
  const auto spoil = [](std::string_view name, std::size_t element, float value) {
    return [=](SmallModel& m) { m.at(name).bytes.replace(4 * element, 4, binary32({value})); };
  };
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(refused(spoil("h.1.attn.c_attn.weight", 17, std::numeric_limits<float>::quiet_NaN()),
                {"\"h.1.attn.c_attn.weight\" is NaN at (1, 5)", "legal: finite"}));
  CHECK(refused(spoil("ln_f.bias", 3, infinity), {"\"ln_f.bias\" is Inf at (3)"}));
  CHECK(refused(spoil("wte.weight", 0, -infinity), {"\"wte.weight\" is -Inf at (0, 0)"}));
  CHECK(refused(
      [](SmallModel& m) {
        m.at("ln_f.bias").dtype = "F16",
        m.at("ln_f.bias").bytes = std::string("\0\0\0\0\0\x7C\0\0", 8);
      },
      {"\"ln_f.bias\" is Inf at (2)"}));
}

TEST_CASE("weights: folders that hold another form of the model, or none",
          "[model][weights][bad-input]") {
  const TemporaryFolder folder;
  const auto missing = lamp::read_model(folder.path() / "none");
  REQUIRE_FALSE(missing);
  CHECK(says(missing.error(), ExitCode::missing_input, {"none", "No such file"}));
  const auto empty = lamp::read_model(folder.path());
  REQUIRE_FALSE(empty);
  CHECK(says(empty.error(), ExitCode::missing_input, {"config.json"}));
  const auto file = lamp::read_model(folder.write("config.json", config));
  REQUIRE_FALSE(file);
  CHECK(says(file.error(), ExitCode::bad_data, {"is not a folder"}));
  const auto weightless = lamp::read_model(folder.path());
  REQUIRE_FALSE(weightless);
  CHECK(says(weightless.error(), ExitCode::missing_input, {"model.safetensors", "No such file"}));
  folder.write("model.safetensors.index.json", "{}");
  const auto sharded = lamp::read_model(folder.path());
  REQUIRE_FALSE(sharded);
  CHECK(says(sharded.error(), ExitCode::bad_data, {"index.json: has no weight_map", "legal"}));
  std::filesystem::remove(folder.path() / "model.safetensors.index.json");
  const std::vector<std::pair<std::string, std::vector<std::string_view>>> forms{
      {"tf_model.h5", {"TensorFlow", "from_tf=True", "save_pretrained"}},
      {"flax_model.msgpack", {"Flax", "from_flax=True"}},
      {"adapter_config.json", {"LoRA", "merge_and_unload"}},
      {"pytorch_model.bin.index.json", {"pickles", "from_pretrained('.').save_pretrained"}}};
  for (const auto& [name, words] : forms) {
    folder.write(name, "{}");
    const auto other = lamp::read_model(folder.path());
    REQUIRE_FALSE(other);
    INFO(other.error().message);
    CHECK(other.error().code == ExitCode::bad_data);
    CHECK(other.error().message.find(name) != std::string::npos);
    for (const std::string_view word : words)
      CHECK(other.error().message.find(word) != std::string::npos);
    std::filesystem::remove(folder.path() / name);
  }
  folder.write("pytorch_model.bin", "PK");
  const auto pickle = lamp::read_model(folder.path());
  REQUIRE_FALSE(pickle);
  CHECK(says(pickle.error(), ExitCode::bad_data,
             {"pytorch_model.bin", "runs code", "python3 -c", "weights_only=True", "save_file"}));
  folder.write("model.safetensors",
               "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
  const auto pointer = lamp::read_model(folder.path());
  REQUIRE_FALSE(pointer);
  CHECK(says(pointer.error(), ExitCode::bad_data, {"Git LFS pointer", "git lfs pull"}));
  for (const std::string& pickled :
       {std::string("PK\x03\x04 archive"), std::string("\x80\x02}q")}) {
    folder.write("model.safetensors", pickled);
    const auto renamed = lamp::read_model(folder.path());
    REQUIRE_FALSE(renamed);
    CHECK(says(renamed.error(), ExitCode::bad_data, {"pickle of PyTorch", "save_file"}));
  }
}

TEST_CASE("weights: a checkpoint in shards is the same model", "[model][weights]") {
  SmallModel small;
  const Reading whole(small);
  const TemporaryFolder folder;
  folder.write("config.json", config);
  nlohmann::json map = nlohmann::json::object();
  std::vector<TestTensor> one, two;
  for (const TestTensor& tensor : small.tensors) {
    (map.size() % 3 == 0 ? one : two).push_back(tensor);
    map[tensor.name] = map.size() % 3 == 0 ? "a.safetensors" : "b.safetensors";
  }
  const auto write = [&] {
    folder.write("a.safetensors", lamp::test::safetensors_file(one));
    folder.write("b.safetensors", lamp::test::safetensors_file(two));
    folder.write("model.safetensors.index.json",
                 nlohmann::json{{"metadata", {{"total_size", 1}}}, {"weight_map", map}}.dump());
    return lamp::read_model(folder.path());
  };
  const auto is_refused = [&](std::initializer_list<std::string_view> words) {
    const auto model = write();
    return !model && says(model.error(), ExitCode::bad_data, words);
  };
  const auto sharded = write();
  if (!sharded) FAIL(sharded.error().message);
  CHECK(sharded->config == whole.model->config);
  for (const Site site : {Site::qkv, Site::mlp_proj}) {
    const Linear &a = sharded->weights.at<Linear>(site, Layer{1}),
                 &b = whole.model->weights.at<Linear>(site, Layer{1});
    CHECK(same_bits(a.bias, b.bias));
    for (std::size_t k = 0; k < a.weight.rows(); ++k)
      for (std::size_t j = 0; j < a.weight.cols(); ++j)
        CHECK(same_bits(a.weight.at(k, j), b.weight.at(k, j)));
  }
  CHECK(write()->content == sharded->content);
  two.front().bytes[0] ^= 1;
  CHECK(write()->content != sharded->content);  // of all files

  const nlohmann::json good = map;
  map["ln_f.bias"] = good["ln_f.bias"] == "a.safetensors" ? "b.safetensors" : "a.safetensors";
  CHECK(is_refused({"index.json", "tensor \"ln_f.bias\" is not in"}));
  map = good, map.erase("ln_f.bias");
  CHECK(is_refused({"index.json", "does not name tensor \"ln_f.bias\""}));
  map = good, map["more"] = "c.safetensors";
  const auto lacking = write();
  REQUIRE_FALSE(lacking);
  CHECK(says(lacking.error(), ExitCode::missing_input, {"c.safetensors", "No such file"}));
  for (const char* const outside : {"../a.safetensors", "/etc/passwd", "a.bin", ""}) {
    map = good, map["ln_f.bias"] = outside;
    CHECK(is_refused({"tensor \"ln_f.bias\" is in", "a file .safetensors of the same folder"}));
  }
  map = good, map["ln_f.bias"] = 3;
  CHECK(is_refused({"is in 3"}));
  map = good, two.push_back(one.front());
  CHECK(is_refused({"b.safetensors", "is in another file too"}));
}

TEST_CASE("weights: binary64 tensors are rounded to binary32", "[model][weights]") {
  SmallModel small;
  const std::vector<double> values{0x1.000001p0, 0x1.000003p0, -1e-46, 1e300};
  TestTensor& wide = small.at("ln_f.weight");
  wide.dtype = "F64";
  const auto write = [&](std::size_t count) {
    std::vector<double> some(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count));
    some.resize(4, 2.0);
    wide.bytes.assign(32, '\0');
    std::memcpy(wide.bytes.data(), some.data(), 32);
  };
  write(3);
  const Reading reading(small);
  REQUIRE(reading.model);
  CHECK(same_bits(reading.model->weights.at<LayerNormWeights>(Site::ln_f).gamma,
                  std::vector{1.0, 0x1.000004p0, -0.0, 2.0}));  // ties to even
  write(4);
  const Reading beyond(small);
  REQUIRE_FALSE(beyond.model);
  CHECK(says(beyond.model.error(), ExitCode::bad_data, {"\"ln_f.weight\" is Inf at (3)"}));
}

TEST_CASE("weights: what wrappers put before every name is left out", "[model][weights]") {
  for (const std::string prefix :
       {"module.", "_orig_mod.module.transformer.", "model.transformer.", "module.model."}) {
    SmallModel small;
    const auto plain = Reading(small).model;
    for (TestTensor& tensor : small.tensors) tensor.name = prefix + tensor.name;
    const Reading wrapped(small);
    INFO(prefix);
    if (!wrapped.model) FAIL(wrapped.model.error().message);
    CHECK(wrapped.model->config == plain->config);
  }
  CHECK(refused([](auto& m) { m.tensors[0].name = "module." + m.tensors[0].name; },
                {"\"wte.weight\" is missing"}));  // not before all
}

TEST_CASE("weights: a bias that no layer has is none", "[model][weights]") {
  SmallModel small;
  for (const char* const name : {"h.0.attn.c_attn.bias", "h.1.attn.c_attn.bias", "ln_f.bias"})
    small.remove(name);
  const Reading reading(small);
  if (!reading.model) FAIL(reading.model.error().message);
  CHECK(reading.model->without_bias == std::vector{Site::qkv, Site::ln_f});
  CHECK(reading.model->weights.at<Linear>(Site::qkv).bias.empty());
  CHECK(reading.model->weights.at<Linear>(Site::mlp_fc).bias.size() == 6);
  CHECK(same_bits(reading.model->weights.at<LayerNormWeights>(Site::ln_f).beta,
                  std::vector<double>(4, 0.0)));
  CHECK(Reading(SmallModel()).model->without_bias.empty());
}
