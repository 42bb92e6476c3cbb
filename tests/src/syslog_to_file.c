/* Preloaded into the servers under test, which log to syslog and nowhere else: appends each entry to
 * the file that MAILSTORE_TEST_LOG names, one write an entry, so that daemons can share the file. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char identity[64] = "?";

static void append_entry(int priority, const char *format, va_list arguments)
{
    /* Callers print errno after logging, and %m must see theirs. */
    int callers_errno = errno;
    const char *path = getenv("MAILSTORE_TEST_LOG");
    char entry[4096];
    struct timespec now;
    if (path == NULL)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    int head = snprintf(entry, sizeof entry, "%lld.%03ld %s[%d] <%d> ", (long long)now.tv_sec,
                        now.tv_nsec / 1000000, identity, (int)getpid(), priority & 7);
    errno = callers_errno;
    int body = vsnprintf(entry + head, sizeof entry - (size_t)head - 1, format, arguments);
    size_t length = (size_t)head + (body > 0 ? (size_t)body : 0);
    if (length > sizeof entry - 2)
        length = sizeof entry - 2;
    if (entry[length - 1] != '\n')
        entry[length++] = '\n';
    int log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (log >= 0) {
        if (write(log, entry, length) < 0) {
            /* A log that can't be written is no reason to disturb the server. */
        }
        close(log);
    }
    errno = callers_errno;
}

void openlog(const char *name, int option, int facility)
{
    (void)option;
    (void)facility;
    snprintf(identity, sizeof identity, "%s", name != NULL ? name : "?");
}

void closelog(void) {}

void vsyslog(int priority, const char *format, va_list arguments)
{
    append_entry(priority, format, arguments);
}

void syslog(int priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append_entry(priority, format, arguments);
    va_end(arguments);
}

/* What the calls above are called in programs built with _FORTIFY_SOURCE. */
void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments)
{
    (void)flag;
    append_entry(priority, format, arguments);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list arguments;
    (void)flag;
    va_start(arguments, format);
    append_entry(priority, format, arguments);
    va_end(arguments);
}
