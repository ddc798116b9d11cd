/* Has memory brought into the cache before it is read, so that several misses are under way at the same time. */
#ifndef BARWHEEL_PREFETCH_H
#define BARWHEEL_PREFETCH_H
#include <stddef.h>
#include <stdint.h>

#define CACHE_LINE 64

#if defined(__GNUC__)
static inline void prefetch(const void *at) { __builtin_prefetch(at, 1, 3); }
#else
static inline void prefetch(const void *at) { (void)at; }
#endif

/* An object of so many bytes. */
static inline void prefetch_object(const void *at, size_t size) {
    const char *p = (const char *)((uintptr_t)at & ~(uintptr_t)(CACHE_LINE - 1)), *end = (const char *)at + size;
    for (; p < end; p += CACHE_LINE)
        prefetch(p);
}

#endif
