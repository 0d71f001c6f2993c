// Reads a dataset of a golden file as binary64, straight through the HDF5 C API: independent of
// core/record.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace lamp::test {

struct GoldenArray {
  std::vector<std::size_t> shape;
  std::vector<double> values;
  [[nodiscard]] std::size_t stride(std::size_t axis) const {
    std::size_t n = 1;
    for (std::size_t i = axis + 1; i < shape.size(); ++i) n *= shape[i];
    return n;
  }
  /// The values of one index along the first axis.
  [[nodiscard]] std::vector<double> slice(std::size_t i) const {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(i * stride(0));
    return {first, first + static_cast<std::ptrdiff_t>(stride(0))};
  }
};

inline GoldenArray read_golden(const std::string& file, const std::string& path) {
  const hid_t f = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t d = f < 0 ? H5I_INVALID_HID : H5Dopen2(f, path.c_str(), H5P_DEFAULT);
  if (d < 0) throw std::runtime_error("golden " + file + ":" + path + " cannot be opened");
  const hid_t s = H5Dget_space(d);
  std::vector<hsize_t> dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(s)));
  H5Sget_simple_extent_dims(s, dims.data(), nullptr);
  GoldenArray array;
  std::size_t count = 1;
  for (const hsize_t n : dims)
    array.shape.push_back(static_cast<std::size_t>(n)), count *= static_cast<std::size_t>(n);
  array.values.resize(count);
  const bool read =
      H5Dread(d, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data()) >= 0;
  H5Sclose(s), H5Dclose(d), H5Fclose(f);
  if (!read) throw std::runtime_error("golden " + file + ":" + path + " cannot be read");
  return array;
}

}  // namespace lamp::test
