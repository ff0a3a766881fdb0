#ifndef L2S_CICU_H
#define L2S_CICU_H

// A plain C door to the system's ICU. Swift must not see the headers of that ICU: Swift's Foundation
// brings an ICU of its own, whose types have the same names and other members.

#include <stdint.h>

typedef enum l2s_break_kind {
    L2S_BREAK_CHARACTERS,
    L2S_BREAK_WORDS,
    L2S_BREAK_SENTENCES,
} l2s_break_kind;

// Finds where the characters, words or sentences of `size` bytes of UTF-8 end, by Unicode's rules and,
// for scripts without blanks, by dictionaries. Returns their number and sets `ends` to an array of byte
// offsets, which the caller releases with free(). Returns -1 on failure.
int64_t l2s_break_ends(l2s_break_kind kind, const char *text, int64_t size, int64_t **ends);

#endif
