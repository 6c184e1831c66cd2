/* Storage calls that fail, or end the process, at the k-th of them: preloaded into a command.
 *
 *     cc -shared -fPIC -O1 -o storage_faults.so storage_faults.c -ldl
 *
 * Below the C library's names, so that writers in Rust and C meet the same faults as Python. Until
 * `faults_arm` is called everything passes through. Only calls on paths under one folder count.
 * Every counted call leaves the letter of its class in a file, so that a first run without a fault
 * says how many places there are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static char classes[32];
static long place, repeats;
static int failure, signal_number, log_descriptor = -1;
static long counted;

/* folder: whose paths count; letters: which classes; at: the place, from 1, or 0 for none;
 * times: how many calls from there on; error: errno, or 0; number: signal to send first, or 0. */
void faults_arm(const char *path, const char *letters, long at, long times, int error, int number,
                const char *log) {
    counted = 0;
    snprintf(classes, sizeof classes, "%s", letters);
    place = at;
    repeats = times;
    failure = error;
    signal_number = number;
    log_descriptor = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    snprintf(folder, sizeof folder, "%s", path);
}

static int is_watched(int base, const char *path) {
    char whole[2 * PATH_MAX], link[64];
    ssize_t length = 0;
    if (path && path[0] == '/') return strncmp(path, folder, strlen(folder)) == 0;
    if (base == AT_FDCWD) {
        if (!getcwd(whole, PATH_MAX)) return 0;
        length = (ssize_t)strlen(whole);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", base);
        length = syscall(SYS_readlink, link, whole, PATH_MAX - 1);
        if (length <= 0) return 0;
    }
    whole[length] = 0;
    return strncmp(whole, folder, strlen(folder)) == 0;
}

/* Whether this call is to fail; errno is set then. */
static int strikes(char letter, int base, const char *path) {
    int before = errno, strike = 0;
    if (folder[0] && strchr(classes, letter) && is_watched(base, path)) {
        counted++;
        if (log_descriptor >= 0) syscall(SYS_write, log_descriptor, &letter, 1);
        if (place && counted >= place && counted < place + repeats) {
            if (signal_number) kill(getpid(), signal_number);
            strike = failure;
        }
    }
    errno = strike ? strike : before;
    return strike;
}

#define REAL(name)                                                                 \
    static __typeof__(&name) real;                                                 \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPEN(name)                                                                 \
    int name(const char *path, int flags, ...) {                                   \
        REAL(name);                                                                \
        va_list rest;                                                              \
        va_start(rest, flags);                                                     \
        mode_t mode = va_arg(rest, mode_t);                                        \
        va_end(rest);                                                              \
        return strikes('o', AT_FDCWD, path) ? -1 : real(path, flags, mode);        \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                               \
    int name(int base, const char *path, int flags, ...) {                         \
        REAL(name);                                                                \
        va_list rest;                                                              \
        va_start(rest, flags);                                                     \
        mode_t mode = va_arg(rest, mode_t);                                        \
        va_end(rest);                                                              \
        return strikes('o', base, path) ? -1 : real(base, path, flags, mode);      \
    }
OPENAT(openat)
OPENAT(openat64)

#define ON_PATH(letter, type, name, parameters, arguments, base, path)             \
    type name parameters {                                                         \
        REAL(name);                                                                \
        return strikes(letter, base, path) ? -1 : real arguments;                  \
    }
ON_PATH('r', int, rename, (const char *from, const char *to), (from, to), AT_FDCWD, to)
ON_PATH('r', int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), b, to)
ON_PATH('r', int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
        (a, from, b, to, flags), b, to)
ON_PATH('l', int, link, (const char *from, const char *to), (from, to), AT_FDCWD, to)
ON_PATH('l', int, linkat, (int a, const char *from, int b, const char *to, int flags),
        (a, from, b, to, flags), b, to)
ON_PATH('u', int, unlink, (const char *path), (path), AT_FDCWD, path)
ON_PATH('u', int, rmdir, (const char *path), (path), AT_FDCWD, path)
ON_PATH('u', int, unlinkat, (int base, const char *path, int flags), (base, path, flags), base, path)
ON_PATH('m', int, mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
ON_PATH('w', ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), fd, NULL)
ON_PATH('w', ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n), fd, NULL)
ON_PATH('w', ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at),
        (fd, data, size, at), fd, NULL)
ON_PATH('w', int, ftruncate64, (int fd, off64_t size), (fd, size), fd, NULL)
ON_PATH('s', int, fsync, (int fd), (fd), fd, NULL)
ON_PATH('s', int, fdatasync, (int fd), (fd), fd, NULL)
ON_PATH('d', ssize_t, read, (int fd, void *data, size_t size), (fd, data, size), fd, NULL)

/* A close that fails has closed all the same. */
int close(int fd) {
    REAL(close);
    int strike = folder[0] && fd != log_descriptor ? strikes('c', fd, NULL) : 0;
    int result = real(fd);
    if (strike) {
        errno = strike;
        return -1;
    }
    return result;
}
