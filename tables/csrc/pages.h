/* Memory for Python's objects in large pages, where the kernel has them.
 *
 * A hundred thousand windows and symbols lie in more small pages than the processor can remember the places of. Then each of
 * them costs a walk through the page tables as well. Python asks for its memory in pieces of a megabyte, for which the kernel
 * gives no large page by itself.
 */
#ifndef BARWHEEL_PAGES_H
#define BARWHEEL_PAGES_H
#include <Python.h>

#ifdef __linux__
#include <stdint.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t)2 << 20)
#define ARENA ((size_t)1 << 20) /* of Python's object allocator; it asks here for the stacks of its frames, too */

static char *page_rest; /* of the last page, not given away yet */
static size_t page_left;

static void *map_pages(size_t size) {
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static char *map_large_page(void) {
    char *at = map_pages(2 * LARGE_PAGE), *page;
    if (at == NULL)
        return NULL;
    page = (char *)(((uintptr_t)at + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1));
    if (page != at)
        munmap(at, (size_t)(page - at));
    munmap(page + LARGE_PAGE, (size_t)(at + LARGE_PAGE - page));
#ifdef MADV_HUGEPAGE
    madvise(page, LARGE_PAGE, MADV_HUGEPAGE); /* where there are none, it has small pages */
#endif
    return page;
}

static void *alloc_arena(void *context, size_t size) {
    (void)context;
    if (size != ARENA)
        return map_pages(size);
    if (page_left < size) {
        if ((page_rest = map_large_page()) == NULL)
            return NULL;
        page_left = LARGE_PAGE;
    }
    void *at = page_rest;
    page_rest += size;
    page_left -= size;
    return at;
}

/* Also of those that Python had before: it gets them from the kernel in the same way. */
static void free_arena(void *context, void *at, size_t size) {
    (void)context;
    munmap(at, size);
}

static int large_pages(void) {
    PyObjectArenaAllocator allocator = {NULL, alloc_arena, free_arena};
    PyObject_SetArenaAllocator(&allocator);
    return 1;
}
#else
static int large_pages(void) { return 0; }
#endif

#endif
