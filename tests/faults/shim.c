/* Stands between a program and the C library (LD_PRELOAD) and makes calls on files below one folder go wrong.
 *
 * Disarmed until shim_arm() is called in the process, or KISEKI_SHIM_* is set when it starts (for the companion, which
 * is started by exec). A path belongs to the folder when it begins with its name; a descriptor when its
 * /proc/self/fd link does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OFF, COUNT, CUT, KILL, FAIL, SHORT, DELAY };

static int mode = OFF, code, log_descriptor = -1, inside;
static long at, times, calls, bytes_written;
static char root[PATH_MAX];
static size_t root_length;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* mode; the call (or byte, or milliseconds) it is about, from 1; errno; how many calls fail from there, 0 = all. */
void shim_arm(const char *folder, int new_mode, long new_at, int new_code, long new_times, int new_log)
{
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    at = new_at, code = new_code, times = new_times, log_descriptor = new_log;
    calls = bytes_written = 0;
    mode = new_mode;
}

void shim_disarm(void) { mode = OFF; }
long shim_calls(void) { return calls; }
long shim_bytes(void) { return bytes_written; }

__attribute__((constructor)) static void arm_from_environment(void)
{
    const char *folder = getenv("KISEKI_SHIM_FOLDER");
    if (folder)
        shim_arm(folder, atoi(getenv("KISEKI_SHIM_MODE")), atol(getenv("KISEKI_SHIM_AT")),
                 atoi(getenv("KISEKI_SHIM_ERRNO")), atol(getenv("KISEKI_SHIM_TIMES")), -1);
}

static int path_is_ours(const char *path) { return mode != OFF && path && !strncmp(path, root, root_length); }

static const char *path_of(int descriptor, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Called before every call on the folder: -1 when the call must fail with errno set, else 0. */
static int strike(const char *name, const char *path)
{
    if (inside) return 0;
    calls++;
    if (log_descriptor >= 0) {
        inside = 1;
        dprintf(log_descriptor, "%s %s\n", name, path + root_length);
        inside = 0;
    }
    if (mode == KILL && calls == at) die();
    if (mode == DELAY) {
        struct timespec pause_ = {at / 1000, at % 1000 * 1000000};
        nanosleep(&pause_, NULL);
    }
    int after_short = mode == SHORT && calls > at;
    if ((mode == FAIL && calls >= at && (times == 0 || calls < at + times))
        || (after_short && (times == 0 || calls <= at + times))) {
        errno = code;
        return -1;
    }
    return 0;
}

#define ON_DESCRIPTOR(descriptor, name, failed) \
    char path_[PATH_MAX]; \
    if (mode != OFF && !inside && path_is_ours(path_of(descriptor, path_)) && strike(name, path_)) return failed;
#define ON_PATH(path, name, failed) \
    if (path_is_ours(path) && strike(name, path)) return failed;

ssize_t write(int descriptor, const void *buffer, size_t count)
{
    char path[PATH_MAX];
    if (mode != OFF && !inside && path_is_ours(path_of(descriptor, path))) {
        if (strike("write", path)) return -1;
        if (mode == CUT && bytes_written + (long)count >= at) {
            if (at > bytes_written) REAL(write)(descriptor, buffer, at - bytes_written);
            die();
        }
        if (mode == SHORT && calls == at && count > 1) count /= 2;
        bytes_written += count;
    }
    return REAL(write)(descriptor, buffer, count);
}

ssize_t read(int descriptor, void *buffer, size_t count)
{
    ON_DESCRIPTOR(descriptor, "read", -1)
    return REAL(read)(descriptor, buffer, count);
}

int fsync(int descriptor) { ON_DESCRIPTOR(descriptor, "fsync", -1) return REAL(fsync)(descriptor); }
int fdatasync(int descriptor) { ON_DESCRIPTOR(descriptor, "fdatasync", -1) return REAL(fdatasync)(descriptor); }
int flock(int descriptor, int how) { ON_DESCRIPTOR(descriptor, "flock", -1) return REAL(flock)(descriptor, how); }

int ftruncate64(int descriptor, off64_t length)
{
    ON_DESCRIPTOR(descriptor, "ftruncate", -1)
    return REAL(ftruncate64)(descriptor, length);
}

int close(int descriptor)
{
    char path[PATH_MAX];
    int failed = mode != OFF && !inside && path_is_ours(path_of(descriptor, path)) && strike("close", path);
    int error = errno, result = REAL(close)(descriptor); /* Linux closes it whatever it says */
    if (failed) errno = error;
    return failed ? -1 : result;
}

#define OPENING(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode_t permissions = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0; \
        va_end(arguments); \
        ON_PATH(path, "open", -1) \
        return REAL(name)(path, flags, permissions); \
    }
OPENING(open)
OPENING(open64)

int rename(const char *from, const char *to) { ON_PATH(from, "rename", -1) return REAL(rename)(from, to); }
int link(const char *from, const char *to) { ON_PATH(from, "link", -1) return REAL(link)(from, to); }
int linkat(int d, const char *from, int e, const char *to, int flags)
{
    ON_PATH(from, "link", -1)
    return REAL(linkat)(d, from, e, to, flags);
}
int unlink(const char *path) { ON_PATH(path, "unlink", -1) return REAL(unlink)(path); }
int mkdir(const char *path, mode_t permissions) { ON_PATH(path, "mkdir", -1) return REAL(mkdir)(path, permissions); }
int stat64(const char *path, struct stat64 *to) { ON_PATH(path, "stat", -1) return REAL(stat64)(path, to); }
int fstat64(int descriptor, struct stat64 *to)
{
    ON_DESCRIPTOR(descriptor, "fstat", -1)
    return REAL(fstat64)(descriptor, to);
}
