#include "experiments/calc_request.hpp"

#include <limits>

#include "experiments/hex_float.hpp"

namespace lamp::experiments {
namespace {

enum class BackendName { automatic, scalar, avx2, avx512, mpfr };

constexpr std::array<std::pair<std::string_view, BackendName>, 5> backends{{{"auto", BackendName::automatic},
                                                                            {"scalar", BackendName::scalar},
                                                                            {"mpfr", BackendName::mpfr},
                                                                            {"avx2", BackendName::avx2},
                                                                            {"avx512", BackendName::avx512}}};

constexpr const char* legal_list = "a list of numbers: C hex floats such as \"0x1.8p+1\", \"nan\", \"inf\", \"-inf\", or JSON numbers";

std::string found(const nlohmann::json& value) { return describe(value_of_json(value)); }

}  // namespace

const nlohmann::json* CalcRequest::required(const char* key, const char* legal) {
  const auto value = object_.find(key);
  if (value != object_.end()) return &*value;
  fail({key, " is missing; legal: ", legal});
  return nullptr;
}

double CalcRequest::read_number(const char* key, const nlohmann::json& value) {
  if (value.is_number()) return value.get<double>();  // nlohmann-json reads digits by strtod: RNE
  if (!value.is_string()) return fail({key, ": ", found(value), " is no number; legal: ", legal_list}), 0.0;
  const Result<double> number = parse_hex_float(value.get_ref<const std::string&>());
  if (!number) return fail({key, ": ", number.error().message}), 0.0;
  return *number;
}

std::vector<double> CalcRequest::read_list(const char* key, const nlohmann::json& value) {
  std::vector<double> numbers;
  if (!value.is_array()) return fail({key, " is ", found(value), "; legal: ", legal_list}), numbers;
  numbers.reserve(value.size());
  for (const nlohmann::json& element : value) numbers.push_back(read_number(key, element));
  return numbers;
}

std::vector<double> CalcRequest::numbers(const char* key) {
  const nlohmann::json* value = required(key, legal_list);
  return value == nullptr ? std::vector<double>{} : read_list(key, *value);
}

std::vector<double> CalcRequest::numbers(const char* key, std::size_t length, const char* like) {
  std::vector<double> list = numbers(key);
  if (list.size() != length)
    fail({key, " has ", std::to_string(list.size()), " elements, ", like, " ", std::to_string(length), "; legal: equally many"});
  return list;
}

Matrix<double> CalcRequest::matrix(const char* key) {
  const nlohmann::json* value = required(key, "a list of rows of one length");
  if (value == nullptr) return {};
  if (!value->is_array()) return fail({key, " is ", found(*value), "; legal: a list of rows of one length"}), Matrix<double>{};
  std::vector<std::vector<double>> rows;
  for (const nlohmann::json& row : *value) rows.push_back(read_list(key, row));
  const std::size_t cols = rows.empty() ? 0 : rows.front().size();
  Matrix<double> out(rows.size(), cols);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].size() != cols)
      return fail({key, ": row ", std::to_string(i), " has ", std::to_string(rows[i].size()), " elements, row 0 ", std::to_string(cols),
                   "; legal: rows of one length"}),
             Matrix<double>{};
    std::copy(rows[i].begin(), rows[i].end(), out.row(i).begin());
  }
  return out;
}

std::optional<double> CalcRequest::number(const char* key) {
  const auto value = object_.find(key);
  return value == object_.end() ? std::nullopt : std::optional(read_number(key, *value));
}

std::optional<std::size_t> CalcRequest::count(const char* key) {
  const auto value = object_.find(key);
  if (value == object_.end()) return std::nullopt;
  if (!value->is_number_unsigned()) return fail({key, " is ", found(*value), "; legal: integers >= 0"}), std::nullopt;
  return value->get<std::size_t>();
}

void CalcRequest::check_format(const char* key, const FloatFormat& format) {
  if (!fits_binary64(format))
    fail({key, ": legal are formats whose numbers are binary64 numbers: p <= 53, emax <= 1023, emin - p + 1 >= -1074"});
}

void CalcRequest::check_rounding(Rounding mode) {
  if (mode == Rounding::sr || mode == Rounding::sre)
    fail({"rounding: ", rounding_name(mode), " is not there yet; legal: RNE, RNA, RTZ, RTP, RTN, RTO"});
}

FloatFormat CalcRequest::format() {
  const nlohmann::json* value =
      required("format", "a name such as \"binary16\", \"ps7\", \"e4m3\", or an object {\"p\": 8, \"emin\": -126, \"emax\": 127}");
  if (value == nullptr) return binary64;
  const Result<FloatFormat> format = parse_format_json(*value);
  if (!format) return fail({"format: ", format.error().message}), binary64;
  check_format("format", *format);
  return *format;
}

Rounding CalcRequest::rounding() {
  const auto value = object_.find("rounding");
  if (value == object_.end()) return Rounding::rne;
  const std::optional<Rounding> mode = value->is_string() ? parse_rounding(value->get_ref<const std::string&>()) : std::nullopt;
  if (!mode) return fail({"rounding is ", found(*value), "; legal: RNE, RNA, RTZ, RTP, RTN, RTO"}), Rounding::rne;
  check_rounding(*mode);
  return *mode;
}

Arithmetic CalcRequest::arithmetic() {
  const nlohmann::json* value = required("arith", "an object such as {\"format\": \"ps7\", \"via\": \"binary32\"}");
  if (value == nullptr) return fused(binary64);
  const Result<Arithmetic> arithmetic = parse_arithmetic(*value);
  if (!arithmetic) return fail({arithmetic.error().message}), fused(binary64);
  const MacSpec& mac = arithmetic->mac;
  check_format("arith.format", mac.format);
  if (mac.operands) check_format("arith.operands", *mac.operands);
  if (mac.product) check_format("arith.product", *mac.product);
  if (mac.via) check_format("arith.via", *mac.via);
  check_rounding(mac.rounding);
  return failed() ? fused(binary64) : *arithmetic;
}

CalcRequest::Engine CalcRequest::engine() {
  switch (choice<BackendName>("backend", backends, BackendName::automatic)) {
    case BackendName::automatic:
      return {};
    case BackendName::scalar:
      return {.backend = Backend::scalar};
    case BackendName::mpfr:
      return {.mpfr = true};
    case BackendName::avx2:
      if (!available(Backend::avx2)) fail({"backend: this machine has no AVX2; legal here: auto, scalar, mpfr"});
      return {.backend = Backend::avx2};
    case BackendName::avx512:
      if (!available(Backend::avx512)) fail({"backend: this machine has no AVX-512; legal here: auto, scalar, mpfr"});
      return {.backend = Backend::avx512};
  }
  return {};
}

}  // namespace lamp::experiments
