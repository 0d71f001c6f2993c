// model.safetensors: core/model/files/safetensors.
#include "core/model/files/safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/model/files/text.hpp"
#include "tests/fuzz/drivers/json_changes.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {
namespace {

/// A tensor lies within the file and its elements are those of its shape; both ways of reading them
/// give the same bits.
std::size_t check(const Safetensors& file, const Tensor& tensor) {
  const std::span<const std::byte> all = file.file_bytes();
  if (!tensor.bytes.empty())
    law(tensor.bytes.data() >= all.data() &&
            tensor.bytes.data() + tensor.bytes.size() <= all.data() + all.size(),
        "a tensor lies within the file");
  if (tensor.type == TensorType::other) return tensor.bytes.size();
  law(tensor.size() <= all.size(), "a file has no more numbers than bytes");
  std::vector<float> values(tensor.size());
  law(file.read(tensor, values).ok(), "a tensor of an accepted file can be read");
  const std::vector<float> same = to_binary32(tensor);
  law(same.size() == values.size() &&
          (same.empty() || std::memcmp(same.data(), values.data(), same.size() * 4) == 0),
      "read and to_binary32 give the same bits");
  return tensor.bytes.size();
}

bool run(std::string_view bytes) {
  const Result<Safetensors> file = Safetensors::open(file_with(bytes, "model.safetensors"));
  if (!file) return law_of_message(file.error().message), false;
  std::size_t of_tensors = 0;
  for (const auto& [name, tensor] : file->tensors()) {
    law(!first_invalid_utf8(name), "names are UTF-8");
    of_tensors += check(*file, tensor);
  }
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  law(of_tensors + header + 8 == bytes.size(), "header and tensors are the file");
  Sha256 hash;
  law(file->hash(hash).ok() && hash.finish() == sha256(bytes), "hash is of the file's bytes");
  law(file->unchanged().ok(), "nobody changed the file");
  return true;
}

/// Another header of the length that is told before it, and as many data as it says, or some.
std::string mutate(std::string_view bytes, Random& random) {
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length) return std::string(bytes);
  std::memcpy(&length, bytes.data(), sizeof length);
  length = std::min<std::uint64_t>(length, bytes.size() - sizeof length);
  std::string header = mutated_json(bytes.substr(sizeof length, length), random);
  std::string data(bytes.substr(sizeof length + length));
  if (random() % 2 == 0) data.resize(largest_below(header, 4096));
  const std::uint64_t told = header.size();
  std::string file(sizeof told, '\0');
  std::memcpy(file.data(), &told, sizeof told);
  return file + header + data;
}

const Listed listed({.name = "safetensors", .run = run, .mutate = mutate});

}  // namespace
}  // namespace lamp::fuzz
