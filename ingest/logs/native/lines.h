/* A body of lines, each of which becomes a row, is blank, or is odd: left as it is for Polars. */
#pragma once
#include "columns.h"

typedef struct {
    const uint8_t *body;
    size_t size;
    Column *columns;
    int n_columns;
    size_t rows, lines, blank; /* blank: header lines too */
    Bytes starts;       /* int64 a row: where its line begins */
    Bytes numbers;      /* int64 a row: its line, from 0 */
    Bytes odd_starts;   /* int64 an odd line */
    Bytes odd_numbers;
    Bytes scratch;      /* unescaped values of one line */
} Cut;

static void forget_row(Cut *cut, size_t row)
{
    for (int i = 0; i < cut->n_columns; i++) {
        Column *column = &cut->columns[i];
        size_t width = column->kind == CODE ? 4 : 8;
        if (column->values.size > row * width)
            column->values.size = row * width;
        if (column->kind == TEXT)
            column->text.size = row ? (size_t)((int64_t *)column->values.data)[row - 1] : 0;
        if (column->absent.size > row) {
            column->null_count -= column->absent.data[row];
            column->absent.size = row;
        }
    }
}

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
    enum result done = fields ? CUT : ODD;
    int64_t at = (int64_t)start, number = (int64_t)cut->lines;
    for (int i = 0; done == CUT && i < cut->n_columns; i++) {
        done = put(&cut->columns[i], cut->rows, fields);
        if (cut->columns[i].kind == CONTENT_RANGE)
            i += 2;
    }
    if (done == ODD && fields)
        forget_row(cut, cut->rows);
    cut->lines++;
    if (done == NO_MEMORY)
        return false;
    if (done == ODD)
        return append(&cut->odd_starts, &at, 8) && append(&cut->odd_numbers, &number, 8);
    cut->rows++;
    return append(&cut->starts, &at, 8) && append(&cut->numbers, &number, 8);
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
        free(column->absent.data);
        free(column->text.data);
        free(column->ends.data);
        free(column->table);
    }
    free(cut->columns);
    free(cut->starts.data);
    free(cut->numbers.data);
    free(cut->odd_starts.data);
    free(cut->odd_numbers.data);
    free(cut->scratch.data);
}
