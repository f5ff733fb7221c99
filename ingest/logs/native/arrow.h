/* Columns handed to Polars: Arrow's C data interface (https://arrow.apache.org/docs/format/CDataInterface.html). */
#pragma once
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>

#include "columns.h"

struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

/* A Series' arrays, as long as `capsule` lives; NULL: an error is set. */
static struct ArrowArrayStream *arrays_of(PyObject *series, PyObject **capsule)
{
    *capsule = PyObject_CallMethod(series, "__arrow_c_stream__", NULL);
    struct ArrowArrayStream *stream = *capsule ? PyCapsule_GetPointer(*capsule, "arrow_array_stream") : NULL;
    if (!stream)
        Py_CLEAR(*capsule);
    return stream;
}

#define NULLABLE 2

typedef struct {
    PyObject_HEAD
    const char *format;
    int64_t length, null_count;
    int n_buffers;
    void *buffers[3];
} Array;

static void array_dealloc(Array *self)
{
    for (int i = 0; i < 3; i++)
        free(self->buffers[i]);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static void release_schema(struct ArrowSchema *schema) { schema->release = NULL; }

static void release_array(struct ArrowArray *array)
{
    for (int i = 0; i < array->n_buffers; i++)
        free((void *)array->buffers[i]);
    free(array->buffers);
    array->release = NULL;
}

static void drop_schema(PyObject *capsule)
{
    struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, "arrow_schema");
    if (schema && schema->release)
        schema->release(schema);
    free(schema);
}

static void drop_array(PyObject *capsule)
{
    struct ArrowArray *array = PyCapsule_GetPointer(capsule, "arrow_array");
    if (array && array->release)
        array->release(array);
    free(array);
}

static PyObject *array_export(Array *self, PyObject *args, PyObject *kwargs)
{
    if (!self->n_buffers)
        return PyErr_Format(PyExc_ValueError, "a column can be taken once");
    struct ArrowSchema *schema = calloc(1, sizeof *schema);
    struct ArrowArray *array = calloc(1, sizeof *array);
    const void **buffers = calloc(3, sizeof *buffers);
    if (!schema || !array || !buffers) {
        free(schema);
        free(array);
        free(buffers);
        return PyErr_NoMemory();
    }
    *schema = (struct ArrowSchema){.format = self->format, .name = "", .flags = NULLABLE, .release = release_schema};
    *array = (struct ArrowArray){.length = self->length, .null_count = self->null_count,
                                 .n_buffers = self->n_buffers, .buffers = buffers, .release = release_array};
    for (int i = 0; i < self->n_buffers; i++) {
        buffers[i] = self->buffers[i];
        self->buffers[i] = NULL;
    }
    self->n_buffers = 0;
    PyObject *schema_capsule = PyCapsule_New(schema, "arrow_schema", drop_schema);
    PyObject *array_capsule = PyCapsule_New(array, "arrow_array", drop_array);
    return Py_BuildValue("(NN)", schema_capsule, array_capsule);
}

static PyMethodDef array_methods[] = {
    {"__arrow_c_array__", (PyCFunction)(void (*)(void))array_export, METH_VARARGS | METH_KEYWORDS,
     "The column, handed over: it can be taken once."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject ArrayType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ingest.logs._cut.Array",
    .tp_basicsize = sizeof(Array),
    .tp_dealloc = (destructor)array_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = array_methods,
};

static void *taken(Bytes *bytes)
{
    void *data = bytes->data ? bytes->data : calloc(1, 8);
    *bytes = (Bytes){0};
    return data;
}

/* How many of the rows are absent by Arrow's bitmap. */
static size_t absent(const Bytes *valid, size_t rows)
{
    size_t n = 0;
    for (size_t i = 0; i < rows; i += 64) {
        uint64_t word = ~load8(valid->data + i / 8);
        n += (size_t)__builtin_popcountll(rows - i < 64 ? word & ((1ull << (rows - i)) - 1) : word);
    }
    return n;
}

/* Text and where each value ends (int64, n of them) → Arrow's offsets, which begin with a 0. */
static void *offsets(const Bytes *ends, size_t n)
{
    int64_t *all = malloc((n + 1) * sizeof *all);
    if (!all)
        return NULL;
    all[0] = 0;
    if (n)
        memcpy(all + 1, ends->data, n * sizeof *all);
    return all;
}

static PyObject *array(const char *format, size_t length, size_t null_count, void *valid, void *first, void *second)
{
    Array *self = PyObject_New(Array, &ArrayType);
    if (!self)
        return NULL;
    self->format = format;
    self->length = (int64_t)length;
    self->null_count = (int64_t)null_count;
    self->n_buffers = second ? 3 : 2;
    self->buffers[0] = valid;
    self->buffers[1] = first;
    self->buffers[2] = second;
    if (!first || (null_count && !valid)) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static PyObject *codes_array(Column *column, size_t rows)
{
    size_t null_count = absent(&column->valid, rows);
    void *valid = null_count ? taken(&column->valid) : NULL;
    return array("I", rows, null_count, valid, taken(&column->values), NULL);
}

static PyObject *column_arrays(Column *column, size_t rows)
{
    if (column->kind == CODE) {
        PyObject *codes = codes_array(column, rows);
        Distinct *distinct = &column->distinct;
        void *ends = offsets(&distinct->ends, distinct->n);
        PyObject *values = array("U", distinct->n, 0, NULL, ends, taken(&distinct->text));
        return codes && values ? Py_BuildValue("(NN)", codes, values) : NULL;
    }
    size_t null_count = absent(&column->valid, rows);
    void *valid = null_count ? taken(&column->valid) : NULL;
    if (column->kind == TEXT) {
        void *ends = offsets(&column->values, rows);
        return array("U", rows, null_count, valid, ends, taken(&column->text));
    }
    return array("l", rows, null_count, valid, taken(&column->values), NULL);
}
