#include "vectors.inc"

size_t l2s_packed_count(size_t inner, size_t columns) {
    return (columns + L2S_PANEL - 1) / L2S_PANEL * L2S_PANEL * inner;
}

void l2s_pack_rows(const float *w, size_t ldw, size_t columns, size_t inner, float *packed) {
    for (size_t first = 0; first < columns; first += L2S_PANEL) {
        size_t width = columns - first < L2S_PANEL ? columns - first : L2S_PANEL;
        if (width < L2S_PANEL) memset(packed, 0, inner * L2S_PANEL * sizeof(float));
        // Sixteen inner steps at a time: whole cache lines are read and few are written.
        for (size_t k0 = 0; k0 < inner; k0 += 16) {
            size_t k1 = k0 + 16 < inner ? k0 + 16 : inner;
            for (size_t j = 0; j < width; j++)
                for (size_t k = k0; k < k1; k++)
                    packed[k * L2S_PANEL + j] = w[(first + j) * ldw + k];
        }
        packed += inner * L2S_PANEL;
    }
}

void l2s_pack_columns(const float *b, size_t ldb, size_t inner, size_t columns, float *packed) {
    for (size_t first = 0; first < columns; first += L2S_PANEL) {
        size_t width = columns - first < L2S_PANEL ? columns - first : L2S_PANEL;
        for (size_t k = 0; k < inner; k++) {
            float *row = packed + k * L2S_PANEL;
            memcpy(row, b + k * ldb + first, width * sizeof(float));
            memset(row + width, 0, (L2S_PANEL - width) * sizeof(float));
        }
        packed += inner * L2S_PANEL;
    }
}

void l2s_pack_rows_bf16(const float *w, size_t ldw, size_t columns, size_t inner,
                        uint16_t *packed) {
    const size_t even = (inner + 1) / 2 * 2;
    for (size_t first = 0; first < columns; first += L2S_PANEL, packed += even * L2S_PANEL)
        for (size_t j = 0; j < L2S_PANEL; j++)
            for (size_t k = 0; k < even; k++)
                packed[(k / 2 * L2S_PANEL + j) * 2 + k % 2] =
                    first + j < columns && k < inner ? bf16_of(w[(first + j) * ldw + k]) : 0;
}

void l2s_pack_rows_int8(const float *w, size_t ldw, size_t columns, size_t inner, int8_t *packed,
                        float *scales, float *sums) {
    const size_t quads = (inner + 3) / 4;
    const size_t padded = (columns + L2S_PANEL - 1) / L2S_PANEL * L2S_PANEL;
    memset(packed, 0, padded * quads * 4);
    for (size_t j = 0; j < padded; j++) {
        scales[j] = 0;
        sums[j] = 0;
        if (j >= columns) continue;
        const float *row = w + j * ldw;
        float top = 0;
        for (size_t k = 0; k < inner; k++) top = fabsf(row[k]) > top ? fabsf(row[k]) : top;
        scales[j] = top / 127.0f;
        float inverse = top > 0 ? 127.0f / top : 0;
        int8_t *out = packed + j / L2S_PANEL * quads * L2S_PANEL * 4 + j % L2S_PANEL * 4;
        for (size_t k = 0; k < inner; k++) {
            int8_t q = (int8_t)rintf(row[k] * inverse);
            out[k / 4 * L2S_PANEL * 4 + k % 4] = q;
            sums[j] += q;
        }
    }
}

size_t l2s_scratch_bytes(l2s_format format, size_t rows, size_t inner) {
    if (format == L2S_F32) return 0;
    // Up to 256 rows of whole lines and one line between them; see lines.inc.
    const size_t bytes = format == L2S_BF16 ? 2 * inner : inner;
    const size_t held = rows < 256 ? (rows + 15) / 16 * 16 : 256;
    const size_t lines = held * ((bytes + 63) / 64 + 1) * 64;
    // 96 rows of cells; see int8.inc.
    const size_t cells = 96 * ((inner + 3) / 4 * 4);
    return format == L2S_INT8 && cells > lines ? cells : lines;
}

size_t l2s_product_scratch_bytes(size_t inner, size_t columns) {
    // 256 lines and the panels of a block of b, in whole tiles; see product.inc.
    const size_t depth = inner < 1024 ? (inner + 31) / 32 * 32 : 1024;
    const size_t width = columns < 2048 ? (columns + L2S_PANEL - 1) / L2S_PANEL * L2S_PANEL : 2048;
    return 256 * (2 * depth + 64) + 2 * depth * width;
}

static size_t element_bytes(l2s_format format) {
    return format == L2S_F32 ? 4 : format == L2S_BF16 ? 2 : 1;
}

size_t l2s_cache_key_bytes(const l2s_cache *c) {
    const size_t multiple = c->format == L2S_INT8 ? 4 : c->format == L2S_BF16 ? 2 : 1;
    const size_t width = (c->head_width + multiple - 1) / multiple * multiple;
    return c->heads * c->capacity * width * element_bytes(c->format);
}

size_t l2s_cache_value_bytes(const l2s_cache *c) {
    size_t width = c->format == L2S_INT8 ? (c->head_width + L2S_PANEL - 1) / L2S_PANEL * L2S_PANEL
                                         : c->head_width;
    return c->heads * c->capacity * width * element_bytes(c->format);
}

size_t l2s_cache_scale_bytes(const l2s_cache *c) {
    return c->format == L2S_INT8 ? 2 * c->heads * c->capacity * sizeof(float) : 0;
}

void l2s_cache_copy(const l2s_cache *target, const l2s_cache *source, size_t count) {
    // Whole panels of positions are copied: a panel of keys has the same size in every cache.
    const size_t positions = (count + L2S_PANEL - 1) / L2S_PANEL * L2S_PANEL;
    const size_t keys = l2s_cache_key_bytes(source) / source->heads;
    const size_t target_keys = l2s_cache_key_bytes(target) / target->heads;
    const size_t values = l2s_cache_value_bytes(source) / source->heads;
    const size_t target_values = l2s_cache_value_bytes(target) / target->heads;
    // int8 values lie in panels of 32 columns, values of other formats in rows.
    const size_t columns = source->head_width + L2S_PANEL - 1;
    const size_t parts = source->format == L2S_INT8 ? columns / L2S_PANEL : 1;
    for (size_t h = 0; h < source->heads; h++) {
        memcpy((char *)target->keys + h * target_keys, (const char *)source->keys + h * keys,
               keys / source->capacity * positions);
        for (size_t p = 0; p < parts; p++)
            memcpy((char *)target->values + h * target_values + p * target_values / parts,
                   (const char *)source->values + h * values + p * values / parts,
                   values / parts / source->capacity * positions);
        if (source->format != L2S_INT8) continue;
        memcpy(target->key_scales + h * target->capacity, source->key_scales + h * source->capacity,
               positions * sizeof(float));
        memcpy(target->value_scales + h * target->capacity,
               source->value_scales + h * source->capacity, positions * sizeof(float));
    }
}

// There is room for up to 12 queries, their scores and their results. int8 takes 12 more bytes for each
// position (digits) and for each column of a head (quants).
size_t l2s_attend_scratch(size_t rows, size_t group, const l2s_cache *c) {
    size_t queries = rows * group < 12 ? rows * group : 12;
    size_t floats = queries * (c->capacity + 2 * c->head_width);
    if (c->format != L2S_INT8) return floats;
    return floats + 3 * c->capacity + (c->head_width + 3) / 4 * 12;
}
