/* Preloaded: the time of day is so many seconds off. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *shift = getenv("MAILSTORE_TEST_CLOCK");
    if (!result && clock == CLOCK_REALTIME && shift) now->tv_sec += atol(shift);
    return result;
}
