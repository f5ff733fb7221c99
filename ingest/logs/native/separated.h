/* Lines of separated fields. */
#pragma once
#include "lines.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

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
    return is_fine && settle(cut);
}

/* How many newlines there are. † Python's own count stops at each: eight times the work. */
static size_t count_newlines(const uint8_t *at, size_t size)
{
    size_t count = 0;
    while (size) { /* in blocks that a byte can count: compilers make vectors of them */
        size_t block = size < 240 ? size : 240;
        uint8_t n = 0;
        for (size_t i = 0; i < block; i++)
            n += at[i] == '\n';
        count += n;
        at += block;
        size -= block;
    }
    return count;
}
