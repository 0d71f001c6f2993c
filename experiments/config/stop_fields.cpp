// The keys of [stop].
#include <array>

#include "experiments/config/kinds.hpp"

namespace lamp::experiments {
namespace {

using Name = std::string_view;

template <auto member>
Outcome read_share(Config& c, Name, const Value& value, const Field& field) {
  std::optional<double> number;
  if (Outcome problem = read_number(value, field, number)) return problem;
  c.stop_or_new().*member = *number;
  return std::nullopt;
}

template <auto member>
Text write_share(const Config& c, Name, Form) {
  return c.stop ? Text(toml_number(*c.stop.*member)) : Text();
}

constexpr std::array stop_rows{
    Field{.key = "stop.metric",
          .kind = Kind::choice,
          .standard = "\"kl\"",
          .meaning = "sequences are added in rounds until the mean of this metric is known in "
                     "every cell of the grid, for each text; without [stop] all are computed",
          .choices = choices_of<stop_metric_names>,
          .read =
              [](Config& c, Name, const Value& v, const Field& f) {
                return read_choice(v, f, stop_metric_names, c.stop_or_new().metric);
              },
          .write =
              [](const Config& c, Name, Form) {
                return c.stop ? Text(choice_text(stop_metric_names, c.stop->metric)) : Text();
              }},
    Field{.key = "stop.relative_error",
          .kind = Kind::number,
          .standard = "0.05",
          .meaning = "a mean is known when half of its t interval is at most this share of it",
          .min = 0,
          .max = 1,
          .read = read_share<&StopConfig::relative_error>,
          .write = write_share<&StopConfig::relative_error>},
    Field{.key = "stop.confidence",
          .kind = Kind::number,
          .standard = "0.95",
          .meaning = "confidence of the interval",
          .min = 0.5,
          .max = 0.9999,
          .read = read_share<&StopConfig::confidence>,
          .write = write_share<&StopConfig::confidence>},
    Field{.key = "stop.min_sequences",
          .kind = Kind::integer,
          .standard = "8",
          .meaning = "sequences of each text in the first round; each later one adds a quarter, up "
                     "to tokens.sequences",
          .min = 2,
          .max = 10000000,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.stop_or_new().min_sequences); },
          .write =
              [](const Config& c, Name, Form) {
                return c.stop ? Text(std::to_string(c.stop->min_sequences)) : Text();
              }},
    Field{
        .key = "stop.baseline",
        .kind = Kind::other,
        .standard = "{}",
        .meaning = "also until the ratio of each cell to the cell with these values of axes is "
                   "known, a geometric mean over sequences",
        .range = "a table {\"AXIS\" = value, ..} of axes of the grid, each with one of its values",
        .read =
            [](Config& c, Name, const Value& v, const Field&) {
              return read_axes(v, ValuesOfAxis::one, c.stop_or_new().baseline);
            },
        .write =
            [](const Config& c, Name, Form) {
              return c.stop ? Text(axes_text(c.stop->baseline, ValuesOfAxis::one)) : Text();
            }},
};

}  // namespace

std::span<const Field> stop_fields() { return stop_rows; }

}  // namespace lamp::experiments
