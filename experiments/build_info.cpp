#include "experiments/build_info.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <curl/curl.h>
#include <gmp.h>
#include <hdf5.h>
#include <hwy/highway.h>
#include <mpfr.h>
#include <openssl/crypto.h>
#include <pcre2.h>
#include <toml++/impl/version.h>

#include <CLI/Version.hpp>
#include <array>
#include <nlohmann/json.hpp>

namespace lamp::experiments {
namespace {

std::string dotted(unsigned long major, unsigned long minor, unsigned long patch) {
  return std::to_string(major) + '.' + std::to_string(minor) + '.' + std::to_string(patch);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> library_versions() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  std::array<char, 64> pcre2{};
  pcre2_config(PCRE2_CONFIG_VERSION, pcre2.data());
  return {{"gmp", gmp_version},
          {"mpfr", mpfr_get_version()},
          {"hdf5", dotted(major, minor, release)},
          {"highway", dotted(HWY_MAJOR, HWY_MINOR, HWY_PATCH)},
          {"pcre2", pcre2.data()},
          {"libcurl", curl_version_info(CURLVERSION_NOW)->version},
          {"openssl", OpenSSL_version(OPENSSL_VERSION)},
          {"tomlplusplus", dotted(TOML_LIB_MAJOR, TOML_LIB_MINOR, TOML_LIB_PATCH)},
          {"cli11", CLI11_VERSION},
          {"nlohmann_json", dotted(NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                   NLOHMANN_JSON_VERSION_PATCH)}};
}

}  // namespace lamp::experiments
