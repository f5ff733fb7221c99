/* Pieces of a body as one. */
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

/* Asks for large pages where `size` bytes at `at` are new: † small ones cost more than what is written there. */
static void ask_for_large_pages(char *at, size_t size)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t page = (uintptr_t)2 << 20;
    uintptr_t start = ((uintptr_t)at + page - 1) & ~(page - 1), end = ((uintptr_t)at + size) & ~(page - 1);
    if (start < end)
        (void)madvise((void *)start, end - start, MADV_HUGEPAGE); /* refused: small ones do */
#else
    (void)at;
    (void)size;
#endif
}

static PyObject *join_pieces(PyObject *pieces)
{
    Py_ssize_t n = PyList_GET_SIZE(pieces), held = 0, total = 0;
    Py_buffer *views = PyMem_New(Py_buffer, (size_t)n + 1);
    if (!views)
        return PyErr_NoMemory();
    for (; held < n && !PyObject_GetBuffer(PyList_GET_ITEM(pieces, held), &views[held], PyBUF_SIMPLE); held++)
        total += views[held].len;
    PyObject *body = held == n ? PyBytes_FromStringAndSize(NULL, total) : NULL;
    if (body) {
        char *at = PyBytes_AS_STRING(body);
        ask_for_large_pages(at, (size_t)total);
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < n; i++) {
            memcpy(at, views[i].buf, (size_t)views[i].len);
            at += views[i].len;
        }
        Py_END_ALLOW_THREADS
    }
    while (held)
        PyBuffer_Release(&views[--held]);
    PyMem_Free(views);
    return body;
}
