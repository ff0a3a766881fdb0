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

// To the nearest, ties to even; the largest finite one for what is beyond it.
static uint16_t half_of(float x) {
    const float magnitude = fminf(fabsf(x), 65504.0f) * 0x1p-112f;
    uint32_t w;
    memcpy(&w, &magnitude, sizeof w);
    return (uint16_t)((w + 0xfff + (w >> 13 & 1)) >> 13 | (signbit(x) ? 0x8000 : 0));
}

static float float_of_half(uint16_t x) {
    const uint16_t halves[WIDTH] = {x};
    return load_half(halves)[0];
}

// 32 weights in four bits each.
typedef struct {
    uint16_t scale, low;
    vec quants[2];
    float error;  // squared
} int4_weights;

static int4_weights int4_of(const vec x[2], float scale, float low) {
    int4_weights w = {.scale = half_of(scale), .low = half_of(low)};
    scale = float_of_half(w.scale);
    low = float_of_half(w.low);
    vec errors = splat(0.0f);
    for (int i = 0; i < 2; i++) {
        vec shifted = (x[i] - splat(low)) * splat(scale != 0 ? 1.0f / scale : 0.0f);
        shifted = shifted + splat(12582912.0f);
        w.quants[i] = vmin(vmax(shifted - splat(12582912.0f), splat(0.0f)), splat(15.0f));
        const vec steps = w.quants[i] * splat(scale);
        const vec missing = x[i] - (steps + splat(low));
        errors += missing * missing;
    }
    w.error = sum(errors);
    return w;
}

// The range by which the quants come closest to the weights (least squares).
static int4_weights int4_refined(const vec x[2], const int4_weights *w) {
    const vec *q = w->quants;
    const float n = L2S_GROUP, qs = sum(q[0] + q[1]), xs = sum(x[0] + x[1]);
    const float qq = sum(q[0] * q[0] + q[1] * q[1]), qx = sum(q[0] * x[0] + q[1] * x[1]);
    const float spread = n * qq - qs * qs;
    if (!(spread > 0)) return *w;
    const float scale = (n * qx - qs * xs) / spread;
    const int4_weights refined = int4_of(x, scale, (xs - scale * qs) / n);
    return refined.error < w->error ? refined : *w;
}

static int4_weights int4_closest(const vec x[2]) {
    const float highest = highest_of(vmax(x[0], x[1])), lowest = -highest_of(vmax(-x[0], -x[1]));
    const float top = highest > -lowest ? highest : lowest, other = highest > -lowest ? lowest : highest;
    int4_weights w;
    // Multiples of a float16 by −8 … 7: the largest is one of these, and so is the other end.
    for (int i = -8; i <= 8; i++) {
        const float scale = i ? float_of_half(half_of(top / (float)i)) : 0;
        if (i == 0 || scale * (float)i != top) continue;
        if (scale != 0 && rintf(other / scale) * scale != other) continue;
        w = int4_of(x, scale, -8 * scale);
        if (w.error == 0) return w;
    }
    // Steps of a float16 above another.
    for (int i = 15; i > 0 && float_of_half(half_of(lowest)) == lowest; i--) {
        const float scale = float_of_half(half_of((highest - lowest) / (float)i));
        if (lowest + scale * (float)i != highest) continue;
        w = int4_of(x, scale, lowest);
        if (w.error == 0) return w;
    }
    w = int4_of(x, (highest - lowest) / 15, lowest);
    for (int round = 0; round < 2; round++) w = int4_refined(x, &w);
    return w;
}

void l2s_pack_rows_int4(const float *w, size_t ldw, size_t columns, size_t inner, uint8_t *packed,
                        uint16_t *scales, uint16_t *lows) {
    const size_t groups = (inner + L2S_GROUP - 1) / L2S_GROUP;
    const size_t padded = (columns + L2S_PANEL - 1) / L2S_PANEL * L2S_PANEL;
    for (size_t j = 0; j < padded; j++)
        for (size_t g = 0; g < groups; g++) {
            float group[L2S_GROUP] = {0}, quants[L2S_GROUP];
            const size_t k = g * L2S_GROUP, left = inner - k < L2S_GROUP ? inner - k : L2S_GROUP;
            // A group that is not full repeats its first weight, so that its range stays its own.
            for (size_t i = 0; i < L2S_GROUP && j < columns; i++)
                group[i] = w[j * ldw + k + (i < left ? i : 0)];
            const int4_weights own = int4_closest((vec[]){load(group), load(group + WIDTH)});
            const size_t place = (j / L2S_PANEL * groups + g) * L2S_PANEL + j % L2S_PANEL;
            scales[place] = own.scale;
            lows[place] = own.low;
            for (int i = 0; i < 2; i++) store(quants + i * WIDTH, own.quants[i]);
            uint8_t *out = packed + j / L2S_PANEL * groups * (L2S_PANEL * L2S_GROUP / 2) +
                           (g * 4 * L2S_PANEL + j % L2S_PANEL) * 4;
            for (size_t i = 0; i < 16; i++) {
                const size_t step = i / 4 * 8 + i % 4;
                out[i / 4 * L2S_PANEL * 4 + i % 4] =
                    (uint8_t)((uint8_t)quants[step] | (uint8_t)quants[step + 4] << 4);
            }
        }
}

size_t l2s_scratch_bytes(l2s_format format, size_t rows, size_t inner) {
    if (format == L2S_F32) return 0;
    // 96 rows of quants, of their scales and of their sums; see int4.inc.
    if (format == L2S_INT4) return (rows < 96 ? rows : 96) * ((inner + 31) / 32 * (32 + 8));
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
