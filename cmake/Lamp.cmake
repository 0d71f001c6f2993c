# Targets of this project: flags and the two kinds of target there are.

add_library(lamp_options INTERFACE)
target_include_directories(lamp_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(lamp_options INTERFACE
  -ffp-contract=off  # every rounding is one we asked for
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wdouble-promotion -Werror)

# lamp_library(NAME SOURCES ... [LINK ...] [PRIVATE_LINK ...]): a static library with the project's flags.
function(lamp_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC lamp_options ${ARG_LINK} PRIVATE ${ARG_PRIVATE_LINK})
  if(LAMP_CLANG_TIDY)
    set_target_properties(${name} PROPERTIES CXX_CLANG_TIDY "clang-tidy;--quiet")
  endif()
endfunction()

# lamp_test(NAME SOURCES ... [LINK ...] [LABELS ...]): one Catch2 executable; its cases tagged [exhaustive] become a second
# ctest entry under that label, which the default run leaves out.
function(lamp_test name)
  if(NOT LAMP_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE lamp_catch_main ${ARG_LINK})
  target_compile_definitions(${name} PRIVATE LAMP_SOURCE_DIR="${PROJECT_SOURCE_DIR}" LAMP_BINARY_DIR="${PROJECT_BINARY_DIR}")
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  add_test(NAME ${name} COMMAND ${name} "~[exhaustive]" WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}")
  foreach(source ${ARG_SOURCES})
    file(STRINGS ${source} found REGEX "\\[exhaustive\\]" LIMIT_COUNT 1)
    if(found)
      add_test(NAME ${name}_exhaustive COMMAND ${name} "[exhaustive]" WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
      set_tests_properties(${name}_exhaustive PROPERTIES LABELS exhaustive)
      break()
    endif()
  endforeach()
endfunction()
