# Writes ${OUTPUT}: the constants of build_info.hpp. Runs at every build; the file changes only when they do.
set(commit "unknown")
set(dirty "false")
find_program(GIT git)
if(GIT)
  # --show-cdup is empty at the top of a work tree: sources exported below another project's repository have no commit of their own.
  execute_process(COMMAND ${GIT} -C ${SOURCE_DIR} rev-parse --show-cdup HEAD OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE
                  ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed AND found MATCHES "^\n([0-9a-f]+)$")
    set(commit "${CMAKE_MATCH_1}")
    execute_process(COMMAND ${GIT} --no-optional-locks -C ${SOURCE_DIR} status --porcelain --untracked-files=no
                    OUTPUT_VARIABLE changes ERROR_QUIET)
    if(NOT changes STREQUAL "")
      set(dirty "true")
    endif()
  endif()
endif()
set(text "#include \"experiments/build_info.hpp\"

namespace lamp::experiments {

const BuildInfo& build_info() {
  static constexpr BuildInfo info{.version = \"${VERSION}\",
                                  .commit = \"${commit}\",
                                  .dirty = ${dirty},
                                  .compiler = \"${COMPILER}\",
                                  .flags = \"${FLAGS}\",
                                  .build_type = \"${BUILD_TYPE}\"};
  return info;
}

}  // namespace lamp::experiments
")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()
