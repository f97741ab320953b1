/*
 * Faults of a disk and of a clock, for a process that is started with this library in LD_PRELOAD.
 *
 * FAULTS names a file. While it is there, each of its lines is a rule:
 *
 *   <operation> <file> <action>     operation: read, write, sync, truncate; file: the last part of its path
 *   clock <seconds>                 the wall clock is off by so much
 *
 * Actions: an error (EIO, ENOSPC), `short` (half of it), `kill-before` and `kill-after` (the process ends as by a
 * power cut), `torn` (half of it, then the process ends). The first rule that fits counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_READ_EVERY_NS 20000000LL

enum action { NONE, FAIL, SHORT, KILL_BEFORE, KILL_AFTER, TORN };

/* The rules as text; 0 where there are none. */
static long rules(char *text, size_t size) {
    const char *path = getenv("FAULTS");
    if (!path) return 0;
    long file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    long got = syscall(SYS_read, file, text, size - 1);
    syscall(SYS_close, file);
    if (got < 0) got = 0;
    text[got] = 0;
    return got;
}

static enum action action_of(const char *name, int *error) {
    if (!strcmp(name, "EIO")) { *error = EIO; return FAIL; }
    if (!strcmp(name, "ENOSPC")) { *error = ENOSPC; return FAIL; }
    if (!strcmp(name, "short")) return SHORT;
    if (!strcmp(name, "kill-before")) return KILL_BEFORE;
    if (!strcmp(name, "kill-after")) return KILL_AFTER;
    if (!strcmp(name, "torn")) return TORN;
    abort(); /* A misspelt rule must not pass for a test. */
}

/* What is to happen to this operation on this file. */
static enum action what(const char *operation, int descriptor, int *error) {
    int before = errno;
    char text[512], link[64], path[512];
    enum action found = NONE;
    if (rules(text, sizeof text)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
        path[length > 0 ? length : 0] = 0;
        const char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        char *rest = text;
        for (char *line; found == NONE && (line = strsep(&rest, "\n"));) {
            char wanted[16], file[64], action[16];
            if (sscanf(line, "%15s %63s %15s", wanted, file, action) == 3 && !strcmp(wanted, operation) && !strcmp(file, name))
                found = action_of(action, error);
        }
    }
    errno = before;
    return found;
}

static void end(void) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}

/* Does it, or half of it, or fails. `half` is what to do for a short or torn operation. */
#define DO(operation, descriptor, whole, half)                       \
    do {                                                             \
        int error = 0;                                               \
        enum action action = what(operation, descriptor, &error);    \
        if (action == FAIL) { errno = error; return -1; }            \
        if (action == KILL_BEFORE) end();                            \
        long result = action == SHORT || action == TORN ? (half) : (whole); \
        if (action == KILL_AFTER || action == TORN) end();           \
        return result;                                               \
    } while (0)

#define HALF(size) ((size) > 1 ? (size) / 2 : (size))

int fsync(int file) { DO("sync", file, syscall(SYS_fsync, file), 0); }
int fdatasync(int file) { DO("sync", file, syscall(SYS_fdatasync, file), 0); }
int ftruncate(int file, off_t size) { DO("truncate", file, syscall(SYS_ftruncate, file, size), 0); }
int ftruncate64(int file, off_t size) { return ftruncate(file, size); }

ssize_t write(int file, const void *data, size_t size) {
    DO("write", file, syscall(SYS_write, file, data, size), syscall(SYS_write, file, data, HALF(size)));
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    DO("write", file, syscall(SYS_pwrite64, file, data, size, at), syscall(SYS_pwrite64, file, data, HALF(size), at));
}
ssize_t pwrite64(int file, const void *data, size_t size, off_t at) { return pwrite(file, data, size, at); }

ssize_t read(int file, void *data, size_t size) {
    DO("read", file, syscall(SYS_read, file, data, size), syscall(SYS_read, file, data, HALF(size)));
}
ssize_t pread(int file, void *data, size_t size, off_t at) {
    DO("read", file, syscall(SYS_pread64, file, data, size, at), syscall(SYS_pread64, file, data, HALF(size), at));
}
ssize_t pread64(int file, void *data, size_t size, off_t at) { return pread(file, data, size, at); }

/* The rules are read now and then only: programs ask for the time very often. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    static long long read_at = 0, off = 0;
    long failed = syscall(SYS_clock_gettime, clock, time);
    if (failed || clock != CLOCK_REALTIME) return (int)failed;
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    long long at = now.tv_sec * 1000000000LL + now.tv_nsec;
    if (at - __atomic_load_n(&read_at, __ATOMIC_RELAXED) > CLOCK_READ_EVERY_NS) {
        int before = errno;
        char text[512];
        long long seconds = 0;
        char *line = rules(text, sizeof text) ? strstr(text, "clock ") : 0;
        if (line) sscanf(line, "clock %lld", &seconds);
        __atomic_store_n(&off, seconds, __ATOMIC_RELAXED);
        __atomic_store_n(&read_at, at, __ATOMIC_RELAXED);
        errno = before;
    }
    time->tv_sec += __atomic_load_n(&off, __ATOMIC_RELAXED);
    return 0;
}
