package import Checkpoints

/// Opens the writing half of a model.
package enum Decoders {
    /// The model's own decoder, which writes after the model's own encoder.
    ///
    /// - Throws: `CheckpointError`, `PackingError` or `InferenceError`.
    package static func own(
        _ folder: ModelFolder, format: WeightFormat = .float32, pool: WeightPool = WeightPool()
    ) throws -> any DecoderModel {
        func loader() throws -> WeightLoader { try WeightLoader(folder, format: format) }
        return switch folder.configuration {
        case .t5: try T5Decoder(folder, loader: loader())
        case .gpt2: try GPT2Decoder(folder, loader: loader())
        case .classic: try ClassicDecoder(folder, loader: loader())
        case .rotary: try RotaryDecoder(folder, format: format, pool: pool)
        case .t5gemma: try T5GemmaDecoder(folder, loader: loader())
        }
    }

    /// The small model of `hybrid` mode, which stands behind a projector or is made of the LLM's
    /// layers.
    ///
    /// - Parameter llm: the large model's folder.
    /// - Throws: `CheckpointError`, `PackingError`; `InferenceError` for a family that the fusion
    ///   does not fit.
    package static func slm(
        _ folder: ModelFolder, manifest: SLMManifest, llm: ModelFolder,
        format: WeightFormat = .float32, pool: WeightPool = WeightPool()
    ) throws -> any DecoderModel {
        func loader() throws -> WeightLoader { try WeightLoader(folder, format: format) }
        switch (folder.configuration, manifest.fusion) {
        case (.t5, .crossAttention): return try T5Decoder(folder, loader: loader())
        case (.t5, .add), (.t5, .replace):
            let loader = try loader()
            return try T5Decoder(
                folder, ownEncoder: T5Encoder(folder, loader: loader), loader: loader)
        case (.gpt2, .add), (.gpt2, .replace): return try GPT2Decoder(folder, loader: loader())
        case (.rotary, .add), (.rotary, .replace):
            return try RotaryDecoder(folder, format: format, pool: pool)
        case (.rotary, .layers):
            return try RotaryDecoder(
                cut: folder, layers: manifest.layers, of: llm, format: format, pool: pool)
        case (.classic, .crossAttention): return try ClassicDecoder(folder, loader: loader())
        case (.classic, .add), (.classic, .replace):
            let loader = try loader()
            return try ClassicDecoder(
                folder, ownEncoder: ClassicEncoder(folder, loader: loader), loader: loader)
        case (.gpt2, .crossAttention), (.rotary, .crossAttention), (.t5gemma, _),
            (.t5, .layers), (.gpt2, .layers), (.classic, .layers):
            let expected: String =
                switch manifest.fusion {
                case .crossAttention: "a T5 SLM"
                case .layers: "layers of a decoder-only LLM"
                case .add, .replace: "a T5, a GPT-2 or a decoder-only SLM with rotary positions"
                }
            throw InferenceError.wrongModel(
                path: folder.path,
                expected: expected + " for the fusion \(manifest.fusion.rawValue) of its "
                    + SLMManifest.fileName, found: folder.configuration.name)
        }
    }
}
