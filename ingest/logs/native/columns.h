/* Columns while they grow: integers, instants, texts, and texts by the number of their distinct value. */
#pragma once
#include "distinct.h"
#include "numbers.h"

enum kind { TEXT, CODE, INT, SECONDS, STAMP, CONTENT_RANGE };
enum flag { NONE_IF_DASH = 1, ZERO_IF_DASH = 2, NONE_IF_EMPTY = 4, ZERO_IF_EMPTY = 8, NEEDED = 16 };

typedef struct {
    int kind, field, flags;
    Bytes values;         /* of each row: int64, uint32 (CODE) or where its text ends (TEXT: int64) */
    Bytes valid;          /* Arrow's bitmap of the rows that are not absent */
    Bytes text;           /* TEXT: of all rows */
    Distinct distinct;    /* CODE */
    Slice waiting[BATCH]; /* TEXT, CODE: of the rows not settled yet */
} Column;

/* Room for a batch of rows from `row` on, which a batch begins with; at first for as many as may come. */
static bool make_room(Column *column, size_t row, size_t rows)
{
    size_t width = column->kind == CODE ? 4 : 8, more = BATCH + (row ? 0 : rows);
    column->values.size = row * width;
    column->valid.size = row / 8;
    if (!reserve(&column->values, more * width) || !reserve(&column->valid, more / 8 + 1))
        return false;
    memset(column->valid.data + column->valid.size, 0xff, BATCH / 8);
    return true;
}

static inline void mark(Column *column, size_t row, bool is_absent)
{
    uint8_t *bits = &column->valid.data[row / 8];
    *bits = (uint8_t)((*bits & ~(1 << row % 8)) | !is_absent << row % 8);
}

/* The texts that wait, of `n` rows from `row` on, into their column. False: no memory. */
static bool settle_column(Column *column, size_t row, size_t n)
{
    const Slice *texts = &column->waiting[row % BATCH];
    if (column->kind != TEXT && column->kind != CODE)
        return true;
    for (size_t i = 0; i < n; i++)
        mark(column, row + i, !texts[i].at);
    if (column->kind == CODE)
        return number(&column->distinct, texts, n, (uint32_t *)column->values.data + row);
    int64_t *ends = (int64_t *)column->values.data + row;
    for (size_t i = 0; i < n; i++) {
        if (texts[i].at && !append(&column->text, texts[i].at, texts[i].size))
            return false;
        ends[i] = (int64_t)column->text.size;
    }
    return true;
}

static inline void put_int(Column *column, size_t row, int64_t value)
{
    ((int64_t *)column->values.data)[row] = value;
}

/* The value of one row in one column; false: odd. CONTENT_RANGE fills this column and the two behind it. */
static inline bool put(Column *column, size_t row, const Slice *fields)
{
    Slice text = fields[column->field];
    bool is_short = text.at && text.size < 2, is_dash = is_short && text.size && *text.at == '-';
    int means = is_dash ? column->flags & (NONE_IF_DASH | ZERO_IF_DASH)
                : is_short && !text.size ? column->flags & (NONE_IF_EMPTY | ZERO_IF_EMPTY) : 0;
    bool is_absent = !text.at || means & (NONE_IF_DASH | NONE_IF_EMPTY);
    bool is_zero = means & (ZERO_IF_DASH | ZERO_IF_EMPTY);
    int64_t value = 0;
    switch (column->kind) {
    case TEXT:
    case CODE:
        column->waiting[row % BATCH] = is_absent ? (Slice){NULL, 0} : text;
        return true;
    case INT:
        if (is_absent ? column->flags & NEEDED : !is_zero && !whole(text, &value))
            return false;
        put_int(column, row, value);
        if (!(column->flags & NEEDED))
            mark(column, row, is_absent);
        return true;
    case SECONDS:
        if (!text.at || (!is_zero && !seconds(text, &value)))
            return false;
        put_int(column, row, value);
        return true;
    case STAMP:
        if (!text.at || !fields[column->field + 1].at || !stamp(text, fields[column->field + 1], &value))
            return false;
        put_int(column, row, value);
        return true;
    default: {
        int64_t found[3] = {0, 0, 0};
        bool has_size = false, is_range = text.at && content_range(text, found, &has_size);
        if (text.size && !is_range && !is_dash)
            return false;
        for (int i = 0; i < 3; i++) {
            put_int(column + i, row, found[i]);
            mark(column + i, row, !is_range || (i == 2 && !has_size));
        }
        return true;
    }
    }
}
