#include "CICU.h"

#include <stdlib.h>
#include <unicode/ubrk.h>
#include <unicode/utext.h>

int64_t l2s_break_ends(l2s_break_kind kind, const char *text, int64_t size, int64_t **ends) {
    *ends = NULL;
    UErrorCode status = U_ZERO_ERROR;
    const UBreakIteratorType types[] = {UBRK_CHARACTER, UBRK_WORD, UBRK_SENTENCE};
    UText *opened = utext_openUTF8(NULL, text, size, &status);
    UBreakIterator *iterator = ubrk_open(types[kind], "en@ss=standard", NULL, 0, &status);
    if (U_SUCCESS(status)) ubrk_setUText(iterator, opened, &status);
    int64_t count = 0;
    int64_t capacity = 0;
    if (U_SUCCESS(status)) {
        ubrk_first(iterator);
        for (int32_t end = ubrk_next(iterator); end != UBRK_DONE; end = ubrk_next(iterator)) {
            if (count == capacity) {
                capacity = capacity == 0 ? 64 : 2 * capacity;
                int64_t *grown = (int64_t *)realloc(*ends, (size_t)capacity * sizeof(int64_t));
                if (grown == NULL) {
                    status = U_MEMORY_ALLOCATION_ERROR;
                    break;
                }
                *ends = grown;
            }
            (*ends)[count++] = end;
        }
    }
    if (iterator != NULL) ubrk_close(iterator);
    if (opened != NULL) utext_close(opened);
    if (U_SUCCESS(status)) return count;
    free(*ends);
    *ends = NULL;
    return -1;
}
