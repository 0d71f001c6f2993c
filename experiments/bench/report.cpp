#include "experiments/bench/report.hpp"

#include <cblas.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "experiments/bench/passes.hpp"
#include "experiments/bench/rates.hpp"
#include "experiments/build_info.hpp"
#include "experiments/commands/text.hpp"

namespace lamp::experiments::bench {
namespace {

/// What a group's numbers are, and the key of its list in JSON.
struct GroupText {
  std::string_view list, key, unit;
  double scale = 1.0;  // from ns for a unit of work
};

GroupText text_of(Group group) {
  switch (group) {
    case Group::machine:
      return {"machine", "ns", "ns an operation, byte, multiply-accumulate"};
    case Group::gemm:
      return {"kernels", "ns_per_mac", "ns a multiply-accumulate"};
    case Group::elementwise:
      return {"elementwise", "ns_per_entry", "ns an entry"};
    case Group::selection:
      return {"selection", "ns_per_entry", "ns a component"};
    case Group::functions:
      return {"functions", "ns_per_entry", "ns an element"};
    case Group::model:
      return {"passes", "seconds", "seconds", 1e-9};
  }
  contract_violated("text_of: a known group");
}

/// The model name of the first processor, as Linux gives it.
std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

/// "OpenBLAS 0.3.21 SkylakeX": version and the core type whose kernels run.
std::string blas() {
  const std::string config = openblas_get_config();
  const std::size_t second = config.find(' ', config.find(' ') + 1);
  return config.substr(0, second) + " " + openblas_get_corename();
}

/// Looks rates up among the machine's rows.
class Bounds {
 public:
  explicit Bounds(const std::vector<Measured>& all) : all_(all) {}

  /// Median ns of a row of the machine, or of passes; absent where there is no such row.
  [[nodiscard]] std::optional<double> median(std::string_view name,
                                             std::string_view target = {}) const {
    for (const Measured& one : all_)
      if (one.row.name == name && (target.empty() || one.row.target == target))
        return one.measurement.median;
    return std::nullopt;
  }

  /// ns for a unit of work that no implementation goes below which takes these operations: the
  /// largest of what ports of any kind, multipliers, the divider and copies need.
  [[nodiscard]] std::optional<double> of(const Row& row) const {
    const Operations& operations = row.bound.operations;
    if (operations.all == 0.0) return std::nullopt;
    const double lanes = rate_loops(row.target).vector_bits / row.bound.lane_bits;
    const std::string_view division = row.bound.lane_bits == 64 ? division_64 : division_32;
    return std::max({operations.all * *median(any_operation, row.target) / lanes,
                     operations.multiplications * *median(multiplication, row.target) / lanes,
                     operations.divisions * *median(division, row.target) / lanes,
                     row.bound.bytes / 2.0 * *median(copy_near)});
  }

  /// Times SGEMM's time for the same products.
  [[nodiscard]] std::optional<double> ratio(const Measured& one) const {
    if (one.row.group == Group::gemm) return one.measurement.median / *median(sgemm);
    if (one.row.group == Group::model && one.row.name != sgemm_sum)
      return one.measurement.median / *median(sgemm_sum);
    return std::nullopt;
  }

 private:
  const std::vector<Measured>& all_;
};

/// Three digits.
std::string number(double x) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), x != 0.0 && (x < 1e-3 || x >= 1e6) ? "%.2e" : "%.3g", x);
  return text.data();
}
std::string number(const std::optional<double>& x) { return x ? number(*x) : "-"; }

std::string right(const std::string& text, std::size_t columns) {
  return std::string(text.size() < columns ? columns - text.size() : 0, ' ') + text;
}

nlohmann::ordered_json json_of(const std::optional<double>& x) {
  return x ? nlohmann::ordered_json(*x) : nlohmann::ordered_json(nullptr);
}

}  // namespace

void print_table(const std::vector<Measured>& all, std::size_t threads, std::ostream& out) {
  const Bounds bounds(all);
  out << processor() << "; " << blas() << "; lamp " << build_info().version << ' '
      << build_info().commit << "; passes with " << threads
      << (threads == 1 ? " thread\n" : " threads\n")
      << "median (quartiles) of repetitions that take turns; bound: operations over ports, or a "
         "copy\n";
  std::optional<Group> group;
  for (const Measured& one : all) {
    const GroupText text = text_of(one.row.group);
    if (group != one.row.group) {
      out << '\n'
          << padded(
                 std::string(name_in(group_names, one.row.group)) + ": " + std::string(text.unit),
                 56)
          << right("median", 9) << right("quartiles", 19) << right("SGEMM x", 9)
          << right("bound", 9) << right("bound x", 9) << '\n';
      group = one.row.group;
    }
    const Measurement& m = one.measurement;
    const std::optional<double> bound = bounds.of(one.row);
    out << "  " << padded(padded(one.row.name, 43) + one.row.target, 54)
        << right(number(text.scale * m.median), 9)
        << right("(" + number(text.scale * m.first_quartile) + " " +
                     number(text.scale * m.third_quartile) + ")",
                 19)
        << right(number(bounds.ratio(one)), 9)
        << right(bound ? number(text.scale * *bound) : "-", 9)
        << right(bound ? number(m.median / *bound) : "-", 9)
        << (m.detail.empty() ? "" : "  " + m.detail) << '\n';
  }
}

nlohmann::ordered_json as_json(const std::vector<Measured>& all, std::size_t threads) {
  const Bounds bounds(all);
  nlohmann::ordered_json out{{"cpu", processor()},
                             {"blas", blas()},
                             {"version", build_info().version},
                             {"commit", build_info().commit},
                             {"threads", threads}};
  for (const NamedValue<Group>& group : group_names)
    out[std::string(text_of(group.value).list)] = nlohmann::ordered_json::array();
  for (const Measured& one : all) {
    const GroupText text = text_of(one.row.group);
    const Measurement& m = one.measurement;
    const std::string unit(text.key);
    const std::string suffix = unit == "seconds" ? "_seconds" : "_ns";
    nlohmann::ordered_json row{
        {"name", one.row.name},
        {"target", one.row.target},
        {unit, text.scale * m.median},
        {"quartiles", {text.scale * m.first_quartile, text.scale * m.third_quartile}},
        {"repetitions", m.repetitions}};
    if (!m.detail.empty()) row["detail"] = m.detail;
    if (one.row.group != Group::machine) {
      const std::optional<double> bound = bounds.of(one.row);
      row["bound" + suffix] = json_of(bound ? std::optional(text.scale * *bound) : bound);
      if (one.row.group == Group::gemm || one.row.group == Group::model)
        row["ratio_sgemm"] = json_of(bounds.ratio(one));
    }
    out[std::string(text.list)].push_back(std::move(row));
  }
  return out;
}

}  // namespace lamp::experiments::bench
