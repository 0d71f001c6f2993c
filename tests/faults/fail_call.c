/* Preloaded into a program: the k-th call of some functions fails, is cut short or kills the program, and clocks step. */
/* LAMP_FAULT=GROUP:K:ACTION   GROUP of the table below, or `any` for all of them but memory's; K from 1, counted over */
/*                             all threads and forked children, so that it happens once; ACTION an errno as a number, */
/*                             `short` (of n bytes half are done) or `kill` (SIGKILL before the call) */
/* LAMP_FAULT_MARK=FILE        the calls of each group, 8 bytes each, then zeros or, once it has happened, "function file". Mapped from */
/*                             the start, since a child may have given up the right to write */
/* Calls count from main on: what libraries do before is no business of the program's. */
/* Pipes and sockets are no devices that break: for them only EINTR and `short` count. Nor is /proc, for stat. */
/* LAMP_CLOCK=SEED             CLOCK_REALTIME is up to ten years off, another offset at each call */
/* LAMP_AHEAD=SECONDS          CLOCK_MONOTONIC is that much further on at each call */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum group {
  WRITE, PWRITE, READ, PREAD, FSYNC, RENAME, OPEN, FLOCK, FTRUNCATE, MMAP, MKDIR, UNLINK, STAT, CLOSE, THREAD, FORK, MEMORY, ANY, NONE
};
static const char* const names[] = {"write", "pwrite", "read",   "pread", "fsync", "rename", "open",   "flock",  "ftruncate",
                                    "mmap",  "mkdir",  "unlink", "stat",  "close", "thread", "fork",   "memory", "any"};
enum { GO_ON = 0, CUT_SHORT = -1 };

static enum group wanted = NONE;
static long at;                /* the call that it happens to */
static int started;            /* main has begun */
static int action;             /* an errno, CUT_SHORT, or 0: kill */
enum { MARK_SIZE = 8192 };
static struct {
  long calls[NONE]; /* so far; in [ANY] all but memory's */
  char line[MARK_SIZE - NONE * sizeof(long)];
}* mark; /* shared with children */

static void begin(void) {
  const char* fault = getenv("LAMP_FAULT");
  const char* file = getenv("LAMP_FAULT_MARK");
  if (fault == NULL || file == NULL) return;
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_CREAT | O_RDWR, 0666);
  if (fd < 0 || syscall(SYS_ftruncate, fd, MARK_SIZE) != 0) abort();
  mark = (void*)syscall(SYS_mmap, NULL, MARK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mark == MAP_FAILED) abort();
  syscall(SYS_close, fd);
  const char* colon = strchr(fault, ':');
  for (int g = 0; colon != NULL && g < NONE; ++g)
    if (strlen(names[g]) == (size_t)(colon - fault) && strncmp(names[g], fault, (size_t)(colon - fault)) == 0) wanted = (enum group)g;
  if (wanted == NONE) abort();
  char* end;
  at = strtol(colon + 1, &end, 10);
  action = strcmp(end, ":kill") == 0 ? 0 : strcmp(end, ":short") == 0 ? CUT_SHORT : atoi(end + 1);
}

static void leave_mark(const char* function, int descriptor, const char* path) {
  char link[64], target[4096] = "";
  if (descriptor >= 0) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    const ssize_t n = readlink(link, target, sizeof target - 1);
    if (n > 0) target[n] = 0;
  }
  snprintf(mark->line, sizeof mark->line, "%s %s", function, path != NULL ? path : target);
}

static int is_pipe(int descriptor) {
  struct stat status;
  const int saved = errno, known = (int)syscall(SYS_fstat, descriptor, &status);
  errno = saved;
  return known == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

/* What the call that asks does: goes on, is cut short, or fails with an errno. */
static int fate(enum group group, const char* function, int descriptor, const char* path) {
  if (!started || wanted == NONE) return GO_ON;
  if ((group == READ || group == WRITE) && action > 0 && action != EINTR && is_pipe(descriptor)) return GO_ON;
  if (group == STAT && path != NULL && strncmp(path, "/proc/", 6) == 0) return GO_ON;
  const long all = group == MEMORY ? 0 : __atomic_add_fetch(&mark->calls[ANY], 1, __ATOMIC_SEQ_CST);
  const long number = __atomic_add_fetch(&mark->calls[group], 1, __ATOMIC_SEQ_CST);
  if ((wanted != group || number != at) && (wanted != ANY || all != at || group == MEMORY)) return GO_ON;
  leave_mark(function, descriptor, path);
  if (action == 0) syscall(SYS_kill, getpid(), 9);
  return action;
}

/* Of a call on (descriptor, path): returns with -1 and the errno if it has to fail. */
#define MAY_FAIL(group, descriptor, path)                           \
  const int fate_ = fate(group, __func__, descriptor, path);        \
  if (fate_ > 0) return errno = fate_, -1
/* Of `n` bytes half, but not none. */
#define MAY_CUT(n) \
  if (fate_ == CUT_SHORT && n > 1) n /= 2

ssize_t write(int fd, const void* data, size_t n) {
  MAY_FAIL(WRITE, fd, NULL);
  MAY_CUT(n);
  return syscall(SYS_write, fd, data, n);
}
ssize_t pwrite64(int fd, const void* data, size_t n, off64_t offset) {
  MAY_FAIL(PWRITE, fd, NULL);
  MAY_CUT(n);
  return syscall(SYS_pwrite64, fd, data, n, offset);
}
ssize_t pwrite(int fd, const void* data, size_t n, off_t offset) { return pwrite64(fd, data, n, offset); }
ssize_t read(int fd, void* data, size_t n) {
  MAY_FAIL(READ, fd, NULL);
  MAY_CUT(n);
  return syscall(SYS_read, fd, data, n);
}
ssize_t pread64(int fd, void* data, size_t n, off64_t offset) {
  MAY_FAIL(PREAD, fd, NULL);
  MAY_CUT(n);
  return syscall(SYS_pread64, fd, data, n, offset);
}
ssize_t pread(int fd, void* data, size_t n, off_t offset) { return pread64(fd, data, n, offset); }
int fsync(int fd) {
  MAY_FAIL(FSYNC, fd, NULL);
  return (int)syscall(SYS_fsync, fd);
}
int fdatasync(int fd) {
  MAY_FAIL(FSYNC, fd, NULL);
  return (int)syscall(SYS_fdatasync, fd);
}
int rename(const char* from, const char* to) {
  MAY_FAIL(RENAME, -1, to);
  return (int)syscall(SYS_rename, from, to);
}
int flock(int fd, int operation) {
  MAY_FAIL(FLOCK, fd, NULL);
  return (int)syscall(SYS_flock, fd, operation);
}
int ftruncate64(int fd, off64_t size) {
  MAY_FAIL(FTRUNCATE, fd, NULL);
  return (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int mkdir(const char* path, mode_t mode) {
  MAY_FAIL(MKDIR, -1, path);
  return (int)syscall(SYS_mkdir, path, mode);
}
int unlink(const char* path) {
  MAY_FAIL(UNLINK, -1, path);
  return (int)syscall(SYS_unlink, path);
}
int close(int fd) { /* a failing close has closed, as on Linux */
  const int fate_ = fate(CLOSE, "close", fd, NULL);
  const int result = (int)syscall(SYS_close, fd);
  return fate_ > 0 ? (errno = fate_, -1) : result;
}

#define NEXT(function)                   \
  static __typeof__(&(function)) next; \
  if (next == NULL) next = (__typeof__(next))(uintptr_t)dlsym(RTLD_NEXT, #function)

static int (*program)(int, char**, char**);
static int from_main_on(int count, char** arguments, char** environment) {
  begin();
  started = 1;
  return program(count, arguments, environment);
}
int __libc_start_main(int (*main)(int, char**, char**), int count, char** arguments, void (*init)(void), void (*end)(void),
                      void (*unload)(void), void* stack) {
  static int (*next)(int (*)(int, char**, char**), int, char**, void (*)(void), void (*)(void), void (*)(void), void*);
  next = (__typeof__(next))(uintptr_t)dlsym(RTLD_NEXT, "__libc_start_main");
  program = main;
  return next(from_main_on, count, arguments, init, end, unload, stack);
}

/* Where the file system fails to say what a file is. */
int fstat64(int fd, struct stat64* status) {
  MAY_FAIL(STAT, fd, NULL);
  NEXT(fstat64);
  return next(fd, status);
}
int fstat(int fd, struct stat* status) {
  MAY_FAIL(STAT, fd, NULL);
  NEXT(fstat);
  return next(fd, status);
}
int stat64(const char* path, struct stat64* status) {
  MAY_FAIL(STAT, -1, path);
  NEXT(stat64);
  return next(path, status);
}
int stat(const char* path, struct stat* status) {
  MAY_FAIL(STAT, -1, path);
  NEXT(stat);
  return next(path, status);
}
int lstat64(const char* path, struct stat64* status) {
  MAY_FAIL(STAT, -1, path);
  NEXT(lstat64);
  return next(path, status);
}
int lstat(const char* path, struct stat* status) {
  MAY_FAIL(STAT, -1, path);
  NEXT(lstat);
  return next(path, status);
}

#define MODE_OF(flags, mode)                            \
  mode_t mode = 0;                                      \
  if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {         \
    va_list rest;                                       \
    va_start(rest, flags);                              \
    mode = va_arg(rest, mode_t);                        \
    va_end(rest);                                       \
  }

int openat64(int folder, const char* path, int flags, ...) {
  MODE_OF(flags, mode)
  MAY_FAIL(OPEN, -1, path);
  return (int)syscall(SYS_openat, folder, path, flags | O_LARGEFILE, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  MODE_OF(flags, mode)
  return openat64(folder, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  MODE_OF(flags, mode)
  return openat64(AT_FDCWD, path, flags, mode);
}
int open(const char* path, int flags, ...) {
  MODE_OF(flags, mode)
  return openat64(AT_FDCWD, path, flags, mode);
}
int __open64_2(const char* path, int flags) { return openat64(AT_FDCWD, path, flags); }
int __open_2(const char* path, int flags) { return openat64(AT_FDCWD, path, flags); }
FILE* fopen64(const char* path, const char* mode) {
  const int fate_ = fate(OPEN, "fopen", -1, path);
  if (fate_ > 0) return errno = fate_, NULL;
  NEXT(fopen64);
  return next(path, mode);
}
FILE* fopen(const char* path, const char* mode) { return fopen64(path, mode); }
DIR* opendir(const char* path) {
  const int fate_ = fate(OPEN, "opendir", -1, path);
  if (fate_ > 0) return errno = fate_, NULL;
  NEXT(opendir);
  return next(path);
}

void* mmap64(void* address, size_t n, int protection, int flags, int fd, off64_t offset) {
  const int fate_ = fate(MMAP, "mmap", fd, NULL);
  if (fate_ > 0) return errno = fate_, MAP_FAILED;
  return (void*)syscall(SYS_mmap, address, n, protection, flags, fd, offset);
}
void* mmap(void* address, size_t n, int protection, int flags, int fd, off_t offset) {
  return mmap64(address, n, protection, flags, fd, offset);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  const int fate_ = fate(THREAD, "pthread_create", -1, NULL);
  if (fate_ > 0) return fate_;
  NEXT(pthread_create);
  return next(thread, attributes, start, argument);
}
pid_t fork(void) {
  MAY_FAIL(FORK, -1, NULL);
  NEXT(fork);
  return next();
}

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
#define NO_MEMORY(function) \
  if (fate(MEMORY, function, -1, NULL) > 0) return errno = ENOMEM, NULL
void* malloc(size_t n) {
  NO_MEMORY("malloc");
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t size) {
  NO_MEMORY("calloc");
  return __libc_calloc(n, size);
}
void* realloc(void* old, size_t n) {
  NO_MEMORY("realloc");
  return __libc_realloc(old, n);
}

/* Clocks. */
static long setting(const char* name) {
  const char* text = getenv(name);
  return text == NULL ? 0 : atol(text);
}
static long off_by(void) { /* another number of seconds at each call, from the seed */
  static uint64_t state;
  const long seed = setting("LAMP_CLOCK");
  if (seed == 0) return 0;
  const uint64_t x = (__atomic_add_fetch(&state, 0x9E3779B97F4A7C15u, __ATOMIC_SEQ_CST) ^ (uint64_t)seed) * 0xBF58476D1CE4E5B9u;
  return (long)((x >> 32) % 630720000u) - 315360000;
}
int clock_gettime(clockid_t clock, struct timespec* now) {
  static long ahead;
  const int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (result != 0) return result;
  if (clock == CLOCK_REALTIME) now->tv_sec += off_by();
  if (clock == CLOCK_MONOTONIC) now->tv_sec += __atomic_add_fetch(&ahead, setting("LAMP_AHEAD"), __ATOMIC_SEQ_CST);
  return 0;
}
time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}
