package import Checkpoints

/// Opens the writing half of a model for one of the three modes.
package enum Decoders {
    /// `llm` and `slm`: the model's own decoder after its own encoder.
    package static func own(
        _ folder: ModelFolder, format: WeightFormat = .float32
    ) throws -> any DecoderModel {
        switch folder.configuration {
        case .t5: try T5Decoder(folder, format: format)
        case .gpt2: try GPT2Decoder(folder, format: format)
        case .rotary, .t5gemma:
            throw InferenceError.wrongModel(
                path: folder.path, expected: "a T5 or a GPT-2", found: folder.configuration.name)
        }
    }

    /// `hybrid`: the SLM behind a projector.
    package static func slm(
        _ folder: ModelFolder, manifest: SLMManifest, format: WeightFormat = .float32
    ) throws -> any DecoderModel {
        switch (folder.configuration, manifest.fusion) {
        case (.t5, .crossAttention): return try T5Decoder(folder, format: format)
        case (.t5, .add), (.t5, .replace):
            return try T5Decoder(
                folder, ownEncoder: T5Encoder(folder, format: format), format: format)
        case (.gpt2, .add), (.gpt2, .replace): return try GPT2Decoder(folder, format: format)
        case (.gpt2, .crossAttention):
            throw InferenceError.wrongModel(
                path: folder.path,
                expected: "a T5 SLM for the fusion cross_attention of its l2s.json",
                found: "a GPT-2, which has no cross-attention")
        case (.rotary, _), (.t5gemma, _):
            throw InferenceError.wrongModel(
                path: folder.path, expected: "a T5 or a GPT-2", found: folder.configuration.name)
        }
    }
}
