/* Whole numbers that come from Polars: keys mixed of several, and the order of rows. */
#pragma once
#include "arrow.h"

#define MOST_NUMBERS 8

/* Columns of int64 without nulls, one array each, as long as one another. */
typedef struct {
    struct ArrowArray chunks[MOST_NUMBERS];
    const int64_t *values[MOST_NUMBERS];
    int n;
    int64_t rows;
} Numbers;

static void free_numbers(Numbers *numbers)
{
    for (int i = 0; i < numbers->n; i++)
        if (numbers->chunks[i].release)
            numbers->chunks[i].release(&numbers->chunks[i]);
}

/* One Series, to the end of `numbers`. False: it is none of these, or an error is set. */
static bool read_numbers(Numbers *numbers, PyObject *series)
{
    PyObject *capsule;
    struct ArrowArrayStream *stream = arrays_of(series, &capsule);
    if (!stream)
        return false;
    struct ArrowSchema schema = {0};
    bool is_fine = !stream->get_schema(stream, &schema) && !strcmp(schema.format, "l");
    if (schema.release)
        schema.release(&schema);
    struct ArrowArray *chunk = &numbers->chunks[numbers->n], more = {0};
    is_fine = is_fine && !stream->get_next(stream, chunk) && chunk->release;
    if (is_fine) {
        numbers->values[numbers->n++] = (const int64_t *)chunk->buffers[1] + chunk->offset;
        is_fine = !chunk->null_count && (numbers->n == 1 || chunk->length == numbers->rows);
        numbers->rows = chunk->length;
        is_fine = is_fine && !stream->get_next(stream, &more) && !more.release;
        if (more.release)
            more.release(&more);
    }
    Py_DECREF(capsule);
    return is_fine;
}

/* A sequence of Series. False: an error is set; of columns that are not what is said above a ValueError. */
static bool read_all_numbers(Numbers *numbers, PyObject *sequence)
{
    Py_ssize_t n = PySequence_Size(sequence);
    bool is_fine = n >= 1 && n <= MOST_NUMBERS;
    for (Py_ssize_t i = 0; is_fine && i < n; i++) {
        PyObject *series = PySequence_GetItem(sequence, i);
        is_fine = series && read_numbers(numbers, series);
        Py_XDECREF(series);
    }
    if (is_fine)
        return true;
    free_numbers(numbers);
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "not columns of whole numbers, each in one piece, none absent");
    return false;
}

static inline uint64_t turned(uint64_t word, int by) { return word << by | word >> (64 - by); }

/* XXH3, 64 bits, of the eight bytes of a number (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md). */
static inline uint64_t xxh3(uint64_t word)
{
    const uint64_t flip = 0x1cad21f72c81017cULL ^ 0xdb979083e96dd4deULL, prime = 0x9fb21c651e98df25ULL;
    uint64_t h = turned(word, 32) ^ flip;
    h ^= turned(h, 49) ^ turned(h, 24);
    h *= prime;
    h ^= (h >> 35) + 8;
    h *= prime;
    return h ^ h >> 28;
}

/* listeners.mixed of each row. */
static void mix(const Numbers *numbers, int64_t *mixed)
{
    for (int64_t row = 0; row < numbers->rows; row++) {
        uint64_t key = (uint64_t)numbers->values[0][row];
        for (int i = 1; i < numbers->n; i++)
            key = xxh3(key ^ (uint64_t)numbers->values[i][row]);
        mixed[row] = (int64_t)key;
    }
}

/* Is row a before row b, and if both are alike, does it stand before it? */
static inline bool is_before(const Numbers *numbers, uint32_t a, uint32_t b)
{
    for (int i = 1; i < numbers->n; i++)
        if (numbers->values[i][a] != numbers->values[i][b])
            return numbers->values[i][a] < numbers->values[i][b];
    return a < b;
}

/* The first key beside its row: most comparisons need no other. */
typedef struct {
    int64_t first;
    uint32_t row;
} Ranked;

static inline bool is_ranked_before(const Numbers *numbers, const Ranked *a, const Ranked *b)
{
    return a->first != b->first ? a->first < b->first : is_before(numbers, a->row, b->row);
}

/* Merges from the bottom up, between `rows` and as much `room`; the result is in `rows`. */
static void sort_rows(const Numbers *numbers, Ranked *rows, Ranked *room, size_t n)
{
    enum { RUN = 16 };
    Ranked *from = rows, *to = room;
    for (size_t start = 0; start < n; start += RUN)
        for (size_t i = start + 1; i < n && i < start + RUN; i++) {
            Ranked one = from[i];
            size_t at = i;
            for (; at > start && is_ranked_before(numbers, &one, &from[at - 1]); at--)
                from[at] = from[at - 1];
            from[at] = one;
        }
    for (size_t run = RUN; run < n; run *= 2) {
        for (size_t start = 0; start < n; start += 2 * run) {
            size_t middle = start + run < n ? start + run : n, end = middle + run < n ? middle + run : n;
            size_t left = start, right = middle;
            for (size_t at = start; at < end; at++)
                to[at] = right >= end || (left < middle && !is_ranked_before(numbers, &from[right], &from[left]))
                             ? from[left++]
                             : from[right++];
        }
        Ranked *done = to;
        to = from;
        from = done;
    }
    if (from != rows)
        memcpy(rows, from, n * sizeof *rows);
}

#define BUCKET_BITS 12

static size_t bucket(int64_t key) { return (((uint64_t)key) ^ 1ull << 63) >> (64 - BUCKET_BITS); }

/* The rows in order. † By the beginning of the first key first: keys are hashes, so few rows share one, and
 * those few are sorted within the cache. */
static void rank(const Numbers *numbers, Ranked *rows, Ranked *room)
{
    size_t ends[1 << BUCKET_BITS] = {0}, n = (size_t)numbers->rows, before = 0;
    const int64_t *first = numbers->values[0];
    for (size_t i = 0; i < n; i++)
        ends[bucket(first[i])]++;
    for (size_t b = 0; b < 1 << BUCKET_BITS; b++) {
        size_t size = ends[b];
        ends[b] = before;
        before += size;
    }
    for (size_t i = 0; i < n; i++)
        rows[ends[bucket(first[i])]++] = (Ranked){first[i], (uint32_t)i};
    size_t start = 0;
    for (size_t b = 0; b < 1 << BUCKET_BITS; start = ends[b++])
        if (ends[b] > start + 1)
            sort_rows(numbers, rows + start, room, ends[b] - start);
}

static PyObject *mixed(PyObject *module, PyObject *sequence)
{
    Numbers numbers = {0};
    if (!read_all_numbers(&numbers, sequence))
        return NULL;
    int64_t *keys = malloc(((size_t)numbers.rows + 1) * sizeof *keys);
    if (keys) {
        Py_BEGIN_ALLOW_THREADS
        mix(&numbers, keys);
        Py_END_ALLOW_THREADS
    }
    free_numbers(&numbers);
    return array("l", (size_t)numbers.rows, 0, NULL, keys, NULL);
}

static PyObject *order(PyObject *module, PyObject *sequence)
{
    Numbers numbers = {0};
    if (!read_all_numbers(&numbers, sequence))
        return NULL;
    size_t n = (size_t)numbers.rows;
    uint32_t *places = n < UINT32_MAX ? malloc((n + 1) * sizeof *places) : NULL;
    Ranked *rows = malloc((2 * n + 1) * sizeof *rows);
    if (places && rows) {
        Py_BEGIN_ALLOW_THREADS
        rank(&numbers, rows, rows + n);
        for (size_t i = 0; i < n; i++)
            places[i] = rows[i].row;
        Py_END_ALLOW_THREADS
    }
    bool is_fine = places && rows;
    free(rows);
    free_numbers(&numbers);
    if (!is_fine) {
        free(places);
        return PyErr_NoMemory();
    }
    return array("I", n, 0, NULL, places, NULL);
}
