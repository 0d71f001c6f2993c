// A model in one GGUF: core/model/files/gguf, gguf_blocks, gguf_model, and what its metadata say of
// config and tokenizer.
#include "core/model/files/gguf.hpp"

#include <nlohmann/json.hpp>
#include <vector>

#include "core/model/files/config.hpp"
#include "core/model/files/gguf_model.hpp"
#include "core/model/files/text.hpp"
#include "core/model/files/tokenizer_json.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {
namespace {

void check(const Gguf& file, const GgufTensor& tensor, std::uint64_t bytes) {
  law(tensor.begin <= bytes && tensor.bytes() <= bytes - tensor.begin,
      "a tensor lies within the file");
  law(tensor.size() <= 2 * bytes, "no type has more than two numbers a byte");
  std::vector<float> values(tensor.size());
  law(file.read(tensor, 0, values).ok(), "a tensor of an accepted file can be read");
}

/// What the metadata mean, as far as it is read: model, config, tokenizer.
void check_model(const Gguf& file) {
  const Result<GgufModel> model = GgufModel::open(file.path());
  if (!model) return law_of_message(model.error().message);
  law(model->tensors().size() == file.tensors().size(), "each tensor has its published name");
  for (const auto& [name, tensor] : model->tensors()) {
    std::vector<float> values(tensor.size());
    law(model->read(tensor, values).ok(), "a published tensor can be read");
  }
  if (const Result<ModelConfig> config = model_config_of(model->config(), "model.gguf"); !config)
    law_of_message(config.error().message);
}

void check_tokenizer(const Gguf& file) {
  const Result<nlohmann::json> document = gguf_tokenizer(file);
  if (!document) return law_of_message(document.error().message);
  if (document->is_null()) return;
  if (const Result<BpeTables> tables = bpe_tables_of(*document, "model.gguf"); !tables)
    law_of_message(tables.error().message);
}

bool run(std::string_view bytes) {
  const Result<Gguf> file = Gguf::open(file_with(bytes, "model.gguf"));
  if (!file) return law_of_message(file.error().message), false;
  for (const auto& [name, tensor] : file->tensors()) {
    law(!first_invalid_utf8(name), "names are UTF-8");
    check(*file, tensor, bytes.size());
  }
  check_model(*file);
  check_tokenizer(*file);
  Sha256 hash;
  law(file->hash(hash).ok() && hash.finish() == sha256(bytes), "hash is of the file's bytes");
  law(file->unchanged().ok(), "nobody changed the file");
  return true;
}

const Listed listed({.name = "gguf", .run = run});

}  // namespace
}  // namespace lamp::fuzz
