/* Cuts log lines into columns: separated fields and flat JSON objects, without a Python object a value.
 *
 * An accelerator, never a need: ingest/logs/cut.py says what it may do, and the Polars readers take every line
 * that is refused here. So a line is cut only where there is no doubt about what it says; the rest is "odd" and
 * comes back as it is. Columns leave as Arrow arrays (the C data interface), which Polars takes without a copy.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* ---------------------------------------------------------------- Arrow's C data interface */

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

#define NULLABLE 2

/* ---------------------------------------------------------------- memory that grows */

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

/* ---------------------------------------------------------------- columns */

enum kind { TEXT, CODE, INT, SECONDS, STAMP, CONTENT_RANGE };
enum flag { NONE_IF_DASH = 1, ZERO_IF_DASH = 2, NONE_IF_EMPTY = 4, ZERO_IF_EMPTY = 8, NEEDED = 16 };

typedef struct {
    const uint8_t *at; /* NULL: absent */
    size_t size;
} Slice;

typedef struct {
    uint32_t hash, code;
} Entry; /* code + 1; 0: free */

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
    const int64_t *ends = (const int64_t *)column->ends.data;
    for (; column->table[at].code; at = (at + 1) & (column->slots - 1)) {
        if (column->table[at].hash != h)
            continue;
        size_t code = column->table[at].code - 1;
        int64_t start = code ? ends[code - 1] : 0;
        if ((size_t)(ends[code] - start) == value.size &&
            !memcmp(column->text.data + start, value.at, value.size))
            return (int64_t)code;
    }
    if (column->distinct >= UINT32_MAX - 1 || !append(&column->text, value.at, value.size))
        return -1;
    int64_t end = (int64_t)column->text.size;
    if (!append(&column->ends, &end, sizeof end))
        return -1;
    column->table[at] = (Entry){h, (uint32_t)++column->distinct};
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

/* ---------------------------------------------------------------- one body of lines */

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

/* ---------------------------------------------------------------- separated fields */

/* Which of 64 bytes are separators or newlines, and which are beyond ASCII; a bit a byte. */
#ifdef __SSE2__
static inline void look(const uint8_t *at, uint8_t separator, uint64_t *ends, uint64_t *high)
{
    const __m128i is_separator = _mm_set1_epi8((char)separator), is_newline = _mm_set1_epi8('\n');
    *ends = *high = 0;
    for (int i = 0; i < 4; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(at + 16 * i));
        __m128i found = _mm_or_si128(_mm_cmpeq_epi8(bytes, is_separator), _mm_cmpeq_epi8(bytes, is_newline));
        *ends |= (uint64_t)(uint32_t)_mm_movemask_epi8(found) << (16 * i);
        *high |= (uint64_t)(uint32_t)_mm_movemask_epi8(bytes) << (16 * i);
    }
}
#else
static inline void look(const uint8_t *at, uint8_t separator, uint64_t *ends, uint64_t *high)
{
    *ends = *high = 0;
    for (int i = 0; i < 64; i++) {
        *ends |= (uint64_t)(at[i] == separator || at[i] == '\n') << i;
        *high |= (uint64_t)(at[i] >> 7) << i;
    }
}
#endif

/* A line whose first `n` fields are known: kept if all `names` are there, the first and the last one filled. */
static bool keep_separated(Cut *cut, size_t start, size_t end, bool is_plain, int n, int names, Slice *fields)
{
    const uint8_t *at = cut->body + start;
    if (start == end || *at == '#')
        return skip(cut);
    bool is_odd = at[end - start - 1] == '\r' || n < names || !fields[0].at || !fields[names - 1].at ||
                  (!is_plain && !is_utf8(at, end - start));
    return keep(cut, start, is_odd ? NULL : fields);
}

static bool cut_separated(Cut *cut, uint8_t separator, int names)
{
    Slice *fields = calloc((size_t)names + 1, sizeof(Slice));
    if (!fields)
        return false;
    bool is_fine = true, is_plain = true;
    size_t start = 0, from = 0; /* of the line, of the field */
    int n = 0;
    for (size_t block = 0; is_fine && block < cut->size; block += 64) {
        uint64_t ends, high;
        if (block + 64 <= cut->size) {
            look(cut->body + block, separator, &ends, &high);
        } else {
            uint8_t last[64] = {0};
            memcpy(last, cut->body + block, cut->size - block);
            look(last, separator, &ends, &high);
        }
        for (; is_fine && ends; ends &= ends - 1) {
            int bit = __builtin_ctzll(ends);
            size_t at = block + (size_t)bit;
            if (n < names)
                fields[n++] = (Slice){at == from ? NULL : cut->body + from, at - from};
            from = at + 1;
            if (cut->body[at] == separator)
                continue;
            uint64_t before = (1ull << bit) - 1;
            is_fine = keep_separated(cut, start, at, is_plain && !(high & before), n, names, fields);
            high &= ~before;
            is_plain = true;
            start = from;
            n = 0;
        }
        is_plain = is_plain && !high;
    }
    if (is_fine && start < cut->size) { /* the last line has no newline */
        if (n < names)
            fields[n++] = (Slice){cut->size == from ? NULL : cut->body + from, cut->size - from};
        is_fine = keep_separated(cut, start, cut->size, is_plain, n, names, fields);
    }
    free(fields);
    return is_fine;
}

/* ---------------------------------------------------------------- JSON lines */

typedef struct {
    const char *text; /* "key" with its quotes */
    size_t size;
} Key;

static const uint8_t *blanks(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

/* The end quote of a string whose text begins at `at`; NULL: not a whole string without control characters. */
static const uint8_t *string_end(const uint8_t *at, const uint8_t *end, bool *has_escape, bool *is_plain)
{
    *has_escape = false;
    unsigned high = 0;
    for (; at < end; at++) {
#ifdef __SSE2__
        const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
        while (end - at >= 16) { /* up to the next byte that means something */
            __m128i bytes = _mm_loadu_si128((const __m128i *)at);
            __m128i found = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
            found = _mm_or_si128(found, _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
            unsigned stops = (unsigned)_mm_movemask_epi8(found), beyond = (unsigned)_mm_movemask_epi8(bytes);
            if (stops) {
                int bit = __builtin_ctz(stops);
                high |= beyond & ((1u << bit) - 1) ? 0x80 : 0;
                at += bit;
                break;
            }
            high |= beyond ? 0x80 : 0;
            at += 16;
        }
        if (at == end)
            return NULL;
#endif
        if (*at == '"') {
            *is_plain = !(high & 0x80);
            return at;
        }
        if (*at < 0x20)
            return NULL;
        high |= *at;
        if (*at == '\\') {
            *has_escape = true;
            if (++at >= end || *at < 0x20)
                return NULL;
        }
    }
    return NULL;
}

/* `text` without its escapes, in `scratch`; false: one that is not simple. */
static bool unescape(Cut *cut, Slice *text)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    if (!reserve(&cut->scratch, text->size + 8))
        return false;
    uint8_t *out = cut->scratch.data + cut->scratch.size;
    size_t n = 0;
    for (size_t i = 0; i < text->size; i++) {
        uint8_t sign = text->at[i];
        if (sign == '\\') {
            const char *known = strchr(FROM, text->at[++i]);
            if (!known || !*known)
                return false;
            sign = (uint8_t)TO[known - FROM];
        }
        out[n++] = sign;
    }
    *text = (Slice){out, n};
    cut->scratch.size += n;
    return true;
}

/* A number that any reader writes as it stands here: no sign, no exponent, few digits. */
static const uint8_t *number_end(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    if (at == start || (*start == '0' && at - start > 1) || at - start > 15)
        return NULL;
    if (at < end && *at == '.') {
        const uint8_t *decimals = ++at;
        while (at < end && *at >= '0' && *at <= '9')
            at++;
        bool is_small = *start == '0' && end - decimals >= 3 && !memcmp(decimals, "000", 3);
        if (at == decimals || at[-1] == '0' || at - start > 16 || is_small)
            return NULL;
    }
    return at;
}

/* The fields of a flat object by key, each at most once; false: odd. */
static bool object(Cut *cut, const uint8_t *at, const uint8_t *end, const Key *keys, int n_keys, Slice *fields)
{
    memset(fields, 0, sizeof(Slice) * ((size_t)n_keys + 1));
    if (!reserve(&cut->scratch, (size_t)(end - at) + 8))
        return false;
    cut->scratch.size = 0;
    uint64_t seen = 0;
    int expected = 0;
    bool has_escape, is_plain;
    at = blanks(at, end);
    if (at == end || *at != '{')
        return false;
    at = blanks(at + 1, end);
    for (;;) {
        if (at == end || *at != '"')
            return false;
        int key = -1;
        for (int i = 0; i < n_keys && key < 0; i++) { /* they come in one order: † the first one tried is it */
            int candidate = expected + i < n_keys ? expected + i : expected + i - n_keys;
            const Key *wanted = &keys[candidate];
            if ((size_t)(end - at) > wanted->size && !memcmp(at, wanted->text, wanted->size))
                key = candidate;
        }
        if (key >= 0) {
            at += keys[key].size;
            if (seen & (1ull << key))
                return false;
            seen |= 1ull << key;
            expected = key + 1;
        } else {
            at = string_end(at + 1, end, &has_escape, &is_plain);
            if (!at || has_escape || !is_plain) /* an escaped key may be one of ours */
                return false;
            at++;
        }
        at = blanks(at, end);
        if (at == end || *at != ':')
            return false;
        at = blanks(at + 1, end);
        if (at == end)
            return false;
        Slice value = {NULL, 0};
        if (*at == '"') {
            const uint8_t *stop = string_end(at + 1, end, &has_escape, &is_plain);
            if (!stop)
                return false;
            value = (Slice){at + 1, (size_t)(stop - at - 1)};
            if (!is_plain && !is_utf8(value.at, value.size))
                return false;
            if (has_escape && !unescape(cut, &value))
                return false;
            at = stop + 1;
        } else if (end - at >= 4 && !memcmp(at, "null", 4)) {
            at += 4;
        } else {
            const uint8_t *stop = number_end(at, end);
            if (!stop)
                return false;
            value = (Slice){at, (size_t)(stop - at)};
            at = stop;
        }
        if (key >= 0)
            fields[key] = value;
        at = blanks(at, end);
        if (at == end)
            return false;
        if (*at == '}')
            break;
        if (*at != ',')
            return false;
        at = blanks(at + 1, end);
    }
    at = blanks(at + 1, end);
    return at == end || (*at == '\r' && at + 1 == end);
}

static bool cut_json(Cut *cut, const Key *keys, int n_keys)
{
    Slice *fields = calloc((size_t)n_keys + 1, sizeof(Slice));
    if (!fields)
        return false;
    bool is_fine = true;
    for (size_t start = 0; is_fine && start < cut->size;) {
        const uint8_t *newline = memchr(cut->body + start, '\n', cut->size - start);
        size_t end = newline ? (size_t)(newline - cut->body) : cut->size;
        bool is_object = object(cut, cut->body + start, cut->body + end, keys, n_keys, fields);
        is_fine = start == end ? skip(cut) : keep(cut, start, is_object ? fields : NULL);
        start = end + 1;
    }
    free(fields);
    return is_fine;
}

/* ---------------------------------------------------------------- to Python */

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

/* Arrow's bitmap of what is there, from a byte a row that is absent; rows behind its end are there. */
static void *bitmap(const Bytes *absent, size_t rows)
{
    uint8_t *bits = malloc(rows / 8 + 8);
    if (!bits)
        return NULL;
    memset(bits, 0xff, rows / 8 + 8);
    for (size_t i = 0; i < absent->size && i < rows; i++)
        bits[i / 8] &= (uint8_t) ~(absent->data[i] << (i % 8));
    return bits;
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

static PyObject *column_arrays(Column *column, size_t rows)
{
    void *valid = column->null_count ? bitmap(&column->absent, rows) : NULL;
    if (column->kind == TEXT) {
        void *ends = offsets(&column->values, rows);
        return array("U", rows, column->null_count, valid, ends, taken(&column->text));
    }
    if (column->kind != CODE)
        return array("l", rows, column->null_count, valid, taken(&column->values), NULL);
    PyObject *codes = array("I", rows, column->null_count, valid, taken(&column->values), NULL);
    size_t distinct = column->distinct;
    void *ends = offsets(&column->ends, distinct);
    PyObject *values = array("U", distinct, 0, NULL, ends, taken(&column->text));
    return codes && values ? Py_BuildValue("(NN)", codes, values) : NULL;
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
        keys[i] = (Key){text, (size_t)length};
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

static PyObject *codes(PyObject *module, PyObject *series) { return from_texts(series, CODE, take_text); }

static PyObject *addresses(PyObject *module, PyObject *series)
{
    return from_texts(series, TEXT, take_address);
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
    {"seed", seed, METH_VARARGS, "seed(first, second): of the hashes, once before all else"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "ingest.logs._cut", .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__cut(void)
{
    PyObject *module;
    if (PyType_Ready(&ArrayType) || !(module = PyModule_Create(&definition)))
        return NULL;
    return module;
}
