/* Columns while they grow: integers, instants, texts, and texts by the number of their distinct value. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t *data;
    size_t size, room;
} Bytes;

static bool reserve(Bytes *bytes, size_t more)
{
    if (bytes->size + more <= bytes->room)
        return true;
    size_t room = bytes->room ? bytes->room : 4096;
    while (room < bytes->size + more)
        room += room / 2;
    uint8_t *data = realloc(bytes->data, room);
    if (!data)
        return false;
    bytes->data = data;
    bytes->room = room;
    return true;
}

static bool append(Bytes *bytes, const void *data, size_t size)
{
    if (!reserve(bytes, size + 8)) /* hash() may read up to 8 bytes at once */
        return false;
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return true;
}

enum kind { TEXT, CODE, INT, SECONDS, STAMP, CONTENT_RANGE };
enum flag { NONE_IF_DASH = 1, ZERO_IF_DASH = 2, NONE_IF_EMPTY = 4, ZERO_IF_EMPTY = 8, NEEDED = 16 };

typedef struct {
    const uint8_t *at; /* NULL: absent */
    size_t size;
} Slice;

typedef struct {
    uint32_t hash, code;
    uint32_t at, size; /* of the value in the column's text, so that a look at it is the only other one */
} Entry;               /* code + 1; 0: free */

typedef struct {
    int kind, field, flags;
    size_t null_count;
    Bytes values;  /* int64 or uint32 a row; of TEXT the ends (int64) */
    Bytes absent;  /* a byte a row; only once a value was absent */
    Bytes text;    /* TEXT: of all rows; CODE: of the distinct values */
    Bytes ends;    /* CODE: where each distinct value ends (int64) */
    Entry *table;
    size_t slots, distinct;
} Column;

static uint64_t secret[2]; /* strangers write logs: they must not be able to choose colliding values */

static inline uint64_t load(const uint8_t *at, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, at, size);
    return word;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const uint8_t *at, size_t size)
{
    uint64_t seed = secret[0] ^ size;
    while (size >= 16) {
        seed = fold(load(at, 8) ^ secret[1], load(at + 8, 8) ^ seed);
        at += 16;
        size -= 16;
    }
    if (size >= 8) {
        seed = fold(load(at, 8) ^ secret[1], seed);
        at += 8;
        size -= 8;
    }
    return fold(load(at, size) ^ secret[1] ^ ((uint64_t)size << 56), seed ^ secret[0]);
}

static bool widen(Column *column)
{
    size_t slots = column->slots ? column->slots * 2 : 1024;
    Entry *table = calloc(slots, sizeof(Entry));
    if (!table)
        return false;
    for (size_t i = 0; i < column->slots; i++) {
        if (!column->table[i].code)
            continue;
        size_t at = column->table[i].hash & (slots - 1);
        while (table[at].code)
            at = (at + 1) & (slots - 1);
        table[at] = column->table[i];
    }
    free(column->table);
    column->table = table;
    column->slots = slots;
    return true;
}

/* The number of a value among the distinct ones; -1: no memory. */
static int64_t code_of(Column *column, Slice value)
{
    if (2 * column->distinct >= column->slots && !widen(column))
        return -1;
    uint32_t h = (uint32_t)hash(value.at, value.size);
    size_t at = h & (column->slots - 1);
    for (; column->table[at].code; at = (at + 1) & (column->slots - 1)) {
        const Entry *entry = &column->table[at];
        if (entry->hash == h && entry->size == value.size &&
            !memcmp(column->text.data + entry->at, value.at, value.size))
            return (int64_t)entry->code - 1;
    }
    size_t start = column->text.size;
    if (column->distinct >= UINT32_MAX - 1 || start + value.size > UINT32_MAX ||
        !append(&column->text, value.at, value.size))
        return -1;
    int64_t end = (int64_t)column->text.size;
    if (!append(&column->ends, &end, sizeof end))
        return -1;
    column->table[at] = (Entry){h, (uint32_t)++column->distinct, (uint32_t)start, (uint32_t)value.size};
    return (int64_t)column->distinct - 1;
}

enum result { CUT, ODD, NO_MEMORY };

static enum result put_absent(Column *column, size_t row, bool is_absent)
{
    if (!is_absent && !column->absent.size)
        return CUT;
    if (!reserve(&column->absent, row + 1 - column->absent.size))
        return NO_MEMORY;
    memset(column->absent.data + column->absent.size, 0, row + 1 - column->absent.size);
    column->absent.size = row + 1;
    column->absent.data[row] = is_absent;
    column->null_count += is_absent;
    return CUT;
}

static enum result put_int(Column *column, size_t row, int64_t value, bool is_absent)
{
    if (!append(&column->values, &value, sizeof value))
        return NO_MEMORY;
    return put_absent(column, row, is_absent);
}

/* Up to 18 digits, nothing else. */
static bool whole(Slice text, int64_t *value)
{
    if (!text.size || text.size > 18)
        return false;
    int64_t sum = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = text.at[i] - '0';
        if (digit > 9)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

/* Decimal seconds with at most six decimals, in microseconds. */
static bool seconds(Slice text, int64_t *us)
{
    const uint8_t *point = memchr(text.at, '.', text.size);
    Slice before = {text.at, point ? (size_t)(point - text.at) : text.size};
    int64_t sum, decimals = 0;
    if (before.size > 10 || !whole(before, &sum))
        return false;
    sum *= 1000000;
    if (point) {
        Slice after = {point + 1, text.size - before.size - 1};
        if (after.size > 6 || !whole(after, &decimals))
            return false;
        for (size_t i = after.size; i < 6; i++)
            decimals *= 10;
    }
    *us = sum + decimals;
    return true;
}

static bool two_digits(const uint8_t *at, unsigned *value)
{
    unsigned tens = at[0] - '0', ones = at[1] - '0';
    *value = tens * 10 + ones;
    return tens <= 9 && ones <= 9;
}

/* YYYY-MM-DD and HH:MM:SS (UTC), in microseconds since 1970. */
static bool stamp(Slice date, Slice time, int64_t *us)
{
    static const uint8_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned century, year, month, day, hour, minute, second;
    if (date.size != 10 || time.size != 8 || date.at[4] != '-' || date.at[7] != '-' || time.at[2] != ':' ||
        time.at[5] != ':')
        return false;
    if (!two_digits(date.at, &century) || !two_digits(date.at + 2, &year) || !two_digits(date.at + 5, &month) ||
        !two_digits(date.at + 8, &day) || !two_digits(time.at, &hour) || !two_digits(time.at + 3, &minute) ||
        !two_digits(time.at + 6, &second))
        return false;
    year += century * 100;
    if (year < 1970 || year > 2099 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59)
        return false;
    bool is_leap = year % 4 == 0; /* right from 1901 to 2099 */
    if (day > DAYS[month - 1] + (unsigned)(is_leap && month == 2))
        return false;
    int64_t days = (int64_t)(year - 1970) * 365 + (year - 1969) / 4 + day - 1;
    for (unsigned m = 0; m + 1 < month; m++)
        days += DAYS[m];
    days += is_leap && month > 2;
    *us = (days * 86400 + hour * 3600 + minute * 60 + second) * 1000000;
    return true;
}

/* `bytes FIRST-LAST/SIZE`, SIZE perhaps `*`; false: anything else. */
static bool content_range(Slice text, int64_t found[3], bool *has_size)
{
    if (text.size < 11 || memcmp(text.at, "bytes ", 6))
        return false;
    const uint8_t *end = text.at + text.size, *at = text.at + 6;
    const uint8_t *dash = memchr(at, '-', (size_t)(end - at));
    const uint8_t *slash = dash ? memchr(dash, '/', (size_t)(end - dash)) : NULL;
    if (!slash || !whole((Slice){at, (size_t)(dash - at)}, &found[0]) ||
        !whole((Slice){dash + 1, (size_t)(slash - dash - 1)}, &found[1]))
        return false;
    *has_size = end - slash != 2 || slash[1] != '*';
    found[2] = 0;
    return !*has_size || whole((Slice){slash + 1, (size_t)(end - slash - 1)}, &found[2]);
}

static bool is(Slice text, char sign) { return text.at && text.size == 1 && text.at[0] == (uint8_t)sign; }

/* The value of one row in one column. CONTENT_RANGE fills this column and the two behind it. */
static enum result put(Column *column, size_t row, const Slice *fields)
{
    Slice text = fields[column->field];
    bool is_empty = text.at && !text.size, is_dash = is(text, '-');
    bool is_absent = !text.at || (is_empty && column->flags & NONE_IF_EMPTY) || (is_dash && column->flags & NONE_IF_DASH);
    bool is_zero = text.at && ((is_empty && column->flags & ZERO_IF_EMPTY) || (is_dash && column->flags & ZERO_IF_DASH));
    int64_t value = 0;
    switch (column->kind) {
    case TEXT: {
        if (!is_absent && !append(&column->text, text.at, text.size))
            return NO_MEMORY;
        return put_int(column, row, (int64_t)column->text.size, is_absent);
    }
    case CODE: {
        if (!is_absent && (value = code_of(column, text)) < 0)
            return NO_MEMORY;
        uint32_t code = (uint32_t)value;
        if (!append(&column->values, &code, sizeof code))
            return NO_MEMORY;
        return put_absent(column, row, is_absent);
    }
    case INT:
        if (is_absent ? column->flags & NEEDED : !is_zero && !whole(text, &value))
            return ODD;
        return put_int(column, row, value, is_absent);
    case SECONDS:
        if (!text.at || (!is_zero && !seconds(text, &value)))
            return ODD;
        return put_int(column, row, value, false);
    case STAMP:
        if (!text.at || !fields[column->field + 1].at || !stamp(text, fields[column->field + 1], &value))
            return ODD;
        return put_int(column, row, value, false);
    default: {
        int64_t found[3] = {0, 0, 0};
        bool has_size = false, is_range = text.at && content_range(text, found, &has_size);
        if (text.size && !is_range && !is_dash)
            return ODD;
        for (int i = 0; i < 3; i++) {
            enum result done = put_int(column + i, row, found[i], !is_range || (i == 2 && !has_size));
            if (done != CUT)
                return done;
        }
        return CUT;
    }
    }
}
