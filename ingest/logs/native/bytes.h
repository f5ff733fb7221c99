/* Bytes that grow, and texts: where they lie, their words. */
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
    if (!size) /* there may be no data yet, and nothing is copied to nowhere */
        return true;
    if (!reserve(bytes, size))
        return false;
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return true;
}

typedef struct {
    const uint8_t *at; /* NULL: absent */
    size_t size;
} Slice;

static inline uint64_t load8(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

/* Up to 8 bytes, the first one lowest. † Never a copy of `size` bytes: the load behind it waits for each. */
static inline uint64_t load(const uint8_t *at, size_t size)
{
    if (size >= 4) {
        uint32_t first, last;
        memcpy(&first, at, 4);
        memcpy(&last, at + size - 4, 4);
        return first | (uint64_t)last << (8 * (size - 4));
    }
    if (!size)
        return 0;
    return at[0] | (uint64_t)at[size / 2] << (8 * (size / 2)) | (uint64_t)at[size - 1] << (8 * (size - 1));
}

static inline bool is_same(const uint8_t *a, const uint8_t *b, size_t size)
{
    if (size < 8)
        return load(a, size) == load(b, size);
    for (size_t i = 0; i + 8 < size; i += 8)
        if (load8(a + i) != load8(b + i))
            return false;
    return load8(a + size - 8) == load8(b + size - 8);
}
