/* Preloaded into Dovecot, which looks for its modules where it was compiled to be installed: they are
 * below MAILSTORE_TEST_ROOT instead. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *moved(const char *path, char *buffer, size_t size)
{
    static const char installed[] = "/usr/lib/dovecot";
    const char *root = getenv("MAILSTORE_TEST_ROOT");
    if (path == NULL || root == NULL || strncmp(path, installed, sizeof installed - 1) != 0)
        return path;
    snprintf(buffer, size, "%s%s", root, path);
    return buffer;
}

DIR *opendir(const char *path)
{
    char buffer[4096];
    DIR *(*real)(const char *) = (DIR * (*)(const char *)) dlsym(RTLD_NEXT, "opendir");
    return real(moved(path, buffer, sizeof buffer));
}

void *dlopen(const char *path, int flags)
{
    char buffer[4096];
    void *(*real)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    return real(moved(path, buffer, sizeof buffer), flags);
}
