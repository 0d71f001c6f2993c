#include "core/record/scales.hpp"

#include <hdf5_hl.h>

#include <array>
#include <numeric>
#include <type_traits>

namespace lamp::record {
namespace {

using hdf5::check;

std::string group_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

const std::string& long_name(const Axis& axis) {
  return axis.long_name.empty() ? axis.name : axis.long_name;
}

template <class T>
constexpr bool is_text = std::is_same_v<T, std::string>;

hdf5::Handle create_scale(hid_t file, const std::string& path, const Axis& axis) {
  hdf5::Handle dataset = std::visit(
      [&](const auto& values) {
        using T = typename std::remove_cvref_t<decltype(values)>::value_type;
        if constexpr (is_text<T>) {
          return hdf5::write_text_dataset(file, path, values);
        } else {
          constexpr bool real = std::is_same_v<T, double>;
          const std::array dims{hsize_t{values.size()}};
          hdf5::Handle created =
              hdf5::create_dataset(file, path, real ? H5T_IEEE_F64LE : H5T_STD_I64LE,
                                   hdf5::dataspace(dims), hdf5::dataset_properties());
          if (!values.empty())
            check(H5Dwrite(created, real ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, H5S_ALL, H5S_ALL,
                           H5P_DEFAULT, values.data()),
                  "cannot write");
          return created;
        }
      },
      axis.values);
  hdf5::describe(dataset, axis.units, long_name(axis));
  check(H5DSset_scale(dataset, axis.name.c_str()), "cannot make a dimension scale");
  return dataset;
}

bool same(hid_t file, const std::string& path, const Axis& axis) {
  const hdf5::Handle dataset = hdf5::open_dataset(file, path);
  if (check(H5DSis_scale(dataset), "a dimension scale") == 0 ||
      hdf5::read_text(dataset, "units") != axis.units)
    return false;
  const hdf5::Handle space(H5Dget_space(dataset), H5Sclose, "a dataspace");
  if (hdf5::extent(space) != std::vector<hsize_t>{size(axis)}) return false;
  return std::visit(
      [&](const auto& values) {
        using T = typename std::remove_cvref_t<decltype(values)>::value_type;
        if constexpr (is_text<T>) {
          return hdf5::read_text_dataset(file, path) == values;
        } else {
          const hid_t type = std::is_same_v<T, double> ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64;
          std::vector<T> found(values.size());
          if (!found.empty())
            check(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, found.data()),
                  "cannot read");
          return found == values;
        }
      },
      axis.values);
}

}  // namespace

std::string Scales::conflict(const std::vector<Axis>& sequence_axes,
                             const std::vector<Axis>& grid_axes, const Shard& shard) {
  std::map<std::string, std::size_t> known;  // path of a scale: its size
  for (const auto* list : {&shard.quantities, &shard.reference_quantities})
    for (const Quantity& q : *list) {
      for (const auto* axes : {&sequence_axes, &grid_axes})
        for (const Axis& axis : *axes)
          for (const std::string& dim : q.dims)
            if (dim == axis.name)
              return q.path + ": dimension " + dim + " is also an axis of the grid";
      for (std::size_t i = 0; i < q.dims.size(); ++i) {
        const auto [at, isnew] = known.emplace(group_of(q.path) + "/" + q.dims[i], q.shape[i]);
        if (at->second != q.shape[i])
          return q.path + ": dimension " + q.dims[i] + " has two sizes in one group";
      }
    }
  for (const auto* list : {&shard.quantities, &shard.reference_quantities})
    for (const Quantity& q : *list)
      for (const auto* axes : {&sequence_axes, &grid_axes})
        for (const Axis& axis : *axes)
          if (known.contains(q.path) || q.path == group_of(q.path) + "/" + axis.name)
            return q.path + " is named as a dimension";
  return "";
}

Axis Scales::inner_axis(const std::string& group, const std::string& name,
                        std::size_t count) const {
  auto found = inner_axes_.find(group + "/" + name);
  if (found == inner_axes_.end()) found = inner_axes_.find(name);
  if (found != inner_axes_.end() && (size(found->second) > 0 || count == 0)) return found->second;
  std::vector<std::int64_t> counted(count);
  std::iota(counted.begin(), counted.end(), std::int64_t{0});
  Axis axis{.name = name, .values = std::move(counted)};
  if (found != inner_axes_.end()) axis.long_name = found->second.long_name;
  return axis;
}

void Scales::attach(hid_t file, hid_t dataset, const Quantity& quantity,
                    const std::vector<const Axis*>& lead) {
  std::vector<Axis> axes;
  for (const Axis* axis : lead) axes.push_back(*axis);
  for (std::size_t i = 0; i < quantity.dims.size(); ++i)
    axes.push_back(inner_axis(group_of(quantity.path), quantity.dims[i], quantity.shape[i]));
  for (unsigned i = 0; i < axes.size(); ++i) {
    axes[i].name = i < lead.size() ? axes[i].name : quantity.dims[i - lead.size()];
    const std::string path = group_of(quantity.path) + "/" + axes[i].name;
    auto at = scales_.find(path);
    if (at == scales_.end())
      at = scales_.emplace(path, Scale{axes[i], create_scale(file, path, axes[i])}).first;
    check(H5DSattach_scale(dataset, at->second.dataset, i), "cannot attach a dimension scale");
    check(H5DSset_label(dataset, i, axes[i].name.c_str()), "cannot label a dimension");
  }
}

void Scales::close() {
  for (auto& [path, scale] : scales_) scale.dataset.close();
}

std::string Scales::first_difference(hid_t file) const {
  for (const auto& [path, scale] : scales_)
    if (!same(file, path, scale.axis)) return path;
  return "";
}

}  // namespace lamp::record
