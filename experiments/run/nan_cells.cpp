#include "experiments/run/nan_cells.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "core/record/summary.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {
namespace {

constexpr const char* kl_path = "/metrics/kl";

std::string coordinate(const record::Axis& axis, std::size_t i) {
  struct {
    std::size_t i;
    std::string operator()(const std::vector<double>& x) const { return toml_number(x[i]); }
    std::string operator()(const std::vector<std::int64_t>& x) const {
      return std::to_string(x[i]);
    }
    std::string operator()(const std::vector<std::string>& x) const { return one_line(x[i]); }
  } const text{i};
  return std::visit(text, axis.values);
}

}  // namespace

std::vector<std::size_t> index_of(std::size_t position, std::span<const std::size_t> shape) {
  std::vector<std::size_t> index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0; position /= shape[axis])
    index[axis] = position % shape[axis];
  return index;
}

void NanCells::add(const NanCells& more) {
  count += more.count;
  for (const std::string& name : more.first)
    if (first.size() < most_names) first.push_back(name);
}

std::string in_words(const NanCells& cells, std::size_t of) {
  std::string words =
      "KL is NaN in " + std::to_string(cells.count) + " of " + std::to_string(of) + " cells";
  for (std::size_t i = 0; i < cells.first.size(); ++i)
    words += (i == 0 ? ": " : "; ") + cells.first[i];
  if (cells.count > cells.first.size())
    words += "; and " + std::to_string(cells.count - cells.first.size()) + " more";
  return words;
}

std::string point_name(std::span<const record::Axis> axes, std::span<const std::size_t> index) {
  std::string name;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    const bool of_sequence = axes[a].name == "text" ||
                             axes[a].name == "sequence";  // their names read well without a sign
    name += (a == 0 ? "" : ", ") + axes[a].name + (of_sequence ? " " : " = ") +
            coordinate(axes[a], index[a]);
  }
  return name;
}

std::vector<const record::CellRecord*> nan_records(const record::Shard& shard) {
  const auto kl = std::find_if(shard.quantities.begin(), shard.quantities.end(),
                               [](const auto& q) { return q.path == kl_path; });
  std::vector<const record::CellRecord*> found;
  if (kl == shard.quantities.end()) return found;
  const auto at = static_cast<std::size_t>(kl - shard.quantities.begin());
  for (const record::CellRecord& cell : shard.cells) {
    const auto* value = cell.status == record::CellStatus::done
                            ? std::get_if<std::vector<double>>(&cell.values[at])
                            : nullptr;
    if (value != nullptr && !value->empty() && std::isnan(value->front())) found.push_back(&cell);
  }
  return found;
}

Result<NanCells> nan_cells(const record::StoredFile& result) {
  const Result<record::Numbers> kl = record::read_numbers(result, kl_path);
  if (!kl) return kl.error();
  const Result<std::vector<std::uint8_t>> status = record::read_statuses(result, "/metrics/status");
  if (!status) return status.error();
  if (status->size() != kl->values.size())
    return Error{ExitCode::bad_data,
                 result.path().string() + ": /metrics/kl does not fit /metrics/status"};
  const auto is_nan = [&](std::size_t i) {
    return (*status)[i] == static_cast<std::uint8_t>(record::CellStatus::done) &&
           std::isnan(kl->values[i]);
  };
  std::vector<record::Axis> axes;
  NanCells cells;
  for (std::size_t i = 0; i < kl->values.size(); ++i) {
    if (!is_nan(i)) continue;
    for (std::size_t a = axes.size(); a < kl->dims.size();
         ++a) {  // once, where there is something to name
      Result<record::Axis> axis = record::read_axis(result, "/metrics", kl->dims[a]);
      if (!axis) return axis.error();
      if (size(*axis) != kl->shape[a])
        return Error{ExitCode::bad_data, result.path().string() + ": /metrics/" + axis->name +
                                             " does not fit " + kl_path};
      axes.push_back(*std::move(axis));
    }
    cells.add([&] { return point_name(axes, index_of(i, kl->shape)); });
  }
  return cells;
}

}  // namespace lamp::experiments
