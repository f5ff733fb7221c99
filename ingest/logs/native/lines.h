/* A body of lines, each of which becomes a row, is blank, or is odd: left as it is for Polars. */
#pragma once
#include "columns.h"

typedef struct {
    const uint8_t *body;
    size_t size;
    Column *columns;
    int n_columns;
    size_t rows, settled; /* settled: so many of them have their texts in place */
    size_t lines, blank;  /* blank: header lines too */
    Bytes starts;         /* int64 a row: where its line begins */
    Bytes numbers;        /* int64 a row: its line, from 0 */
    Bytes odd_starts;     /* int64 an odd line */
    Bytes odd_numbers;
    Bytes scratch;        /* unescaped values of the rows not settled yet */
} Cut;

/* Puts the texts that wait into their columns: they may lie in what is about to go. False: no memory. */
static bool settle(Cut *cut)
{
    bool is_fine = true;
    for (int i = 0; is_fine && i < cut->n_columns; i++)
        is_fine = settle_column(&cut->columns[i], cut->settled, cut->rows - cut->settled);
    cut->settled = cut->rows;
    cut->scratch.size = 0;
    return is_fine;
}

#define USUAL_LINE 256 /* bytes: of longer ones a little memory stays untouched */

/* To be called before each row. */
static bool begin_row(Cut *cut)
{
    bool is_fine = true;
    for (int i = 0; is_fine && cut->rows % BATCH == 0 && i < cut->n_columns; i++)
        is_fine = make_room(&cut->columns[i], cut->rows, cut->size / USUAL_LINE);
    return is_fine;
}

static bool end_row(Cut *cut) { return ++cut->rows % BATCH || settle(cut); }

static bool is_utf8(const uint8_t *at, size_t size)
{
    const uint8_t *end = at + size;
    while (at < end) {
        if (*at < 0x80) {
            at++;
            continue;
        }
        int more = (*at & 0xe0) == 0xc0 ? 1 : (*at & 0xf0) == 0xe0 ? 2 : (*at & 0xf8) == 0xf0 ? 3 : 0;
        if (!more || end - at <= more)
            return false;
        uint32_t point = *at & (0x3f >> more);
        for (int i = 1; i <= more; i++) {
            if ((at[i] & 0xc0) != 0x80)
                return false;
            point = point << 6 | (at[i] & 0x3f);
        }
        static const uint32_t LEAST[] = {0, 0x80, 0x800, 0x10000};
        if (point < LEAST[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return false;
        at += more + 1;
    }
    return true;
}

/* Keeps a line whose fields are known, or counts it among the odd ones. False: no memory. */
static bool keep(Cut *cut, size_t start, const Slice *fields)
{
    bool is_odd = !fields;
    int64_t at = (int64_t)start, number = (int64_t)cut->lines++;
    if (!begin_row(cut))
        return false;
    for (int i = 0; !is_odd && i < cut->n_columns; i += cut->columns[i].kind == CONTENT_RANGE ? 3 : 1)
        is_odd = !put(&cut->columns[i], cut->rows, fields);
    if (is_odd)
        return append(&cut->odd_starts, &at, 8) && append(&cut->odd_numbers, &number, 8);
    return append(&cut->starts, &at, 8) && append(&cut->numbers, &number, 8) && end_row(cut);
}

static bool skip(Cut *cut)
{
    cut->blank++;
    cut->lines++;
    return true;
}

static void free_cut(Cut *cut)
{
    for (int i = 0; i < cut->n_columns; i++) {
        Column *column = &cut->columns[i];
        free(column->values.data);
        free(column->valid.data);
        free(column->text.data);
        free_distinct(&column->distinct);
    }
    free(cut->columns);
    free(cut->starts.data);
    free(cut->numbers.data);
    free(cut->odd_starts.data);
    free(cut->odd_numbers.data);
    free(cut->scratch.data);
}
