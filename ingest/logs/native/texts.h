/* Texts that come from Polars: their distinct values, and addresses. */
#pragma once
#include <arpa/inet.h>

#include "arrow.h"
#include "lines.h"

/* A text of Arrow's `utf8_view`: up to 12 bytes in place, else a beginning, and where the whole of it lies. */
typedef struct {
    int32_t size;
    union {
        uint8_t in_place[12];
        struct {
            uint8_t beginning[4];
            int32_t buffer, at;
        };
    };
} View;

typedef bool (*Take)(Cut *, Slice); /* false: no memory */

static bool take_chunk(Cut *cut, const struct ArrowArray *chunk, Take take)
{
    const uint8_t *valid = chunk->buffers[0];
    const View *views = (const View *)chunk->buffers[1] + chunk->offset;
    for (int64_t i = 0; i < chunk->length; i++) {
        int64_t bit = i + chunk->offset;
        Slice text = {NULL, 0};
        if (!valid || valid[bit / 8] >> (bit % 8) & 1) {
            const View *view = &views[i];
            const uint8_t *at = view->size <= 12 ? view->in_place
                                                 : (const uint8_t *)chunk->buffers[2 + view->buffer] + view->at;
            text = (Slice){at, (size_t)view->size};
        }
        if (!take(cut, text))
            return false;
        cut->rows++;
    }
    return true;
}

/* A stream of `utf8_view` arrays, each text taken in turn, into one column of `kind`. */
static PyObject *from_texts(PyObject *series, int kind, Take take)
{
    PyObject *capsule = PyObject_CallMethod(series, "__arrow_c_stream__", NULL);
    struct ArrowArrayStream *stream = capsule ? PyCapsule_GetPointer(capsule, "arrow_array_stream") : NULL;
    if (!stream) {
        Py_XDECREF(capsule);
        return NULL;
    }
    Cut cut = {0};
    struct ArrowSchema schema = {0};
    bool is_text = !stream->get_schema(stream, &schema) && !strcmp(schema.format, "vu");
    if (schema.release)
        schema.release(&schema);
    cut.columns = calloc(1, sizeof(Column));
    bool is_fine = is_text && cut.columns;
    if (is_fine) {
        cut.n_columns = 1;
        cut.columns[0] = (Column){.kind = kind};
    }
    while (is_fine) {
        struct ArrowArray chunk = {0};
        if (stream->get_next(stream, &chunk))
            is_fine = false;
        if (!chunk.release)
            break;
        is_fine = is_fine && take_chunk(&cut, &chunk, take);
        chunk.release(&chunk);
    }
    Py_DECREF(capsule);
    PyObject *found = is_fine ? column_arrays(&cut.columns[0], cut.rows) : NULL;
    free_cut(&cut);
    if (!is_text)
        return PyErr_Format(PyExc_TypeError, "not a column of texts");
    return is_fine ? found : PyErr_NoMemory();
}

static bool take_text(Cut *cut, Slice text) { return put(&cut->columns[0], cut->rows, &text) == CUT; }

/* An address as it is compared: IPv4 as text, of IPv6 the first 64 bits as hex digits; absent: neither. */
static bool take_address(Cut *cut, Slice text)
{
    static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char given[64], made[INET_ADDRSTRLEN + 8];
    uint8_t packed[16];
    Slice found = {NULL, 0};
    if (text.at && text.size < sizeof given && !memchr(text.at, 0, text.size)) {
        memcpy(given, text.at, text.size);
        given[text.size] = 0;
        bool is_ipv6 = memchr(text.at, ':', text.size) != NULL;
        if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, given, packed) == 1) {
            if (!is_ipv6 || !memcmp(packed, MAPPED, 12)) {
                inet_ntop(AF_INET, is_ipv6 ? packed + 12 : packed, made, sizeof made);
            } else {
                for (int i = 0; i < 16; i++)
                    made[i] = "0123456789abcdef"[packed[i / 2] >> (i % 2 ? 0 : 4) & 15];
                made[16] = 0;
            }
            found = (Slice){(const uint8_t *)made, strlen(made)};
        }
    }
    return take_text(cut, found);
}
