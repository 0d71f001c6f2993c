#include "core/record/contents.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>

namespace lamp::record {
namespace {

/// Length-prefixed pieces: no two different contents give the same byte stream.
class Hasher {
 public:
  void number(std::uint64_t value) {
    std::array<std::byte, 8> little{};
    for (std::size_t i = 0; i < 8; ++i) little[i] = static_cast<std::byte>(value >> (8 * i));
    hash_.update(little);
  }
  void text(std::string_view s) { number(s.size()), hash_.update(s); }
  void texts(const std::vector<std::string>& list) {
    number(list.size());
    for (const std::string& s : list) text(s);
  }
  void digest(const Digest& d) { hash_.update(std::as_bytes(std::span(d))); }
  void values(const Values& v) {
    number(v.index());
    number(bytes(v).size());
    const auto* numbers = std::get_if<std::vector<double>>(&v);
    if (numbers == nullptr ||
        std::none_of(numbers->begin(), numbers->end(), [](double x) { return std::isnan(x); })) {
      hash_.update(bytes(v));
      return;
    }
    std::vector<double> canonical(*numbers);
    for (double& x : canonical)
      if (std::isnan(x)) x = std::numeric_limits<double>::quiet_NaN();
    hash_.update(std::as_bytes(std::span(canonical)));
  }
  void quantity(const Quantity& q) {
    text(q.path), texts(q.dims), number(q.shape.size());
    for (const std::size_t n : q.shape) number(n);
    text(q.units), text(q.long_name), texts(q.flag_meanings), number(q.prototype.index()),
        texts(q.constant_over);
  }
  Digest finish() { return hash_.finish(); }

 private:
  Sha256 hash_;
};

bool good_word(const std::string& word) {
  return !word.empty() &&
         word.find_first_of(std::string_view(" \t\n\v\f\r/\0", 8)) == std::string::npos;
}

bool good_path(const std::string& path) {
  return path.size() > 1 && path.front() == '/' && path.back() != '/' &&
         path.find("//") == std::string::npos && path.find('\0') == std::string::npos &&
         path.find('/', 1) != std::string::npos && !path.starts_with("/cells/") &&
         !path.starts_with("/index/");
}

std::string defect(const Quantity& q, const Values& v, bool may_be_absent) {
  if (v.index() != q.prototype.index()) return q.path + ": values of another element type";
  const std::size_t count = bytes(v).size() / element_size(v);
  if (count != elements(q) && !(may_be_absent && count == 0))
    return q.path + ": " + std::to_string(count) + " values where the shape has " +
           std::to_string(elements(q));
  return "";
}

}  // namespace

std::size_t size(const Axis& axis) {
  return std::visit([](const auto& v) { return v.size(); }, axis.values);
}

std::size_t elements(const Quantity& quantity) {
  std::size_t product = 1;
  for (const std::size_t n : quantity.shape) product *= n;
  return product;
}

std::size_t element_size(const Values& values) {
  return std::visit([](const auto& v) { return sizeof(v[0]); }, values);
}

std::span<const std::byte> bytes(const Values& values) {
  return std::visit([](const auto& v) { return std::as_bytes(std::span(v)); }, values);
}

std::span<std::byte> bytes(Values& values) {
  return std::visit([](auto& v) { return std::as_writable_bytes(std::span(v)); }, values);
}

Values zeros_like(const Values& prototype, std::size_t count) {
  return std::visit(
      [count](const auto& v) -> Values { return std::remove_cvref_t<decltype(v)>(count); },
      prototype);
}

std::string defect(const Quantity& q) {
  if (!good_path(q.path))
    return "path \"" + q.path + "\" is not /group/name outside /cells and /index";
  if (q.dims.size() != q.shape.size()) return q.path + ": dims and shape differ in length";
  if (!std::all_of(q.dims.begin(), q.dims.end(), good_word))
    return q.path + ": a dimension's name is not one word";
  if (std::set<std::string>(q.dims.begin(), q.dims.end()).size() != q.dims.size())
    return q.path + ": two dimensions of one name";
  std::uint64_t product = 1;
  for (const std::size_t n : q.shape)
    if (__builtin_mul_overflow(product, std::uint64_t{n}, &product) ||
        product > (std::uint64_t{1} << 40))
      return q.path + ": more than 2^40 elements in a cell";
  if (q.units.empty() || q.long_name.empty()) return q.path + ": units or long_name is empty";
  if (!q.flag_meanings.empty() && !std::holds_alternative<std::vector<std::uint8_t>>(q.prototype))
    return q.path + ": flags are not uint8";
  if (!std::all_of(q.flag_meanings.begin(), q.flag_meanings.end(), good_word))
    return q.path + ": a flag's meaning is not one word";
  if (!bytes(q.prototype).empty()) return q.path + ": the prototype is not empty";
  return "";
}

std::string defect(const Shard& shard) {
  std::set<std::string> paths;
  for (const auto* list : {&shard.quantities, &shard.reference_quantities})
    for (const Quantity& q : *list) {
      if (std::string wrong = defect(q); !wrong.empty()) return wrong;
      if (!paths.insert(q.path).second) return q.path + " is there twice";
    }
  if (shard.reference.size() != shard.reference_quantities.size())
    return "reference values and quantities differ in number";
  for (std::size_t i = 0; i < shard.reference.size(); ++i) {
    if (!shard.reference_quantities[i].constant_over.empty())
      return shard.reference_quantities[i].path + ": a reference has no grid axes";
    if (std::string wrong = defect(shard.reference_quantities[i], shard.reference[i], false);
        !wrong.empty())
      return wrong;
  }
  std::set<Digest> ids;
  for (const CellRecord& cell : shard.cells) {
    if (!ids.insert(cell.id).second) return "cell " + to_hex(cell.id) + " is there twice";
    if (cell.status != CellStatus::done && cell.status != CellStatus::failed)
      return "cell " + to_hex(cell.id) + " is neither done nor failed";
    if (cell.values.size() != shard.quantities.size())
      return "cell " + to_hex(cell.id) + ": values and quantities differ in number";
    for (std::size_t i = 0; i < cell.values.size(); ++i)
      if (std::string wrong = defect(shard.quantities[i], cell.values[i], true); !wrong.empty())
        return wrong;
  }
  return "";
}

Digest content_hash(const Shard& shard) {
  Hasher hasher;
  hasher.text("lamp shard 1");
  hasher.digest(shard.experiment);
  hasher.digest(shard.sequence_id);
  hasher.number(shard.quantities.size());
  for (const Quantity& q : shard.quantities) hasher.quantity(q);
  hasher.number(shard.cells.size());
  for (const CellRecord& cell : shard.cells) {
    hasher.digest(cell.id);
    hasher.number(static_cast<std::uint64_t>(cell.status));
    for (const Values& v : cell.values) hasher.values(v);
  }
  hasher.number(shard.reference_quantities.size());
  for (const Quantity& q : shard.reference_quantities) hasher.quantity(q);
  for (const Values& v : shard.reference) hasher.values(v);
  return hasher.finish();
}

}  // namespace lamp::record
