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

static const View *view_at(const struct ArrowArray *chunk, int64_t i)
{
    return (const View *)chunk->buffers[1] + chunk->offset + i;
}

static Slice text_at(const struct ArrowArray *chunk, int64_t i)
{
    const uint8_t *valid = chunk->buffers[0];
    int64_t bit = i + chunk->offset;
    if (valid && !(valid[bit / 8] >> (bit % 8) & 1))
        return (Slice){NULL, 0};
    const View *view = view_at(chunk, i);
    const uint8_t *at =
        view->size <= 12 ? view->in_place : (const uint8_t *)chunk->buffers[2 + view->buffer] + view->at;
    return (Slice){at, (size_t)view->size};
}

/* A view of the chunk, and the number of its text. */
typedef struct {
    View view;
    uint32_t code; /* code + 1; 0: free */
} Seen;

#define SEEN_BITS 14

static Seen *place_of(Seen *seen, const View *view)
{
    const uint8_t *at = (const uint8_t *)view;
    return &seen[fold(load8(at) ^ secret[0], load8(at + 8) ^ secret[1]) >> (64 - SEEN_BITS)];
}

/* Takes `n` texts of a chunk from `start` on, at most to the end of a batch; `seen`: of each hash the last view. */
typedef bool (*Take)(Cut *, const struct ArrowArray *, int64_t start, size_t n, Seen *seen);

/* As numbers. Texts that were gathered from few have views that are alike to the bit: one that was seen before
 * tells the number without a look at the text. */
static bool take_codes(Cut *cut, const struct ArrowArray *chunk, int64_t start, size_t n, Seen *seen)
{
    Column *column = &cut->columns[0];
    Seen *places[BATCH];
    Slice unknown[BATCH] = {{NULL, 0}};
    uint32_t numbers[BATCH], *codes = (uint32_t *)column->values.data + cut->rows;
    size_t rows[BATCH], n_unknown = 0; /* of the unknown ones */
    for (size_t i = 0; i < n; i++) {
        places[i] = place_of(seen, view_at(chunk, start + (int64_t)i));
        __builtin_prefetch(places[i]);
    }
    for (size_t i = 0; i < n; i++) {
        const View *view = view_at(chunk, start + (int64_t)i);
        Slice text = text_at(chunk, start + (int64_t)i);
        bool is_seen = is_same((const uint8_t *)&places[i]->view, (const uint8_t *)view, sizeof *view);
        codes[i] = text.at ? places[i]->code - 1 : 0;
        mark(column, cut->rows + i, !text.at);
        unknown[n_unknown] = text;
        rows[n_unknown] = i;
        n_unknown += text.at && !(is_seen && places[i]->code);
    }
    if (!number(&column->distinct, unknown, n_unknown, numbers))
        return false;
    for (size_t i = 0; i < n_unknown; i++) {
        codes[rows[i]] = numbers[i];
        *places[rows[i]] = (Seen){*view_at(chunk, start + (int64_t)rows[i]), numbers[i] + 1};
    }
    cut->settled = cut->rows += n;
    return true;
}

#define MOST_ADDRESS 24

/* An address as it is compared: IPv4 as text, of IPv6 the first 64 bits as hex digits; absent: neither. */
static Slice canonical(Slice text, char made[MOST_ADDRESS])
{
    static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char given[64];
    uint8_t packed[16];
    if (!text.at || text.size >= sizeof given || memchr(text.at, 0, text.size))
        return (Slice){NULL, 0};
    memcpy(given, text.at, text.size);
    given[text.size] = 0;
    bool is_ipv6 = memchr(text.at, ':', text.size) != NULL;
    if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, given, packed) != 1)
        return (Slice){NULL, 0};
    if (!is_ipv6)
        return text; /* none but the canonical form is taken for an address */
    if (!memcmp(packed, MAPPED, 12)) {
        inet_ntop(AF_INET, packed + 12, made, MOST_ADDRESS);
    } else {
        for (int i = 0; i < 16; i++)
            made[i] = "0123456789abcdef"[packed[i / 2] >> (i % 2 ? 0 : 4) & 15];
        made[16] = 0;
    }
    return (Slice){(const uint8_t *)made, strlen(made)};
}

static bool take_addresses(Cut *cut, const struct ArrowArray *chunk, int64_t start, size_t n, Seen *seen)
{
    (void)seen;
    char made[BATCH][MOST_ADDRESS];
    Slice *texts = &cut->columns[0].waiting[cut->rows % BATCH];
    for (size_t i = 0; i < n; i++)
        texts[i] = canonical(text_at(chunk, start + (int64_t)i), made[i]);
    cut->rows += n;
    return settle(cut);
}

static bool take_chunk(Cut *cut, const struct ArrowArray *chunk, Take take)
{
    Seen *seen = calloc((size_t)1 << SEEN_BITS, sizeof *seen);
    bool is_fine = seen;
    for (int64_t start = 0; is_fine && start < chunk->length;) {
        size_t n = BATCH - cut->rows % BATCH, left = (size_t)(chunk->length - start);
        n = n < left ? n : left;
        is_fine = begin_row(cut) && take(cut, chunk, start, n, seen);
        start += (int64_t)n;
    }
    free(seen);
    return is_fine;
}

/* A stream of `utf8_view` arrays, its texts taken into the one column of `cut`. False: an error is set. */
static bool take_series(Cut *cut, PyObject *series, Take take)
{
    PyObject *capsule;
    struct ArrowArrayStream *stream = arrays_of(series, &capsule);
    if (!stream)
        return false;
    struct ArrowSchema schema = {0};
    bool is_text = !stream->get_schema(stream, &schema) && !strcmp(schema.format, "vu"), is_fine = is_text;
    if (schema.release)
        schema.release(&schema);
    while (is_fine) {
        struct ArrowArray chunk = {0};
        if (stream->get_next(stream, &chunk))
            is_fine = false;
        if (!chunk.release)
            break;
        is_fine = is_fine && take_chunk(cut, &chunk, take);
        chunk.release(&chunk);
    }
    Py_DECREF(capsule);
    if (!is_text)
        PyErr_SetString(PyExc_TypeError, "not a column of texts");
    else if (!is_fine)
        PyErr_NoMemory();
    return is_fine;
}

static bool one_column(Cut *cut, int kind)
{
    if (!(cut->columns = calloc(1, sizeof(Column))))
        return PyErr_NoMemory() != NULL;
    cut->n_columns = 1;
    cut->columns[0].kind = kind;
    return true;
}

static PyObject *from_texts(PyObject *series, int kind, Take take)
{
    Cut cut = {0};
    bool is_fine = one_column(&cut, kind) && take_series(&cut, series, take);
    PyObject *found = is_fine ? column_arrays(&cut.columns[0], cut.rows) : NULL;
    free_cut(&cut);
    return found;
}
