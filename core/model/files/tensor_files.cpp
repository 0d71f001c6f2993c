#include "core/model/files/tensor_files.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "core/base/contract.hpp"
#include "core/base/system_error.hpp"
#include "core/base/input_file.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

using nlohmann::json;

constexpr std::uint64_t largest_index = 64U << 20;
constexpr std::size_t most_files = 4096;
constexpr std::string_view one_file = "model.safetensors";
constexpr std::string_view index_file = "model.safetensors.index.json";

constexpr std::string_view conversion =
    R"x(python3 -c "import torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in )x"
    R"x(torch.load('pytorch_model.bin', map_location='cpu', weights_only=True).items()}, 'model.safetensors')")x";
constexpr std::string_view resaving =
    R"x(python3 -c "import transformers as t; t.AutoModelForCausalLM.from_pretrained('.'FROM).save_pretrained('.')")x";

struct Refused {
  std::string_view file, what, command;
  std::string_view from{};  // where `command` is resaving
};
constexpr std::array<Refused, 5> refused_files{
    {{"pytorch_model.bin", "a pickle, whose reading runs code", conversion},
     {"pytorch_model.bin.index.json", "of pickles, whose reading runs code", resaving},
     {"adapter_config.json", "an adapter (LoRA), which is no model",
      R"x(python3 -c "import peft; peft.AutoPeftModelForCausalLM.from_pretrained('.').merge_and_unload().save_pretrained('.')")x"},
     {"flax_model.msgpack", "a checkpoint of Flax", resaving, ", from_flax=True"},
     {"tf_model.h5", "a checkpoint of TensorFlow", resaving, ", from_tf=True"}}};

/// Why a folder without safetensors is refused, where it holds the model in another form.
std::optional<Error> refused_form(const std::filesystem::path& folder) {
  for (const Refused& form : refused_files) {
    if (!may_be_there(folder / form.file)) continue;
    std::string command(form.command);  // resaving is one of transformers 4
    if (const std::size_t at = command.find("FROM"); at != std::string::npos)
      command.replace(at, 4, form.from);
    return Error{ExitCode::bad_data,
                 folder.string() + ": holds " + std::string(form.file) + ", " +
                     std::string(form.what) +
                     "; legal: model.safetensors; in that folder run: " + command};
  }
  return std::nullopt;
}

}  // namespace

Result<TensorFiles> TensorFiles::open(const std::filesystem::path& folder) {
  TensorFiles files;
  const Result<std::optional<std::filesystem::path>> gguf = find_gguf(folder);
  if (!gguf) return gguf.error();
  if (*gguf) {
    Result<GgufModel> model = GgufModel::open(**gguf);
    if (!model) return model.error();
    files.path_ = (*gguf)->string();
    files.gguf_ = std::make_shared<const GgufModel>(*std::move(model));
    for (const auto& [name, tensor] : files.gguf_->tensors()) files.tensors_.emplace(name, &tensor);
    return files;
  }
  const bool sharded = !may_be_there(folder / one_file) && may_be_there(folder / index_file);
  if (!sharded && !may_be_there(folder / one_file))
    if (const std::optional<Error> error = refused_form(folder)) return *error;
  files.path_ = (folder / (sharded ? index_file : one_file)).string();
  const Result<void> done =
      sharded ? files.add_shards(folder / index_file) : files.add(folder / one_file);
  if (!done) return done.error();
  return files;
}

Result<void> TensorFiles::add(const std::filesystem::path& file) {
  Result<Safetensors> opened = Safetensors::open(file);
  if (!opened) return opened.error();
  const Safetensors& kept =
      files_.emplace(file.filename().string(), *std::move(opened)).first->second;
  for (const auto& [name, tensor] : kept.tensors()) {
    if (!tensors_.emplace(name, &tensor).second)
      return Error{ExitCode::bad_data, file.string() + ": tensor " + in_quotes(name) +
                                           " is in another file too; legal: in one"};
    file_of_.emplace(&tensor, &kept);
  }
  return {};
}

Result<void> TensorFiles::add_shards(const std::filesystem::path& index) {
  const auto bad = [&](const std::string& what) {
    return Error{ExitCode::bad_data, index.string() + ": " + what};
  };
  const Result<std::string> text = read_text_file(index, largest_index);
  if (!text) return text.error();
  const Result<json> document = parse_strict_json(*text, index.string());
  if (!document) return document.error();
  const auto map = document->is_object() ? document->find("weight_map") : document->end();
  if (map == document->end() || !map->is_object() || map->empty())
    return bad(
        "has no weight_map; legal: {\"weight_map\": {\"TENSOR\": \"FILE.safetensors\", ..}}");
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (!name.ends_with(".safetensors") || name.find('/') != std::string::npos)
      return bad("tensor " + in_quotes(tensor) + " is in " + shown(file) +
                 "; legal: a file .safetensors of the same folder");
    names.insert(name);
  }
  if (names.size() > most_files)
    return bad("names " + std::to_string(names.size()) + " files; legal: at most " +
               std::to_string(most_files));
  for (const std::string& name : names)
    if (Result<void> done = add(index.parent_path() / name); !done) return done;
  for (const auto& [tensor, file] : map->items()) {
    const Safetensors& said = files_.at(file.get<std::string>());
    if (!said.tensors().contains(tensor))
      return bad("tensor " + in_quotes(tensor) + " is not in " + shown(file) +
                 "; legal: files of one checkpoint");
  }
  for (const auto& [tensor, place] : tensors_)
    if (!map->contains(tensor))
      return bad("does not name tensor " + in_quotes(tensor) +
                 ", which its files have; legal: files of one checkpoint");
  return {};
}

Result<void> TensorFiles::read(const Tensor& tensor, std::span<float> out) const {
  if (gguf_) return gguf_->read(tensor, out);
  const auto file = file_of_.find(&tensor);
  expects(file != file_of_.end(), "TensorFiles: a tensor of these files");
  return file->second->read(tensor, out);
}

Result<void> TensorFiles::hash(Sha256& hash) const {
  if (gguf_) return gguf_->hash(hash);
  for (const auto& [name, file] : files_)
    if (Result<void> done = file.hash(hash); !done) return done;
  return {};
}

Result<void> TensorFiles::unchanged() const {
  if (gguf_) return gguf_->unchanged();
  for (const auto& [name, file] : files_)
    if (Result<void> done = file.unchanged(); !done) return done;
  return {};
}

}  // namespace lamp
