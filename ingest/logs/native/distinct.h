/* Distinct texts, each with its number: the order in which they came. */
#pragma once
#include "bytes.h"

typedef struct {
    uint32_t hash, code; /* code + 1; 0: free */
    uint32_t at, size;   /* of the text, so that a look at it is the only other one */
} Entry;

typedef struct {
    Entry *table;
    size_t slots, n;
    Bytes text; /* of all, one after the other */
    Bytes ends; /* where each ends (int64) */
} Distinct;

#define BATCH 64 /* texts numbered together, so that the memory they need is fetched at the same time */

static uint64_t secret[2]; /* strangers write logs: they must not be able to choose colliding values */

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash(const uint8_t *at, size_t size)
{
    uint64_t seed = secret[0] ^ size;
    if (size < 8)
        return fold(load(at, size) ^ secret[1], seed);
    const uint8_t *end = at + size;
    for (; end - at > 16; at += 16)
        seed = fold(load8(at) ^ secret[1], load8(at + 8) ^ seed);
    if (end - at > 8)
        seed = fold(load8(at) ^ secret[1], seed);
    return fold(load8(end - 8) ^ secret[1], seed ^ secret[0]);
}

static bool widen(Distinct *distinct)
{
    size_t slots = distinct->slots ? distinct->slots * 2 : 1024;
    Entry *table = calloc(slots, sizeof(Entry));
    if (!table)
        return false;
    for (size_t i = 0; i < distinct->slots; i++) {
        if (!distinct->table[i].code)
            continue;
        size_t at = distinct->table[i].hash & (slots - 1);
        while (table[at].code)
            at = (at + 1) & (slots - 1);
        table[at] = distinct->table[i];
    }
    free(distinct->table);
    distinct->table = table;
    distinct->slots = slots;
    return true;
}

static bool add(Distinct *distinct, Entry *entry, uint32_t h, Slice text)
{
    size_t start = distinct->text.size;
    int64_t end = (int64_t)(start + text.size);
    if (distinct->n >= UINT32_MAX - 1 || end > UINT32_MAX || !append(&distinct->text, text.at, text.size) ||
        !append(&distinct->ends, &end, sizeof end))
        return false;
    *entry = (Entry){h, (uint32_t)++distinct->n, (uint32_t)start, (uint32_t)text.size};
    return true;
}

/* The numbers of up to BATCH texts; 0 for one that is absent. False: no memory. */
static bool number(Distinct *distinct, const Slice *texts, size_t n, uint32_t *numbers)
{
    uint32_t hashes[BATCH];
    while (2 * (distinct->n + n) > distinct->slots)
        if (!widen(distinct))
            return false;
    size_t mask = distinct->slots - 1;
    for (size_t i = 0; i < n; i++) {
        if (texts[i].at) {
            hashes[i] = (uint32_t)hash(texts[i].at, texts[i].size);
            __builtin_prefetch(&distinct->table[hashes[i] & mask]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        numbers[i] = 0;
        if (!texts[i].at)
            continue;
        size_t at = hashes[i] & mask;
        Entry *entry;
        while ((entry = &distinct->table[at])->code) {
            if (entry->hash == hashes[i] && entry->size == texts[i].size &&
                is_same(distinct->text.data + entry->at, texts[i].at, texts[i].size))
                break;
            at = (at + 1) & mask;
        }
        if (!entry->code && !add(distinct, entry, hashes[i], texts[i]))
            return false;
        numbers[i] = entry->code - 1;
    }
    return true;
}

static void free_distinct(Distinct *distinct)
{
    free(distinct->table);
    free(distinct->text.data);
    free(distinct->ends.data);
}
