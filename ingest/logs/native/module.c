/* ingest.logs._cut: cuts log lines into columns, without a Python object a value.
 *
 * An accelerator, never a need: ingest/logs/cut.py says what it may do, and Polars reads every line that is
 * refused here. So a line is cut only where there is no doubt about what it says; the rest is "odd" and comes
 * back as it is.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "joined.h"
#include "json.h"
#include "keys.h"
#include "separated.h"
#include "numbering.h"

/* [(kind, field, flags), …] → columns; a CONTENT_RANGE takes three. */
static bool read_columns(Cut *cut, PyObject *wanted, int n_fields)
{
    Py_ssize_t n = PyList_Size(wanted);
    if (n < 0 || !(cut->columns = calloc(3 * (size_t)n + 1, sizeof(Column))))
        return false;
    for (Py_ssize_t i = 0; i < n; i++) {
        int kind, field, flags;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(wanted, i), "iii", &kind, &field, &flags))
            return false;
        if (kind < TEXT || kind > CONTENT_RANGE || field < 0 || field + (kind == STAMP) >= n_fields) {
            PyErr_SetString(PyExc_ValueError, "a column of no known kind or field");
            return false;
        }
        for (int copies = kind == CONTENT_RANGE ? 3 : 1; copies; copies--)
            cut->columns[cut->n_columns++] = (Column){.kind = kind, .field = field, .flags = flags};
    }
    return true;
}

static PyObject *result(Cut *cut)
{
    PyObject *columns = PyList_New(0);
    for (int i = 0; columns && i < cut->n_columns; i++) {
        PyObject *one = column_arrays(&cut->columns[i], cut->rows);
        if (!one || PyList_Append(columns, one)) {
            Py_XDECREF(one);
            Py_CLEAR(columns);
            break;
        }
        Py_DECREF(one);
    }
    if (!columns)
        return NULL;
    size_t odd = cut->odd_starts.size / 8;
    return Py_BuildValue("(nnNNNNN)", (Py_ssize_t)cut->lines, (Py_ssize_t)cut->blank,
                         array("l", cut->rows, 0, NULL, taken(&cut->numbers), NULL),
                         array("l", cut->rows, 0, NULL, taken(&cut->starts), NULL), columns,
                         array("l", odd, 0, NULL, taken(&cut->odd_numbers), NULL),
                         array("l", odd, 0, NULL, taken(&cut->odd_starts), NULL));
}

static PyObject *finished(Cut *cut, bool is_fine)
{
    PyObject *done = is_fine ? result(cut) : PyErr_NoMemory();
    free_cut(cut);
    return done;
}

static PyObject *separated(PyObject *module, PyObject *args)
{
    Cut cut = {0};
    const char *body;
    Py_ssize_t size;
    int separator, names;
    PyObject *wanted;
    if (!PyArg_ParseTuple(args, "y#iiO!", &body, &size, &separator, &names, &PyList_Type, &wanted))
        return NULL;
    cut.body = (const uint8_t *)body;
    cut.size = (size_t)size;
    if (names < 1 || !read_columns(&cut, wanted, names)) {
        free_cut(&cut);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    bool is_fine;
    Py_BEGIN_ALLOW_THREADS
    is_fine = cut_separated(&cut, (uint8_t)separator, names);
    Py_END_ALLOW_THREADS
    return finished(&cut, is_fine);
}

#define MOST_KEYS 64

static PyObject *json(PyObject *module, PyObject *args)
{
    Cut cut = {0};
    const char *body;
    Py_ssize_t size;
    PyObject *names, *wanted;
    Key keys[MOST_KEYS];
    if (!PyArg_ParseTuple(args, "y#O!O!", &body, &size, &PyTuple_Type, &names, &PyList_Type, &wanted))
        return NULL;
    Py_ssize_t n_keys = PyTuple_GET_SIZE(names);
    if (n_keys < 1 || n_keys > MOST_KEYS)
        return PyErr_Format(PyExc_ValueError, "1 to %d keys", MOST_KEYS);
    for (Py_ssize_t i = 0; i < n_keys; i++) {
        Py_ssize_t length;
        char *text;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(names, i), &text, &length))
            return NULL;
        keys[i] = (Key){(const uint8_t *)text, (size_t)length};
    }
    cut.body = (const uint8_t *)body;
    cut.size = (size_t)size;
    if (!read_columns(&cut, wanted, (int)n_keys)) {
        free_cut(&cut);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    bool is_fine;
    Py_BEGIN_ALLOW_THREADS
    is_fine = cut_json(&cut, keys, (int)n_keys);
    Py_END_ALLOW_THREADS
    return finished(&cut, is_fine);
}

static PyObject *codes(PyObject *module, PyObject *series) { return from_texts(series, CODE, take_codes); }

static PyObject *addresses(PyObject *module, PyObject *series)
{
    return from_texts(series, TEXT, take_addresses);
}

static PyObject *newlines(PyObject *module, PyObject *args)
{
    const char *body;
    Py_ssize_t size, start, stop;
    if (!PyArg_ParseTuple(args, "y#nn", &body, &size, &start, &stop))
        return NULL;
    stop = stop < size ? stop : size;
    size_t count = 0;
    Py_BEGIN_ALLOW_THREADS
    if (0 <= start && start < stop)
        count = count_newlines((const uint8_t *)body + start, (size_t)(stop - start));
    Py_END_ALLOW_THREADS
    return PyLong_FromSize_t(count);
}

static PyObject *joined(PyObject *module, PyObject *args)
{
    PyObject *pieces;
    return PyArg_ParseTuple(args, "O!", &PyList_Type, &pieces) ? join_pieces(pieces) : NULL;
}

static PyObject *seed(PyObject *module, PyObject *args)
{
    unsigned long long first, second;
    if (!PyArg_ParseTuple(args, "KK", &first, &second))
        return NULL;
    secret[0] = first;
    secret[1] = second | 1;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"separated", separated, METH_VARARGS, "separated(body, separator, names, columns)"},
    {"json", json, METH_VARARGS, "json(body, quoted keys, columns)"},
    {"codes", codes, METH_O, "codes(series of String): number of each value, distinct values"},
    {"addresses", addresses, METH_O, "addresses(series of String): canonical, null where they are none"},
    {"mixed", mixed, METH_O, "mixed([series of Int64, …]): one key a row of all of them"},
    {"order", order, METH_O, "order([series of Int64, …]): the rows in the order of these, a stable one"},
    {"newlines", newlines, METH_VARARGS, "newlines(body, start, stop)"},
    {"joined", joined, METH_VARARGS, "joined(list of bytes and views of them): bytes"},
    {"seed", seed, METH_VARARGS, "seed(first, second): of the hashes, once before all else"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "ingest.logs._cut", .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__cut(void)
{
    PyObject *module;
    if (PyType_Ready(&ArrayType) || PyType_Ready(&NumberingType) || !(module = PyModule_Create(&definition)))
        return NULL;
    if (PyModule_AddObjectRef(module, "Numbering", (PyObject *)&NumberingType))
        Py_CLEAR(module);
    return module;
}
