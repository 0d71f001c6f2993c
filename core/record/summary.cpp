#include "core/record/summary.hpp"

#include <hdf5_hl.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <utility>

#include "core/record/apart.hpp"
#include "core/record/hdf5.hpp"
#include "core/record/shard.hpp"

namespace lamp::record {
namespace {

using hdf5::check;

std::string type_name(hid_t type) {
  const std::array<std::pair<hid_t, const char*>, 5> types{{{H5T_IEEE_F64LE, "float64"},
                                                            {H5T_STD_U64LE, "uint64"},
                                                            {H5T_STD_U32LE, "uint32"},
                                                            {H5T_STD_U8LE, "uint8"},
                                                            {H5T_STD_I64LE, "int64"}}};
  for (const auto& [known, name] : types)
    if (check(H5Tequal(type, known), "a type") > 0) return name;
  return check(H5Tget_class(type), "a type") == H5T_STRING ? "text" : "other";
}

std::string text_or_empty(hid_t object, const std::string& attribute) {
  return check(H5Aexists(object, attribute.c_str()), "cannot look up an attribute") > 0
             ? hdf5::read_text(object, attribute)
             : "";
}

std::string dimension_label(hid_t dataset, unsigned dimension) {
  const ssize_t length = H5DSget_label(dataset, dimension, nullptr, 0);
  if (length <= 0) return "";
  std::string label(static_cast<std::size_t>(length) + 1, '\0');
  check(H5DSget_label(dataset, dimension, label.data(), label.size()), "a label");
  label.resize(static_cast<std::size_t>(length));
  return label;
}

DatasetSummary read_dataset(hid_t file, const std::string& path, FileKind kind) {
  const hdf5::Handle dataset = hdf5::open_dataset(file, path);
  const hdf5::Handle type(H5Dget_type(dataset), H5Tclose, "a type");
  const hdf5::Handle space(H5Dget_space(dataset), H5Sclose, "a dataspace");
  DatasetSummary summary{.path = path,
                         .type = type_name(type),
                         .dims = {},
                         .shape = {},
                         .units = text_or_empty(dataset, "units"),
                         .long_name = text_or_empty(dataset, "long_name"),
                         .scale = false};
  for (const hsize_t n : hdf5::extent(space)) summary.shape.push_back(static_cast<std::size_t>(n));
  summary.scale =
      summary.shape.size() == 1 && check(H5DSis_scale(dataset), "a dimension scale") > 0;
  if (summary.scale) {
    summary.dims = {path.substr(path.rfind('/') + 1)};
  } else if (kind == FileKind::shard) {
    summary.dims = hdf5::read_texts(dataset, "dims");
    if (!path.starts_with("/index/") && summary.dims.size() + 1 == summary.shape.size())
      summary.dims.insert(summary.dims.begin(), "cell");
  } else {
    for (unsigned i = 0; i < summary.shape.size(); ++i)
      summary.dims.push_back(dimension_label(dataset, i));
  }
  summary.dims.resize(summary.shape.size());
  return summary;
}

herr_t collect(hid_t, const char* name, const H5O_info_t* info, void* paths) {
  if (info->type == H5O_TYPE_DATASET)
    static_cast<std::vector<std::string>*>(paths)->push_back(std::string("/").append(name));
  return 0;
}

std::vector<std::uint8_t> statuses_of(hid_t file, const std::string& path) {
  const hdf5::Handle dataset = hdf5::open_dataset(file, path);
  const hdf5::Handle type(H5Dget_type(dataset), H5Tclose, "a type");
  if (type_name(type) != "uint8") throw hdf5::Failure(path + " is not uint8", 0);
  const hdf5::Handle space(H5Dget_space(dataset), H5Sclose, "a dataspace");
  const auto points =
      static_cast<std::size_t>(check(H5Sget_simple_extent_npoints(space), "a dataspace"));
  hdf5::expect_held(dataset, points, 1);
  std::vector<std::uint8_t> statuses(points);
  if (!statuses.empty())
    check(H5Dread(dataset, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, statuses.data()),
          "cannot read");
  return statuses;
}

/// Counts the values of a status dataset of any extent.
void count_statuses(hid_t file, const std::string& path, FileSummary& summary) {
  for (const std::uint8_t status : statuses_of(file, path))
    ++(status == static_cast<std::uint8_t>(CellStatus::done)     ? summary.done
       : status == static_cast<std::uint8_t>(CellStatus::failed) ? summary.failed
                                                                 : summary.pending);
}

/// The coordinates of a dimension: numbers of `native` type.
template <class Number>
std::vector<Number> coordinates(hid_t file, const DatasetSummary& summary, hid_t native) {
  if (summary.shape.size() != 1) throw hdf5::Failure(summary.path + " is no list", 0);
  const hdf5::Handle dataset = hdf5::open_dataset(file, summary.path);
  hdf5::expect_held(dataset, summary.shape[0], sizeof(Number));
  std::vector<Number> values(summary.shape[0]);
  if (!values.empty())
    check(H5Dread(dataset, native, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "cannot read");
  return values;
}

FileSummary read_summary(hid_t file, FileKind kind, bool verified) {
  FileSummary summary{.kind = kind,
                      .verified = verified,
                      .schema_version = hdf5::read_number(file, "schema_version"),
                      .experiment = hdf5::read_text(file, "experiment"),
                      .datasets = {}};
  if (kind == FileKind::shard) summary.sequence_id = hdf5::read_text(file, "sequence_id");
  std::vector<std::string> paths;
  check(H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, collect, &paths, H5O_INFO_BASIC),
        "cannot list the datasets");
  constexpr std::string_view provenance = "/provenance/";
  for (const std::string& dataset : paths) {
    if (!dataset.starts_with(provenance)) {
      summary.datasets.push_back(read_dataset(file, dataset, kind));
      continue;
    }
    const std::vector<std::string> value = hdf5::read_text_dataset(file, dataset);
    summary.provenance.emplace_back(dataset.substr(provenance.size()),
                                    value.empty() ? "" : value.front());
  }
  count_statuses(file, kind == FileKind::shard ? "/cells/status" : "/metrics/status", summary);
  return summary;
}

}  // namespace

std::string FileSummary::entry(const std::string& name) const {
  for (const auto& [key, value] : provenance)
    if (key == name) return value;
  return "";
}

Result<FileSummary> summarise(const StoredFile& file) {
  if (file.kind() == FileKind::shard)
    if (const Result<Shard> whole = read_shard(file); !whole) return whole.error();
  return read_apart(
      file, [&](hid_t opened) { return read_summary(opened, file.kind(), file.verified()); });
}

Result<Numbers> read_numbers(const StoredFile& file, const std::string& path) {
  return read_apart(file, [&](hid_t opened) {
    const DatasetSummary summary = read_dataset(opened, path, FileKind::result);
    if (summary.type != "float64" && summary.type != "int64")
      throw hdf5::Failure(path + " is neither float64 nor int64", 0);
    Numbers numbers{.dims = summary.dims, .shape = summary.shape, .values = {}};
    std::uint64_t elements = 1;
    for (const std::size_t n : numbers.shape) elements = hdf5::saturating_product(elements, n);
    const hdf5::Handle dataset = hdf5::open_dataset(opened, path);
    hdf5::expect_held(dataset, elements, sizeof(double));
    numbers.values.resize(elements);
    if (!numbers.values.empty())
      check(
          H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.values.data()),
          "cannot read");
    return numbers;
  });
}

Result<std::vector<std::uint8_t>> read_statuses(const StoredFile& file, const std::string& path) {
  return read_apart(file, [&](hid_t opened) { return statuses_of(opened, path); });
}

Result<Axis> read_axis(const StoredFile& file, const std::string& group, const std::string& name) {
  return read_apart(file, [&](hid_t opened) {
    const DatasetSummary summary = read_dataset(opened, group + "/" + name, FileKind::result);
    Axis axis{.name = name, .values = {}, .units = summary.units, .long_name = summary.long_name};
    if (summary.type == "text")
      axis.values = hdf5::read_text_dataset(opened, summary.path);
    else if (summary.type == "float64")
      axis.values = coordinates<double>(opened, summary, H5T_NATIVE_DOUBLE);
    else
      axis.values = coordinates<std::int64_t>(opened, summary, H5T_NATIVE_INT64);
    return axis;
  });
}

Result<std::vector<std::string>> read_labels(const StoredFile& file, const std::string& path) {
  return read_apart(file, [&](hid_t opened) { return hdf5::read_text_dataset(opened, path); });
}

}  // namespace lamp::record
