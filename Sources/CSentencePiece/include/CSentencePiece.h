#ifndef L2S_CSENTENCEPIECE_H
#define L2S_CSENTENCEPIECE_H

// A plain C door to the system's SentencePiece library (C++). No C++ exception leaves these functions.
// A model is immutable once it is open: many threads may call every function but l2s_spm_close.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct l2s_spm l2s_spm;

typedef enum l2s_spm_kind {
    L2S_SPM_NORMAL,
    L2S_SPM_UNKNOWN,
    L2S_SPM_CONTROL,
    L2S_SPM_UNUSED,
} l2s_spm_kind;

// Opens a serialized model. `model` is copied. Returns NULL when the bytes are no model, and writes the
// reason to `message`: at most `capacity` bytes, always terminated.
l2s_spm *l2s_spm_open(const void *model, size_t size, char *message, size_t capacity);
void l2s_spm_close(l2s_spm *spm);

int32_t l2s_spm_size(const l2s_spm *spm);
// Both return -1 when the model has no such id.
int32_t l2s_spm_unknown_id(const l2s_spm *spm);
int32_t l2s_spm_end_id(const l2s_spm *spm);
// Precondition of the next two functions: 0 <= id < l2s_spm_size.
l2s_spm_kind l2s_spm_kind_of(const l2s_spm *spm, int32_t id);
// UTF-8, terminated, valid until l2s_spm_close.
const char *l2s_spm_piece(const l2s_spm *spm, int32_t id);

// Encodes `size` bytes of UTF-8. Returns the number of ids and sets `ids` to an array, which the caller
// gives to l2s_spm_free. Returns -1 on failure (out of memory, text of a gigabyte or more).
int64_t l2s_spm_encode(const l2s_spm *spm, const char *text, size_t size, int32_t **ids);
// Cuts `size` bytes of UTF-8 into pieces, each ended by 0. Pieces that the model does not know are as the
// text spells them. Returns the length of all pieces together and sets `pieces` to an array, which the
// caller gives to l2s_spm_free. Returns -1 on failure.
int64_t l2s_spm_encode_pieces(const l2s_spm *spm, const char *text, size_t size, char **pieces);
// Decodes `count` ids, each 0 <= id < l2s_spm_size. Returns the length of the text in bytes and sets
// `text` to an array (UTF-8, not terminated), which the caller gives to l2s_spm_free. Returns -1 on
// failure.
int64_t l2s_spm_decode(const l2s_spm *spm, const int32_t *ids, size_t count, char **text);
void l2s_spm_free(void *memory);

#ifdef __cplusplus
}
#endif

#endif
