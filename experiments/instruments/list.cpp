// The list of instruments. The order is that of the quantities in a shard, whose bytes depend on
// it.
#include <array>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {

std::unique_ptr<Instrument> metrics(const Recording&);
std::unique_ptr<Instrument> recompute_rate(const Recording&);
std::unique_ptr<Instrument> continuation(const Recording&);
std::unique_ptr<Instrument> site_errors(const Recording&);
std::unique_ptr<Instrument> activations(const Recording&);
std::unique_ptr<Instrument> selected_sets(const Recording&);
std::unique_ptr<Instrument> concentration(const Recording&);
std::unique_ptr<Instrument> truth_of_scores(const Recording&);
std::unique_ptr<Instrument> fallbacks(const Recording&);
std::unique_ptr<Instrument> costs(const Recording&);

std::span<const InstrumentMaker> all_instruments() {
  static constexpr std::array list{
      metrics,          //
      recompute_rate,   //
      continuation,     //
      site_errors,      //
      activations,      //
      selected_sets,    //
      concentration,    //
      truth_of_scores,  //
      fallbacks,        //
      costs,            //
  };
  return list;
}

}  // namespace lamp::experiments
