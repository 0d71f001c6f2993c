# Everything from Debian 12; tests/run and experiments/quickstart install it (see cmake/packages.txt).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(mpfr REQUIRED IMPORTED_TARGET mpfr)
pkg_check_modules(gmp REQUIRED IMPORTED_TARGET gmp)
pkg_check_modules(hdf5 REQUIRED IMPORTED_TARGET hdf5-serial)  # plain `hdf5` may be the MPI variant
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)
find_program(LAMP_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)  # Debian's, the one that has h5py
