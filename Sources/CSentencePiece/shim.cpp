#include "CSentencePiece.h"

#include <sentencepiece_processor.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct l2s_spm {
    sentencepiece::SentencePieceProcessor processor;
};

namespace {

// The library counts bytes and pieces in int.
constexpr size_t longest = size_t(1) << 30;

template <typename Element>
int64_t hand_out(const Element *elements, size_t count, Element **out) {
    *out = static_cast<Element *>(std::malloc(count > 0 ? count * sizeof(Element) : 1));
    if (*out == nullptr) return -1;
    if (count > 0) std::memcpy(*out, elements, count * sizeof(Element));
    return static_cast<int64_t>(count);
}

}  // namespace

l2s_spm *l2s_spm_open(const void *model, size_t size, char *message, size_t capacity) {
    try {
        if (size >= longest) {
            std::snprintf(message, capacity, "it is larger than a gigabyte");
            return nullptr;
        }
        auto spm = std::make_unique<l2s_spm>();
        const auto status = spm->processor.LoadFromSerializedProto(
            std::string_view(static_cast<const char *>(model), size));
        if (status.ok()) return spm.release();
        std::snprintf(message, capacity, "%s", status.error_message());
    } catch (...) {
        std::snprintf(message, capacity, "out of memory");
    }
    return nullptr;
}

void l2s_spm_close(l2s_spm *spm) { delete spm; }

int32_t l2s_spm_size(const l2s_spm *spm) { return spm->processor.GetPieceSize(); }
int32_t l2s_spm_unknown_id(const l2s_spm *spm) { return spm->processor.unk_id(); }
int32_t l2s_spm_end_id(const l2s_spm *spm) { return spm->processor.eos_id(); }

l2s_spm_kind l2s_spm_kind_of(const l2s_spm *spm, int32_t id) {
    if (spm->processor.IsUnknown(id)) return L2S_SPM_UNKNOWN;
    if (spm->processor.IsControl(id)) return L2S_SPM_CONTROL;
    if (spm->processor.IsUnused(id)) return L2S_SPM_UNUSED;
    return L2S_SPM_NORMAL;
}

const char *l2s_spm_piece(const l2s_spm *spm, int32_t id) {
    return spm->processor.IdToPiece(id).c_str();
}

int64_t l2s_spm_encode(const l2s_spm *spm, const char *text, size_t size, int32_t **ids) {
    *ids = nullptr;
    try {
        if (size >= longest) return -1;
        std::vector<int> found;
        if (!spm->processor.Encode(std::string_view(text, size), &found).ok()) return -1;
        return hand_out<int32_t>(found.data(), found.size(), ids);
    } catch (...) {
        return -1;
    }
}

int64_t l2s_spm_encode_pieces(const l2s_spm *spm, const char *text, size_t size, char **pieces) {
    *pieces = nullptr;
    try {
        if (size >= longest) return -1;
        std::vector<std::string> found;
        if (!spm->processor.Encode(std::string_view(text, size), &found).ok()) return -1;
        std::string all;
        for (const auto &piece : found) all.append(piece.c_str(), std::strlen(piece.c_str()) + 1);
        return hand_out<char>(all.data(), all.size(), pieces);
    } catch (...) {
        return -1;
    }
}

int64_t l2s_spm_decode(const l2s_spm *spm, const int32_t *ids, size_t count, char **text) {
    *text = nullptr;
    try {
        if (count >= longest) return -1;
        std::string found;
        if (!spm->processor.Decode(std::vector<int>(ids, ids + count), &found).ok()) return -1;
        return hand_out<char>(found.data(), found.size(), text);
    } catch (...) {
        return -1;
    }
}

void l2s_spm_free(void *memory) { std::free(memory); }
