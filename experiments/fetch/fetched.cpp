#include "experiments/fetch/fetched.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "core/base/names.hpp"
#include "core/base/input_file.hpp"
#include "core/model/files/text.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/record/publish.hpp"
#include "experiments/fetch/http_answer.hpp"

namespace lamp::experiments {
namespace {

using nlohmann::json;

constexpr std::uint64_t most_bytes = 1 << 16;

constexpr std::array<NamedValue<CheckedBy>, 3> names_of_checks{{
    {"known", CheckedBy::known},
    {"stated", CheckedBy::stated},
    {"length", CheckedBy::length},
}};

std::filesystem::path file_in(const std::filesystem::path& folder) {
  return folder / "fetched.json";
}

/// Members of an object; a reader that finds one missing or of another type is no longer ok.
class Members {
 public:
  explicit Members(const json& object) : object_(object), ok_(object.is_object()) {}
  [[nodiscard]] bool ok() const { return ok_; }

  std::string text(const char* key) {
    const auto at = find(key);
    if (ok_ && at->is_string()) return at->get<std::string>();
    return ok_ = false, std::string();
  }
  std::uint64_t size(const char* key) {
    const auto at = find(key);
    if (ok_ && at->is_number_unsigned()) return at->get<std::uint64_t>();
    return ok_ = false, 0;
  }
  std::optional<std::uint64_t> size_or_null(const char* key) {
    const auto at = find(key);
    if (ok_ && at->is_null()) return std::nullopt;
    return size(key);
  }
  const json& object(const char* key) {
    static const json none = json::object();
    const auto at = find(key);
    if (ok_ && at->is_object()) return *at;
    return ok_ = false, none;
  }

 private:
  json::const_iterator find(const char* key) {
    if (!ok_) return object_.end();
    const auto at = object_.find(key);
    ok_ = at != object_.end();
    return at;
  }

  const json& object_;
  bool ok_;
};

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::optional<Fetched> fetched_of(const json& document) {
  Members top(document);
  Fetched fetched{.checkpoint = top.text("checkpoint")};
  for (const auto& [name, value] : top.object("files").items()) {
    Members members(value);
    Pin pin{members.text("url"), members.size("size"), members.text("sha256"), {}, {}};
    const std::optional<CheckedBy> checked = value_in(names_of_checks, members.text("checked"));
    pin.time = members.text("time");
    if (!members.ok() || !checked || !is_sha256(pin.sha256)) return std::nullopt;
    pin.checked = *checked;
    fetched.files.emplace(name, std::move(pin));
  }
  for (const auto& [name, value] : top.object("unfinished").items()) {
    Members members(value);
    Unfinished begun{members.text("url"), members.size_or_null("size"), members.text("sha256"),
                     members.text("validator")};
    if (!members.ok() || (!begun.sha256.empty() && !is_sha256(begun.sha256)) ||
        !is_header_value(begun.validator))
      return std::nullopt;
    fetched.unfinished.emplace(name, std::move(begun));
  }
  return top.ok() ? std::optional(std::move(fetched)) : std::nullopt;
}

}  // namespace

std::string_view name_of(CheckedBy checked) { return name_in(names_of_checks, checked); }

Result<Fetched> read_fetched(const std::filesystem::path& folder, std::string_view checkpoint) {
  const std::filesystem::path file = file_in(folder);
  const Result<std::string> text = read_text_file(file, most_bytes);
  if (!text && text.error().code == ExitCode::missing_input)
    return Fetched{.checkpoint = std::string(checkpoint)};
  if (!text) return text.error();
  const Result<json> document = parse_strict_json(*text, file.string());
  const std::string remedy = "; remove it, and the files whose bytes you do not know";
  if (!document) return Error{document.error().code, document.error().message + remedy};
  std::optional<Fetched> fetched = fetched_of(*document);
  if (!fetched)
    return Error{ExitCode::bad_data, file.string() + ": is not what lamp fetch writes" + remedy};
  if (fetched->checkpoint != checkpoint)
    return Error{ExitCode::cannot_create, folder.string() + ": holds " + fetched->checkpoint +
                                              " (fetched.json); name another folder with --dir"};
  return *std::move(fetched);
}

Result<void> write_fetched(const std::filesystem::path& folder, const Fetched& fetched) {
  json files = json::object(), unfinished = json::object();
  for (const auto& [name, pin] : fetched.files)
    files[name] = {{"url", pin.url},
                   {"size", pin.size},
                   {"sha256", pin.sha256},
                   {"checked", name_of(pin.checked)},
                   {"time", pin.time}};
  for (const auto& [name, begun] : fetched.unfinished)
    unfinished[name] = {{"url", begun.url},
                        {"size", begun.size ? json(*begun.size) : json()},
                        {"sha256", begun.sha256},
                        {"validator", begun.validator}};
  const std::string text = json_text(json{{"checkpoint", fetched.checkpoint},
                                          {"files", std::move(files)},
                                          {"unfinished", std::move(unfinished)}},
                                     2) +
                           "\n";
  return record::publish(file_in(folder), std::as_bytes(std::span(text)));
}

}  // namespace lamp::experiments
