#include "experiments/run/cell_recorder.hpp"

#include <algorithm>
#include <utility>

namespace lamp::experiments {
namespace {

template <class R>
std::vector<record::Quantity> quantities_of(const std::vector<R>& readings) {
  std::vector<record::Quantity> quantities;
  for (const R& reading : readings) quantities.push_back(reading.quantity);
  return quantities;
}

template <class... Of>
std::vector<record::Values> values_of(const std::vector<Reading<Of...>>& readings,
                                      const Of&... of) {
  std::vector<record::Values> values;
  values.reserve(readings.size());
  for (const Reading<Of...>& reading : readings) values.push_back(reading.values(of...));
  return values;
}

}  // namespace

CellRecorder::CellRecorder(const Recording& recording, std::span<const InstrumentMaker> makers) {
  for (const InstrumentMaker make : makers)
    if (std::unique_ptr<Instrument> made = make(recording)) instruments_.push_back(std::move(made));
  for (const std::unique_ptr<Instrument>& instrument : instruments_) {
    for (const SiteInfo& site : sites)
      if (instrument->listens(site.site))
        listeners_[static_cast<std::size_t>(site.site)].push_back(instrument.get());
    for (Reading<>& reading : instrument->readings()) readings_.push_back(std::move(reading));
    for (Reading<Reference>& reading : instrument->reference_readings())
      reference_readings_.push_back(std::move(reading));
  }
}

std::vector<record::Quantity> CellRecorder::quantities() const { return quantities_of(readings_); }
std::vector<record::Quantity> CellRecorder::reference_quantities() const {
  return quantities_of(reference_readings_);
}

std::vector<bool> CellRecorder::recorded(const Records& records) const {
  std::vector<bool> all;
  for (const std::unique_ptr<Instrument>& instrument : instruments_)
    all.resize(all.size() + instrument->readings().size(), instrument->is_recorded(records));
  return all;
}

std::vector<record::Axis> CellRecorder::axes() const {
  std::vector<record::Axis> all;
  for (const std::unique_ptr<Instrument>& instrument : instruments_)
    for (record::Axis& axis : instrument->axes()) all.push_back(std::move(axis));
  return all;
}

bool CellRecorder::needs_reference(Site site) const {
  return std::any_of(instruments_.begin(), instruments_.end(),
                     [&](const auto& instrument) { return instrument->needs_reference(site); });
}

void CellRecorder::begin(const Reference& reference, const PrecisionPlan& plan,
                         const Records& records) {
  for (const std::unique_ptr<Instrument>& instrument : instruments_)
    instrument->begin(reference, plan, records);
}

void CellRecorder::values(const TapPoint& point, MatrixView<const double> x) {
  for (Instrument* instrument : listeners(point.site)) instrument->values(point, x);
}

bool CellRecorder::takes_rows_apart(Site site) const {
  const std::vector<Instrument*>& all = listeners(site);
  return std::all_of(all.begin(), all.end(), [&](const Instrument* instrument) {
    return instrument->takes_rows_apart(site);
  });
}

bool CellRecorder::wants_local(Site site) const {
  const std::vector<Instrument*>& all = listeners(site);
  return std::any_of(all.begin(), all.end(),
                     [&](const Instrument* instrument) { return instrument->wants_local(site); });
}

void CellRecorder::local(const TapPoint& point, MatrixView<const double> x,
                         MatrixView<const double> reference) {
  for (Instrument* instrument : listeners(point.site))
    if (instrument->wants_local(point.site)) instrument->local(point, x, reference);
}

void CellRecorder::selected(const TapPoint& point, std::span<const std::uint8_t> marks) {
  for (Instrument* instrument : listeners(point.site)) instrument->selected(point, marks);
}

void CellRecorder::fell_back(const TapPoint& point, std::size_t rows) {
  for (Instrument* instrument : listeners(point.site)) instrument->fell_back(point, rows);
}

void CellRecorder::end(const Pass& pass) {
  for (const std::unique_ptr<Instrument>& instrument : instruments_) instrument->end(pass);
}

bool CellRecorder::is_complete() const {
  return std::all_of(instruments_.begin(), instruments_.end(),
                     [](const auto& instrument) { return instrument->is_complete(); });
}

void CellRecorder::end_reference(const Pass& pass, Reference& reference) const {
  for (const std::unique_ptr<Instrument>& instrument : instruments_)
    instrument->end_reference(pass, reference);
}

std::vector<record::Values> CellRecorder::cell_values() const { return values_of(readings_); }
std::vector<record::Values> CellRecorder::reference_values(const Reference& reference) const {
  return values_of(reference_readings_, reference);
}

ReferenceRecorder::ReferenceRecorder(const CellRecorder& cells, const Recording& recording,
                                     std::size_t length)
    : logits_(length, recording.model.vocab_size) {
  for (const SiteRow& row : recording.model.network->sites)
    if (cells.needs_reference(row.site))
      sites_.insert({row.site, SiteValues(recording.model, row.site, length)});
}

void ReferenceRecorder::values(const TapPoint& point, MatrixView<const double> x) {
  if (const auto kept = sites_.find(point.site); kept != sites_.end()) kept->second.put(point, x);
  if (point.site != Site::logits) return;
  for (std::size_t i = 0; i < x.rows; ++i)
    std::copy(x.row(i).begin(), x.row(i).end(), logits_.row(point.first_row + i).begin());
}

Reference ReferenceRecorder::take(std::span<const TokenId> tokens, Team& team) {
  return {.distribution = ReferenceDistribution(std::move(logits_), tokens, &team),
          .tokens = {tokens.begin(), tokens.end()},
          .sites = std::move(sites_)};
}

}  // namespace lamp::experiments
