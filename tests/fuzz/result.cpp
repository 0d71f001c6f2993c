// A result: core/record/stored_file with the bytes as they are, then core/record/summary with the
// digest that these bytes should have, in child processes (apart) as ever. libhdf5, which is not
// instrumented, may crash in them: then there is an error like any other.
#include <algorithm>
#include <string>

#include "core/record/stored_file.hpp"
#include "core/record/summary.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {
namespace {

using record::DatasetSummary;
using record::StoredFile;

/// The bytes before the last line, where it is one like ours.
std::string_view before_trailer(std::string_view bytes) {
  const std::size_t length = record::result_trailer({}).size();
  if (bytes.size() < length || bytes[bytes.size() - length] != '\n') return bytes;
  return bytes.substr(0, bytes.size() - length);
}

void check_outside(std::string_view bytes) {
  const Result<StoredFile> stored =
      StoredFile::open(file_with(bytes, "result.h5"), record::FileKind::result);
  if (!stored) return law_of_message(stored.error().message);
  if (!stored->verified()) return;
  const std::string_view body = before_trailer(bytes);
  bool carried = false;
  for (int schema = 1; schema <= record::result_schema; ++schema)
    carried = carried || bytes == std::string(body) + record::result_trailer(sha256(body), schema);
  law(carried, "a result that is verified carries the digest of its bytes");
}

std::size_t product(const std::vector<std::size_t>& shape) {
  std::size_t elements = 1;
  for (const std::size_t n : shape) law(!__builtin_mul_overflow(elements, n, &elements), "a size");
  return elements;
}

/// The values of a dataset that is listed are as many as it says, or cannot be read.
void check_values(const StoredFile& file, const DatasetSummary& dataset) {
  law(dataset.dims.size() == dataset.shape.size(), "each extent has a name, or an empty one");
  if (dataset.type == "float64") {
    const Result<record::Numbers> numbers = record::read_numbers(file, dataset.path);
    if (!numbers) return count_death(numbers.error());
    law(numbers->shape == dataset.shape && numbers->values.size() == product(numbers->shape),
        "there are as many numbers as the shape says");
  } else if (dataset.type == "uint8") {
    const Result<std::vector<std::uint8_t>> values = record::read_statuses(file, dataset.path);
    if (!values) return count_death(values.error());
    law(values->size() == product(dataset.shape), "there are as many as the shape says");
  } else if (dataset.type == "text" && dataset.shape.size() == 1) {
    const Result<std::vector<std::string>> labels = record::read_labels(file, dataset.path);
    if (!labels) return count_death(labels.error());
    law(labels->size() == dataset.shape[0], "there are as many texts as the shape says");
  }
}

bool run(std::string_view bytes) {
  check_outside(bytes);
  const std::string_view body = before_trailer(bytes);
  const Result<StoredFile> stored = StoredFile::open(
      file_with(std::string(body) + record::result_trailer(sha256(body)), "result.h5"),
      record::FileKind::result);
  if (!stored) return law_of_message(stored.error().message), false;
  const Result<record::FileSummary> summary = record::summarise(*stored);
  if (!summary) return count_death(summary.error()), false;
  law(summary->verified && summary->kind == record::FileKind::result, "it is a verified result");
  constexpr std::size_t most = 4;  // a process each
  for (std::size_t i = 0; i < std::min(most, summary->datasets.size()); ++i)
    check_values(*stored, summary->datasets[summary->datasets.size() - 1 - i]);
  return true;
}

const Listed listed({.name = "result", .run = run});

}  // namespace
}  // namespace lamp::fuzz
