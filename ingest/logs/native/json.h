/* Lines that are flat JSON objects. */
#pragma once
#include "lines.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef struct {
    const uint8_t *text; /* "key" with its quotes */
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

#define LEAST_SCRATCH 65536

/* `text` without its escapes, in `scratch`, where there is room; false: one that is not simple. */
static bool unescape(Cut *cut, Slice *text)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
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

/* Room for the unescaped values of a line of `size`, so that none is moved while it waits. */
static bool make_scratch(Cut *cut, size_t size)
{
    if (cut->scratch.size + size + 8 <= cut->scratch.room)
        return true;
    return settle(cut) && reserve(&cut->scratch, size + LEAST_SCRATCH);
}

/* The fields of a flat object by key, each at most once; false: odd. */
static bool object(Cut *cut, const uint8_t *at, const uint8_t *end, const Key *keys, int n_keys, Slice *fields)
{
    memset(fields, 0, sizeof(Slice) * ((size_t)n_keys + 1));
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
            if ((size_t)(end - at) > wanted->size && is_same(at, wanted->text, wanted->size))
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
        if (start == end) {
            is_fine = skip(cut);
        } else {
            is_fine = make_scratch(cut, end - start);
            bool is_object = is_fine && object(cut, cut->body + start, cut->body + end, keys, n_keys, fields);
            is_fine = is_fine && keep(cut, start, is_object ? fields : NULL);
        }
        start = end + 1;
    }
    free(fields);
    return is_fine && settle(cut);
}
