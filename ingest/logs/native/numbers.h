/* What fields say: whole numbers, seconds, instants, ranges. */
#pragma once
#include "bytes.h"

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
