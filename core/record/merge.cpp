#include "core/record/merge.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <span>

#include "core/base/contract.hpp"
#include "core/base/sha256.hpp"
#include "core/record/cell_dataset.hpp"
#include "core/record/hdf5.hpp"
#include "core/record/join.hpp"
#include "core/record/publish.hpp"
#include "core/record/scales.hpp"
#include "core/record/shard.hpp"
#include "core/record/stored_file.hpp"
#include "core/record/text_column.hpp"

namespace lamp::record {
namespace {

std::vector<std::size_t> sizes(std::span<const Axis> axes) {
  std::vector<std::size_t> result;
  for (const Axis& axis : axes) result.push_back(size(axis));
  return result;
}

/// Shards of a sequence.
std::size_t variants(const MergePlan& plan) {
  return plan.variants.empty() ? 1
                               : *std::max_element(plan.variants.begin(), plan.variants.end()) + 1;
}

std::size_t product(std::span<const std::size_t> dims) {
  return std::accumulate(dims.begin(), dims.end(), std::size_t{1}, std::multiplies<>{});
}

/// One dataset of the result: its cells of a sequence, and the hash of every run written to it.
class Column {
 public:
  /// `grid`: the grid axes; those in quantity.constant_over are left out.
  Column(hid_t file, const Quantity& quantity, std::span<const Axis> sequence_axes,
         const std::vector<Axis>& grid)
      : quantity_(quantity),
        grid_sizes_(sizes(grid)),
        fill_(fill_bytes(quantity)),
        hash_(std::make_unique<Sha256>()) {
    for (const Axis& axis : sequence_axes) axes_.push_back(&axis);
    for (std::size_t i = 0; i < grid.size(); ++i) {
      const bool kept = std::find(quantity.constant_over.begin(), quantity.constant_over.end(),
                                  grid[i].name) == quantity.constant_over.end();
      kept_.push_back(kept);
      if (kept) axes_.push_back(&grid[i]), cells_ *= grid_sizes_[i];
    }
    for (const Axis* axis : axes_) lead_.push_back(size(*axis));
    dataset_ = CellDataset::create(file, quantity_, lead_);
    values_.resize(cells_);
  }

  [[nodiscard]] const Quantity& quantity() const { return quantity_; }
  [[nodiscard]] const std::vector<const Axis*>& axes() const { return axes_; }
  [[nodiscard]] const std::vector<std::size_t>& lead() const { return lead_; }
  [[nodiscard]] hid_t id() const { return dataset_->id(); }

  /// The value of grid point `point` of the sequence at hand. The first one given stays; an empty
  /// one counts as not given.
  void set(std::size_t point, std::span<const std::byte> value) {
    std::size_t index = 0, stride = 1;
    for (std::size_t axis = grid_sizes_.size(); axis-- > 0; point /= grid_sizes_[axis]) {
      if (kept_[axis]) index += point % grid_sizes_[axis] * stride, stride *= grid_sizes_[axis];
    }
    if (values_[index].empty()) values_[index] = value;
  }

  /// What `text` makes of each cell of the sequence at hand; "" of those that were not set.
  [[nodiscard]] std::vector<std::string> texts(
      const std::function<std::string(std::span<const std::int64_t>)>& text) const {
    std::vector<std::string> all;
    for (const std::span<const std::byte> value : values_) {
      std::vector<std::int64_t> numbers(value.size() / sizeof(std::int64_t));
      if (!value.empty()) std::memcpy(numbers.data(), value.data(), value.size());
      all.push_back(value.empty() ? "" : text(numbers));
    }
    return all;
  }

  /// Writes the cells of a sequence that were set, and forgets them. Runs without any stay the fill
  /// value.
  void write(std::size_t sequence) {
    const std::size_t begin = sequence * cells_;
    std::vector<std::byte> buffer;
    for (std::size_t first = begin, end = 0; first < begin + cells_; first = end) {
      end = dataset_->run_end(first, begin + cells_);
      const auto run = std::span(values_).subspan(first - begin, end - first);
      if (std::all_of(run.begin(), run.end(), [](const auto& value) { return value.empty(); }))
        continue;
      buffer.clear();
      for (const std::span<const std::byte> value : run) {
        const std::span<const std::byte> cell =
            value.empty() ? std::span<const std::byte>(fill_) : value;
        buffer.insert(buffer.end(), cell.begin(), cell.end());
      }
      dataset_->write(first, end, buffer);
      hash_->update(buffer);
      runs_.emplace_back(first, end);
    }
    std::fill(values_.begin(), values_.end(), std::span<const std::byte>{});
  }

  void close() { dataset_->close(), dataset_.reset(); }

  /// Whether the closed and reopened file holds what was written.
  [[nodiscard]] bool same_in(hid_t file) {
    const CellDataset found = CellDataset::open(file, quantity_, lead_);
    Sha256 hash;
    std::vector<std::byte> buffer;
    for (const auto& [first, end] : runs_) {
      buffer.resize((end - first) * found.cell_bytes());
      found.read(first, end, buffer);
      hash.update(buffer);
    }
    return hash.finish() == hash_->finish() &&
           hdf5::read_text(found.id(), "units") == quantity_.units &&
           hdf5::read_text(found.id(), "long_name") == quantity_.long_name;
  }

 private:
  Quantity quantity_;
  std::vector<std::size_t> grid_sizes_;
  std::vector<bool> kept_;         // grid axes that the dataset has
  std::vector<const Axis*> axes_;  // leading axes of the dataset
  std::vector<std::size_t> lead_;  // their sizes
  std::size_t cells_ = 1;          // a sequence's cells
  std::vector<std::byte> fill_;
  std::optional<CellDataset> dataset_;
  std::vector<std::span<const std::byte>> values_;         // of the sequence at hand
  std::vector<std::pair<std::size_t, std::size_t>> runs_;  // written so far
  std::unique_ptr<Sha256> hash_;
};

Quantity status_quantity(const std::string& path, const std::string& long_name) {
  Quantity q{.path = path,
             .dims = {},
             .shape = {},
             .units = "1",
             .long_name = long_name,
             .flag_meanings = {"pending", "done", "failed"}};
  q.prototype = std::vector<std::uint8_t>{};
  return q;
}

/// The result while it is written: its columns, in a fixed order, and where a cell's id lies in the
/// grid.
class Writer {
 public:
  Writer(const MergePlan& plan, const std::filesystem::path& path)
      : plan_(plan), path_(path), file_(hdf5::create_file(path)), scales_(plan.inner_axes) {
    for (std::size_t i = 0; i < plan.cell_ids.size(); ++i) points_of_.emplace(plan.cell_ids[i], i);
    for (std::size_t i = 0; i < plan.cell_ids.size(); ++i)
      if (is_first_of_reference(i)) reference_points_.push_back(i);
    hdf5::write_number(file_, "schema_version", result_schema);
    hdf5::write_text(file_, "experiment", to_hex(plan.experiment));
    statuses_.resize(plan.cell_ids.size());
    status_ = add(status_quantity("/metrics/status", "state of the cell"));
  }

  /// Adds one sequence: its shards by variant, as far as they are there. Pre: all shards have equal
  /// quantities.
  void write(std::size_t sequence, const std::map<std::size_t, Shard>& shards) {
    std::fill(statuses_.begin(), statuses_.end(), std::uint8_t{0});
    for (const auto& [variant, shard] : shards) add_shard(variant, shard);
    for (Text& text : texts_) text.column.write(sequence, columns_[text.of].texts(*text.made_by));
    for (Column& column : columns_) column.write(sequence);
  }

  /// Adds what is of no single sequence.
  void write(const PointQuantity& given) {
    const std::span<const Axis> sequences(plan_.sequence_axes),
        lead = sequences.first(sequences.size() - 1);
    const std::span<const std::byte> all = bytes(given.values);
    const std::size_t points = plan_.cell_ids.size(),
                      each = points * elements(given.quantity) * element_size(given.values);
    expects(all.size() == each * product(sizes(lead)), "merge: a value of each grid point");
    Column& column = columns_[add(given.quantity, lead)];
    for (std::size_t block = 0; block * each < all.size(); ++block) {
      const std::span<const std::byte> values = all.subspan(block * each, each);
      for (std::size_t point = 0; point < points; ++point)
        column.set(point, values.subspan(point * (each / points), each / points));
      column.write(block);
    }
  }

  /// Writes the provenance, attaches the scales, closes everything.
  MergeSummary finish() {
    for (Column& column : columns_) column.close();
    for (Text& text : texts_) text.column.close();
    scales_.close();
    for (const auto& [name, value] : plan_.provenance) {
      hdf5::Handle dataset = hdf5::write_text_scalar(file_, "/provenance/" + name, value);
      hdf5::describe(dataset, "1", name);
      dataset.close();
    }
    hdf5::check(H5Fflush(file_, H5F_SCOPE_GLOBAL), "cannot write");
    file_.close();
    summary_.pending = product(sizes(plan_.sequence_axes)) * plan_.cell_ids.size() - summary_.done -
                       summary_.failed;
    return summary_;
  }

  /// The path of the first dataset of the closed and reopened file that differs from what was
  /// written; "" where all are equal.
  std::string first_difference() {
    const hdf5::Handle file = hdf5::open_file(path_);
    for (Column& column : columns_)
      if (!column.same_in(file)) return column.quantity().path;
    for (const Text& text : texts_)
      if (!text.column.same_in(file)) return text.column.quantity().path;
    if (std::string different = scales_.first_difference(file); !different.empty())
      return different;
    for (const auto& [name, value] : plan_.provenance)
      if (hdf5::read_text_dataset(file, "/provenance/" + name) != std::vector<std::string>{value})
        return "/provenance/" + name;
    return "";
  }

 private:
  std::size_t add(const Quantity& quantity) { return add(quantity, plan_.sequence_axes); }

  std::size_t add(const Quantity& quantity, std::span<const Axis> lead) {
    Column& column = columns_.emplace_back(file_, quantity, lead, plan_.grid_axes);
    scales_.attach(file_, column.id(), quantity, column.axes());
    return columns_.size() - 1;
  }

  void add_quantities(const Shard& shard) {
    quantities_known_ = true;
    first_quantity_ = columns_.size();
    for (const Quantity& q : shard.quantities) add(q);
    if (!shard.reference.empty())
      reference_status_ =
          add(of_reference(status_quantity("/reference/status", "state of the reference run")));
    first_reference_ = columns_.size();
    for (const Quantity& q : shard.reference_quantities) add(of_reference(q));
    for (const TextQuantity& text : plan_.texts) add(text);
  }

  /// Over the cells of the quantity that it is of, where there is such a one.
  void add(const TextQuantity& text) {
    const auto of = std::find_if(columns_.begin(), columns_.end(), [&](const Column& column) {
      return column.quantity().path == text.of;
    });
    if (of == columns_.end()) return;
    expects(std::holds_alternative<std::vector<std::int64_t>>(of->quantity().prototype),
            "merge: a text is of signed integers");
    const Quantity quantity{
        .path = text.path, .dims = {}, .shape = {}, .units = "1", .long_name = text.long_name};
    texts_.push_back({TextColumn(file_, quantity, of->lead(), plan_.sequence_axes.size()),
                      static_cast<std::size_t>(of - columns_.begin()), &text.text});
    scales_.attach(file_, texts_.back().column.id(), quantity, of->axes());
  }

  [[nodiscard]] bool is_reference_axis(const Axis& axis) const {
    const std::vector<std::string>& axes = plan_.reference_axes;
    return std::find(axes.begin(), axes.end(), axis.name) != axes.end();
  }

  /// Constant over the axes that the reference does not depend on.
  [[nodiscard]] Quantity of_reference(Quantity quantity) const {
    for (const Axis& axis : plan_.grid_axes)
      if (!is_reference_axis(axis)) quantity.constant_over.push_back(axis.name);
    return quantity;
  }

  /// Whether the grid point is the first of those with its reference.
  [[nodiscard]] bool is_first_of_reference(std::size_t point) const {
    for (std::size_t a = plan_.grid_axes.size(); a-- > 0; point /= size(plan_.grid_axes[a]))
      if (point % size(plan_.grid_axes[a]) != 0 && !is_reference_axis(plan_.grid_axes[a]))
        return false;
    return true;
  }

  [[nodiscard]] bool is_of(std::size_t point, std::size_t variant) const {
    return plan_.variants.empty() || plan_.variants[point] == variant;
  }

  void add_shard(std::size_t variant, const Shard& shard) {
    if (!quantities_known_) add_quantities(shard);
    for (const auto& [point, cell] : in_grid_order(variant, shard)) {
      statuses_[point] = static_cast<std::uint8_t>(cell->status);
      ++(cell->status == CellStatus::done ? summary_.done : summary_.failed);
      columns_[status_].set(point, std::as_bytes(std::span(&statuses_[point], 1)));
      if (cell->status != CellStatus::done) continue;
      for (std::size_t q = 0; q < cell->values.size(); ++q)
        columns_[first_quantity_ + q].set(point, bytes(cell->values[q]));
    }
    if (shard.reference.empty()) return;
    for (const std::size_t point : reference_points_) {
      if (!is_of(point, variant)) continue;
      columns_[reference_status_].set(point, std::as_bytes(std::span(&reference_done_, 1)));
      for (std::size_t q = 0; q < shard.reference.size(); ++q)
        columns_[first_reference_ + q].set(point, bytes(shard.reference[q]));
    }
  }

  [[nodiscard]] std::vector<std::pair<std::size_t, const CellRecord*>> in_grid_order(
      std::size_t variant, const Shard& shard) const {
    std::vector<std::pair<std::size_t, const CellRecord*>> cells;
    for (const CellRecord& cell : shard.cells) {
      const auto [begin, end] = points_of_.equal_range(cell.id);
      for (auto point = begin; point != end; ++point)
        if (is_of(point->second, variant)) cells.emplace_back(point->second, &cell);
    }
    std::sort(cells.begin(), cells.end());
    return cells;
  }

  const MergePlan& plan_;
  std::filesystem::path path_;
  hdf5::Handle file_;
  Scales scales_;
  std::multimap<Digest, std::size_t> points_of_;  // grid points that mean the same share a cell
  std::vector<std::size_t> reference_points_;     // one for each reference of a sequence
  std::vector<Column> columns_;
  struct Text {
    TextColumn column;
    std::size_t of;  // index of the column that it is read off
    const std::function<std::string(std::span<const std::int64_t>)>* made_by;
  };
  std::vector<Text> texts_;
  std::vector<std::uint8_t> statuses_;
  std::uint8_t reference_done_ = static_cast<std::uint8_t>(CellStatus::done);
  bool quantities_known_ = false;
  std::size_t status_ = 0, reference_status_ = 0, first_quantity_ = 0, first_reference_ = 0;
  MergeSummary summary_;
};

/// Why the shard at `place` of the plan is not the one that belongs there, or "".
std::string wrong_shard(const MergePlan& plan, std::size_t place, const Shard& shard) {
  if (shard.experiment != plan.experiment)
    return "a shard of another experiment (" + to_hex(shard.experiment).substr(0, 12) + "..)";
  if (!plan.sequence_ids.empty() && shard.sequence_id != plan.sequence_ids[place])
    return "a shard of another sequence (" + to_hex(shard.sequence_id).substr(0, 12) + "..)";
  return "";
}

/// Why the shard cannot be part of this result, or "".
std::string mismatch(const MergePlan& plan, const Shard& shard, const std::optional<Shard>& first) {
  for (const auto* list : {&shard.quantities, &shard.reference_quantities}) {
    for (const Quantity& q : *list) {
      if (q.path == "/metrics/status" || q.path == "/reference/status")
        return q.path + " is written by merge";
      for (std::size_t i = 0; i < q.dims.size(); ++i)
        if (const auto axis = plan.inner_axes.find(q.dims[i]); axis != plan.inner_axes.end() &&
                                                               size(axis->second) > 0 &&
                                                               size(axis->second) != q.shape[i])
          return q.path + ": dimension " + q.dims[i] + " has " + std::to_string(q.shape[i]) +
                 " points where its axis has " + std::to_string(size(axis->second));
    }
  }
  if (!first) return Scales::conflict(plan.sequence_axes, plan.grid_axes, shard);
  const auto differing = [](const std::vector<Quantity>& a,
                            const std::vector<Quantity>& b) -> std::string {
    if (a.size() != b.size())
      return std::to_string(a.size()) + " quantities where another shard has " +
             std::to_string(b.size());
    const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin());
    return at == a.end() ? ""
                         : at->path + " differs from " + other->path +
                               " of another shard in name, dimensions, sizes or meaning";
  };
  const std::string different = differing(shard.quantities, first->quantities);
  return different.empty() ? differing(shard.reference_quantities, first->reference_quantities)
                           : different;
}

void check_plan(const MergePlan& plan) {
  expects(!plan.sequence_axes.empty(), "merge: at least one sequence axis");
  expects(plan.cell_ids.size() == product(sizes(plan.grid_axes)),
          "merge: as many cell ids as grid points");
  expects(plan.variants.empty() || plan.variants.size() == plan.cell_ids.size(),
          "merge: a variant for each grid point");
  expects(plan.shards.size() == product(sizes(plan.sequence_axes)) * variants(plan),
          "merge: as many shards as sequences of variants");
  for (const std::vector<std::filesystem::path>& more : plan.more_shards)
    expects(more.size() == plan.shards.size(), "merge: a file for each shard");
  expects(plan.sequence_ids.empty() || plan.sequence_ids.size() == plan.shards.size(),
          "merge: as many sequence ids as shards, or none");
  expects(plan.more_shards.empty() || !plan.sequence_ids.empty(),
          "merge: sequence ids of what is joined");
}

/// "first and second: arithmetic.low.mu = 4: other bits in /metrics/kl".
Error conflict_error(const MergePlan& plan, const std::filesystem::path& first,
                     const std::filesystem::path& second, const Conflict& conflict) {
  std::string cell = conflict.cell ? "cell " + to_hex(*conflict.cell).substr(0, 12) : "reference";
  const auto point = conflict.cell
                         ? std::find(plan.cell_ids.begin(), plan.cell_ids.end(), *conflict.cell)
                         : plan.cell_ids.end();
  if (point != plan.cell_ids.end() && plan.point_name)
    cell += " (" + plan.point_name(static_cast<std::size_t>(point - plan.cell_ids.begin())) + ")";
  return {ExitCode::check_failed, first.string() + " and " + second.string() + ": the " + cell +
                                      " has other bits in one than in the other, in " +
                                      conflict.dataset + "; lamp verify tells which are right"};
}

/// Reads shards of a plan, and holds them against it and against each other.
class Reader {
 public:
  explicit Reader(const MergePlan& plan) : plan_(plan) {}

  /// What all files of a place hold; nothing where none can be used.
  Result<std::optional<Shard>> read(std::size_t place) {
    std::optional<Shard> joined;
    std::filesystem::path from;  // the first of them
    for (std::size_t folder = 0; folder <= plan_.more_shards.size(); ++folder) {
      const std::filesystem::path& file =
          folder == 0 ? plan_.shards[place] : plan_.more_shards[folder - 1][place];
      Result<std::optional<Shard>> shard = read(place, file);
      if (!shard) return shard;
      if (!*shard) continue;
      if (!joined) {
        joined = **std::move(shard);
        from = file;
      } else if (const std::optional<Conflict> conflict = join(*joined, **std::move(shard))) {
        return conflict_error(plan_, from, file, *conflict);
      }
    }
    return joined;
  }

  [[nodiscard]] std::vector<std::string> damaged() && { return std::move(damaged_); }

 private:
  Result<std::optional<Shard>> read(std::size_t place, const std::filesystem::path& file) {
    Result<Shard> shard = read_shard(file);
    if (!shard && shard.error().code == ExitCode::missing_input) return std::optional<Shard>();
    if (!shard && shard.error().code == ExitCode::bad_data) {
      damaged_.push_back(shard.error().message);
      return std::optional<Shard>();
    }
    if (!shard) return shard.error();
    if (const std::string wrong = wrong_shard(plan_, place, *shard); !wrong.empty()) {
      damaged_.push_back(file.string() + ": " + wrong);
      return std::optional<Shard>();
    }
    if (const std::string wrong = mismatch(plan_, *shard, first_); !wrong.empty())
      return Error{ExitCode::bad_data, file.string() + ": " + wrong};
    if (!first_) first_ = Shard{{}, {}, shard->quantities, {}, shard->reference_quantities, {}};
    return std::optional<Shard>(*std::move(shard));
  }

  const MergePlan& plan_;
  std::optional<Shard> first_;  // its quantities only
  std::vector<std::string> damaged_;
};

}  // namespace

Result<MergeSummary> merge(const MergePlan& plan, const std::filesystem::path& out) {
  check_plan(plan);
  remove_leftovers(out.has_parent_path() ? out.parent_path() : ".", out.filename().string());
  Result<TemporaryFile> temporary = TemporaryFile::beside(out);
  if (!temporary) return temporary.error();
  const auto lock = hdf5::use_library();  // also while an error closes what is open
  try {
    Writer writer(plan, temporary->path());
    Reader reader(plan);
    const std::size_t each = variants(plan);
    for (std::size_t sequence = 0; sequence < plan.shards.size() / each; ++sequence) {
      std::map<std::size_t, Shard> shards;
      for (std::size_t variant = 0; variant < each; ++variant) {
        Result<std::optional<Shard>> shard = reader.read(sequence * each + variant);
        if (!shard) return shard.error();
        if (*shard) shards.emplace(variant, **std::move(shard));
      }
      if (!shards.empty()) writer.write(sequence, shards);
    }
    for (const PointQuantity& given : plan.of_points) writer.write(given);
    MergeSummary summary = writer.finish();
    summary.damaged = std::move(reader).damaged();
    if (const std::string different = writer.first_difference(); !different.empty())
      return Error{ExitCode::io, out.string() + ": cannot write: " + different +
                                     " reads back differently; is the disk full?"};
    if (Result<void> ended =
            temporary->end_with([](const Digest& digest) { return result_trailer(digest); });
        !ended)
      return ended.error();
    if (Result<void> committed = temporary->commit(); !committed) return committed.error();
    return summary;
  } catch (const hdf5::Failure& failure) {
    if (failure.error_number() != 0)
      return system_error(out, "cannot write", failure.error_number());
    return Error{ExitCode::io, out.string() + ": cannot write: " + failure.what()};
  }
}

}  // namespace lamp::record
