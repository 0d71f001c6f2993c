#include "experiments/calc/request.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "core/arith/orders/order_text.hpp"
#include "experiments/calc/hex_float.hpp"
#include "experiments/config/suggestions.hpp"

namespace lamp::experiments {
namespace {

enum class BackendName { automatic, scalar, mpfr, avx512, avx2, sse4, neon };

constexpr std::array<NamedValue<BackendName>, 7> names_of_backends{
    {{"auto", BackendName::automatic},
     {"scalar", BackendName::scalar},
     {"mpfr", BackendName::mpfr},
     {"avx512", BackendName::avx512},
     {"avx2", BackendName::avx2},
     {"sse4", BackendName::sse4},
     {"neon", BackendName::neon}}};
static_assert(names_all(names_of_backends));

constexpr const char* legal_list =
    "a list of numbers: C hex floats such as \"0x1.8p+1\", \"nan\", \"inf\", \"-inf\", or JSON "
    "numbers";

constexpr const char* legal_format =
    "a name such as \"binary16\", \"ps7\", \"e4m3\", or an object {\"p\": 8, \"emin\": -126, "
    "\"emax\": 127}";

std::string found(const nlohmann::json& value) { return describe(value_of_json(value)); }

Result<double> parse(std::string_view text, const double*) { return parse_hex_float(text); }
Result<mpfr::Real> parse(std::string_view text, const mpfr::Real*) {
  return mpfr::Real::parse(text);
}

}  // namespace

const nlohmann::json* CalcRequest::required(const char* key, const char* legal) {
  const auto value = object_.find(key);
  if (value != object_.end()) return &*value;
  fail({key, " is missing; legal: ", legal});
  return nullptr;
}

template <class T>
T CalcRequest::read_number(const char* key, const nlohmann::json& value) {
  if (value.is_number())
    return T(value.get<double>());  // nlohmann-json reads digits by strtod: RNE
  if (!value.is_string())
    return fail({key, ": ", found(value), " is no number; legal: ", legal_list}), T(0.0);
  Result<T> number = parse(value.get_ref<const std::string&>(), static_cast<const T*>(nullptr));
  if (!number) return fail({key, ": ", number.error().message}), T(0.0);
  return *std::move(number);
}

template <class T>
std::vector<T> CalcRequest::read_list(const char* key, const nlohmann::json& value) {
  std::vector<T> list;
  if (!value.is_array()) return fail({key, " is ", found(value), "; legal: ", legal_list}), list;
  list.reserve(value.size());
  for (const nlohmann::json& element : value) list.push_back(read_number<T>(key, element));
  return list;
}

template <class T>
std::vector<T> CalcRequest::numbers(const char* key) {
  const nlohmann::json* value = required(key, legal_list);
  return value == nullptr ? std::vector<T>{} : read_list<T>(key, *value);
}

template <class T>
std::vector<T> CalcRequest::numbers(const char* key, std::size_t length, const char* like) {
  std::vector<T> list = numbers<T>(key);
  if (list.size() != length)
    fail({key, " has ", std::to_string(list.size()), " elements, ", like, " ",
          std::to_string(length), "; legal: equally many"});
  return list;
}

template std::vector<double> CalcRequest::numbers(const char*);
template std::vector<double> CalcRequest::numbers(const char*, std::size_t, const char*);
template std::vector<mpfr::Real> CalcRequest::numbers(const char*);
template std::vector<mpfr::Real> CalcRequest::numbers(const char*, std::size_t, const char*);

Matrix<double> CalcRequest::matrix(const char* key) {
  const nlohmann::json* value = required(key, "a list of rows of one length");
  if (value == nullptr) return {};
  if (!value->is_array())
    return fail({key, " is ", found(*value), "; legal: a list of rows of one length"}),
           Matrix<double>{};
  std::vector<std::vector<double>> rows;
  for (const nlohmann::json& row : *value) rows.push_back(read_list<double>(key, row));
  const std::size_t cols = rows.empty() ? 0 : rows.front().size();
  Matrix<double> out(rows.size(), cols);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].size() != cols)
      return fail({key, ": row ", std::to_string(i), " has ", std::to_string(rows[i].size()),
                   " elements, row 0 ", std::to_string(cols), "; legal: rows of one length"}),
             Matrix<double>{};
    std::copy(rows[i].begin(), rows[i].end(), out.row(i).begin());
  }
  return out;
}

std::optional<double> CalcRequest::number(const char* key) {
  const auto value = object_.find(key);
  return value == object_.end() ? std::nullopt : std::optional(read_number<double>(key, *value));
}

std::optional<std::uint64_t> CalcRequest::integer(const char* key, std::uint64_t least,
                                                  std::uint64_t most) {
  const auto value = object_.find(key);
  if (value == object_.end()) return std::nullopt;
  if (value->is_number_unsigned() && value->get<std::uint64_t>() >= least &&
      value->get<std::uint64_t>() <= most)
    return value->get<std::uint64_t>();
  return fail({key, " is ", found(*value), "; legal: an integer, ", std::to_string(least), " to ",
               std::to_string(most)}),
         std::nullopt;
}

std::optional<std::size_t> CalcRequest::count(const char* key) {
  return integer(key, 0, std::size_t{1} << 53);  // the integers that every reader of JSON has
}

std::vector<std::uint64_t> CalcRequest::codes(const char* key) {
  constexpr const char* legal =
      "a list of codes: hexadecimal strings such as \"0x3c00\", or integers";
  std::vector<std::uint64_t> list;
  const nlohmann::json* value = required(key, legal);
  if (value == nullptr) return list;
  if (!value->is_array()) return fail({key, " is ", found(*value), "; legal: ", legal}), list;
  for (const nlohmann::json& element : *value) {
    std::uint64_t code = 0;
    const std::string* text = element.get_ptr<const std::string*>();
    if (text == nullptr && element.is_number_unsigned()) {
      code = element.get<std::uint64_t>();
    } else {
      const bool prefix = text != nullptr && (text->starts_with("0x") || text->starts_with("0X"));
      const char* end = prefix ? text->data() + text->size() : nullptr;
      const auto [last, error] = prefix
                                     ? std::from_chars(text->data() + 2, end, code, 16)
                                     : std::from_chars_result{nullptr, std::errc::invalid_argument};
      if (error != std::errc{} || last != end)
        return fail({key, ": ", found(element), " is no code of at most 64 bits; legal: ", legal}),
               list;
    }
    list.push_back(code);
  }
  return list;
}

void CalcRequest::check_fits(std::string_view key, const std::optional<FloatFormat>& format) {
  if (format && !fits_binary64(*format))
    fail({key,
          ": legal are formats whose numbers are binary64 numbers: p <= 53, emax <= 1023, emin - p "
          "+ 1 >= -1074"});
}

void CalcRequest::check_fits(const std::string& path, const MacSpec& mac) {
  check_fits(path + ".format", mac.format);
  if (const FloatFormat* operands = mac.float_operands()) check_fits(path + ".operands", *operands);
  check_fits(path + ".product", mac.product);
  check_fits(path + ".via", mac.via);
}

FloatFormat CalcRequest::format(bool any) {
  const nlohmann::json* value = required("format", legal_format);
  if (value == nullptr) return lamp::binary64;
  const Result<FloatFormat> format = parse_format_json(*value);
  if (!format) return fail({"format: ", format.error().message}), lamp::binary64;
  return checked(*format, any);
}

NumberSystem CalcRequest::number_system(bool any) {
  const nlohmann::json* value = required("format", legal_format);
  if (value == nullptr) return lamp::binary64;
  const Result<NumberSystem> system = parse_number_system_json(*value);
  if (!system) return fail({"format: ", system.error().message}), lamp::binary64;
  if (const FloatFormat* format = system->float_format()) return checked(*format, any);
  return *system;
}

FloatFormat CalcRequest::checked(const FloatFormat& format, bool any) {
  if (!any && !fits_binary64(format))
    fail(
        {"format: legal here are formats whose numbers are binary64 numbers: p <= 53, emax <= "
         "1023, emin - p + 1 >= -1074; wider ones "
         "only in elementwise operations with backend \"mpfr\""});
  return failed() ? lamp::binary64 : format;
}

Rounding CalcRequest::rounding() {
  const auto value = object_.find("rounding");
  if (value == object_.end()) return Rounding::rne;
  const std::optional<Rounding> mode =
      value->is_string() ? parse_rounding(value->get_ref<const std::string&>()) : std::nullopt;
  if (!mode)
    return fail({"rounding is ", found(*value), "; legal: ", join(names_in(rounding_names)),
                 did_you_mean(value->is_string() ? nearest(value->get_ref<const std::string&>(),
                                                           names_in(rounding_names))
                                                 : std::string())}),
           Rounding::rne;
  return *mode;
}

int CalcRequest::random_bits() {
  return static_cast<int>(integer("random_bits", 1, 32).value_or(32));
}

DrawStream CalcRequest::draws() {
  return {.seed = static_cast<std::uint32_t>(
              integer("seed", 0, std::numeric_limits<std::uint32_t>::max()).value_or(0))};
}

Arithmetic CalcRequest::arithmetic(std::optional<std::size_t> terms) {
  Arithmetic any = fused(lamp::binary64);
  const nlohmann::json* value =
      required("arith", "an object such as {\"format\": \"ps7\", \"via\": \"binary32\"}");
  if (value == nullptr) return any;
  nlohmann::json object = *value, beside = nlohmann::json::object();
  for (const char* key : {"seed", "random_bits"}) {
    const bool within = object.is_object() && object.contains(key);
    if (within && has(key))
      return fail({key, " is given in arith and beside it; legal: one of them"}), any;
    if (within || has(key)) beside[key] = within ? object[key] : object_[key];
  }
  CalcRequest randomness(beside);
  const DrawStream draws = randomness.draws();
  randomness.random_bits();
  if (randomness.failed()) return fail({randomness.problem()}), any;
  if (object.is_object()) {
    object.erase("seed");
    if (beside.contains("random_bits")) object["random_bits"] = beside["random_bits"];
  }
  const Result<Arithmetic> parsed = parse_arithmetic(object);
  if (!parsed) return fail({parsed.error().message}), any;
  check_fits("arith", parsed->mac);
  if (parsed->block) check_fits("arith.block", *parsed->block);
  if (const FloatFormat* part = part_of(parsed->order)) check_fits("arith.part", *part);
  if (terms)
    if (const Result<void> fits = check_length(parsed->order, *terms); !fits)
      fail({"arith.order: ", fits.error().message});
  if (failed()) return any;
  Arithmetic arithmetic = *parsed;
  arithmetic.draws = draws;
  return arithmetic;
}

CalcBackend CalcRequest::backend() {
  const BackendName name = choice("backend", names_of_backends, BackendName::automatic);
  const auto absent = [&](const char* what) {
    std::string legal = "auto, scalar, mpfr";
    if (available(Backend::avx512)) legal += ", avx512";
    if (available(Backend::avx2)) legal += ", avx2";
    fail({"backend: ", what, "; legal here: ", legal});
    return CalcBackend{};
  };
  switch (name) {
    case BackendName::automatic:
      return {};
    case BackendName::scalar:
      return {.fast = Backend::scalar};
    case BackendName::mpfr:
      return {.mpfr = true};
    case BackendName::avx512:
      return available(Backend::avx512) ? CalcBackend{.fast = Backend::avx512}
                                        : absent("this machine has no AVX-512");
    case BackendName::avx2:
      return available(Backend::avx2) ? CalcBackend{.fast = Backend::avx2}
                                      : absent("this machine has no AVX2");
    case BackendName::sse4:
      return absent("there are no kernels for SSE4");
    case BackendName::neon:
      return absent("there are no kernels for NEON");
  }
  contract_violated("calc: a known backend");
}

}  // namespace lamp::experiments
