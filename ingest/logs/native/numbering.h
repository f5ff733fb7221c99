/* Texts numbered over many columns: a text that came before has the number it had. */
#pragma once
#include "texts.h"

typedef struct {
    PyObject_HEAD
    Distinct distinct;
    bool is_taken; /* by a call that is not over */
} Numbering;

/* The texts from number `first` on, as a column. */
static PyObject *texts_from(const Distinct *distinct, size_t first)
{
    size_t n = distinct->n - first;
    const int64_t *ends = (const int64_t *)distinct->ends.data;
    int64_t begin = first ? ends[first - 1] : 0, end = distinct->n ? ends[distinct->n - 1] : 0;
    int64_t *offsets = malloc((n + 1) * sizeof *offsets);
    uint8_t *text = malloc((size_t)(end - begin) + 8);
    if (!offsets || !text) {
        free(offsets);
        free(text);
        return PyErr_NoMemory();
    }
    offsets[0] = 0;
    for (size_t i = 0; i < n; i++)
        offsets[i + 1] = ends[first + i] - begin;
    if (end > begin)
        memcpy(text, distinct->text.data + begin, (size_t)(end - begin));
    return array("U", n, 0, NULL, offsets, text);
}

static PyObject *numbering_of(Numbering *self, PyObject *series)
{
    Cut cut = {0};
    if (self->is_taken)
        return PyErr_Format(PyExc_RuntimeError, "two threads number at once");
    if (!one_column(&cut, CODE))
        return NULL;
    Column *column = &cut.columns[0];
    size_t first = self->distinct.n;
    column->distinct = self->distinct;
    self->is_taken = true;
    bool is_fine = take_series(&cut, series, take_codes);
    self->distinct = column->distinct;
    column->distinct = (Distinct){0};
    self->is_taken = false;
    PyObject *numbers = is_fine ? codes_array(column, cut.rows) : NULL;
    PyObject *added = numbers ? texts_from(&self->distinct, first) : NULL;
    free_cut(&cut);
    if (!added) {
        Py_XDECREF(numbers);
        return NULL;
    }
    return Py_BuildValue("(NN)", numbers, added);
}

static PyObject *numbering_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (!PyArg_ParseTuple(args, "") || (kwargs && PyDict_GET_SIZE(kwargs)))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "Numbering() takes nothing");
    return type->tp_alloc(type, 0);
}

static void numbering_dealloc(Numbering *self)
{
    free_distinct(&self->distinct);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef numbering_methods[] = {
    {"of", (PyCFunction)numbering_of, METH_O, "of(series of String): number of each value; the new ones, in order"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject NumberingType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ingest.logs._cut.Numbering",
    .tp_basicsize = sizeof(Numbering),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = numbering_methods,
    .tp_new = numbering_new,
    .tp_dealloc = (destructor)numbering_dealloc,
};
