#include <iostream>
#include <nlohmann/json.hpp>

#include "core/arith/gemm/gemm.hpp"
#include "core/model/files/strict_json.hpp"
#include "experiments/build_info.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config/grid.hpp"

namespace lamp::experiments {

int version_command(bool json) {
  const BuildInfo& info = build_info();
  if (json) {
    nlohmann::ordered_json libraries;
    for (const auto& [name, version] : library_versions()) libraries[name] = version;
    const nlohmann::ordered_json out{
        {"version", info.version},   {"commit", info.commit},  {"dirty", info.dirty},
        {"compiler", info.compiler}, {"flags", info.flags},    {"build_type", info.build_type},
        {"target", best_target()},   {"semantics", semantics}, {"libraries", libraries}};
    std::cout << json_text(out) << '\n';
    return 0;
  }
  std::cout << "lamp " << info.version << "\ncommit " << info.commit
            << (info.dirty ? ", with changes" : "") << "\ncompiler " << info.compiler << ", "
            << info.build_type << ", flags: " << info.flags << "\ninstruction set in use "
            << best_target() << "\nsemantics " << semantics << '\n';
  for (const auto& [name, version] : library_versions())
    std::cout << name << ' ' << version << '\n';
  return 0;
}

}  // namespace lamp::experiments
