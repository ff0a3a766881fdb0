#ifndef L2S_CSENTENCEPIECE_H
#define L2S_CSENTENCEPIECE_H

// A plain C door to the system's SentencePiece library (C++). No exception passes it. A model is
// immutable once it is open: every function but l2s_spm_close may be called from many threads.

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

// Opens a serialized model; NULL when it is none, with the reason in `message` (truncated to
// `capacity` bytes, always terminated). `model` is copied.
l2s_spm *l2s_spm_open(const void *model, size_t size, char *message, size_t capacity);
void l2s_spm_close(l2s_spm *spm);

int32_t l2s_spm_size(const l2s_spm *spm);
// -1 when the model has no such id.
int32_t l2s_spm_unknown_id(const l2s_spm *spm);
int32_t l2s_spm_end_id(const l2s_spm *spm);
// Precondition of both: 0 <= id < l2s_spm_size.
l2s_spm_kind l2s_spm_kind_of(const l2s_spm *spm, int32_t id);
// UTF-8, terminated, valid until l2s_spm_close.
const char *l2s_spm_piece(const l2s_spm *spm, int32_t id);

// The ids of `size` bytes of UTF-8. Returns their number, and in `ids` an array for l2s_spm_free;
// -1 on failure (out of memory, text of a gigabyte or more).
int64_t l2s_spm_encode(const l2s_spm *spm, const char *text, size_t size, int32_t **ids);
// The pieces of `size` bytes of UTF-8, as the text spells them where the model does not know them,
// each ended by 0. Returns their length together, and in `pieces` an array for l2s_spm_free; -1 on
// failure.
int64_t l2s_spm_encode_pieces(const l2s_spm *spm, const char *text, size_t size, char **pieces);
// The text of `count` ids, each 0 <= id < l2s_spm_size. Returns its length in bytes (UTF-8, not
// terminated), and in `text` an array for l2s_spm_free; -1 on failure.
int64_t l2s_spm_decode(const l2s_spm *spm, const int32_t *ids, size_t count, char **text);
void l2s_spm_free(void *memory);

#ifdef __cplusplus
}
#endif

#endif
