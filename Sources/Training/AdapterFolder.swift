internal import Checkpoints
internal import FoundationEssentials
internal import Inference
internal import Settings

/// The folder that the training of an adapter makes, in PEFT's format. The adapter of a small model
/// that consists of the LLM's layers comes with a shortlist and a manifest.
enum AdapterFolder {
    /// Writes the folder whole or not at all.
    ///
    /// - Throws: `CheckpointError` where it cannot be written, or something lies there.
    static func write(
        _ trained: [NamedTensor], _ start: AdapterStart, recipe: TrainingRecipe,
        outputTokens: Set<Int32>, to path: String
    ) throws {
        guard let adapter = recipe.adapter, let llm = recipe.llm else { return }
        let format: NumberFormat = recipe.stored == .bfloat16 ? .bfloat16 : .float32
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try NewFolder.make(at: path) { folder in
            try NewFolder.write(
                encoder.encode(
                    Configuration(
                        r: adapter.rank, lora_alpha: adapter.alpha,
                        use_rslora: adapter.isRankStabilized, target_modules: adapter.targets,
                        base_model_name_or_path: llm)),
                to: folder + "/" + LoRAAdapter.configurationFile)
            try SafetensorsWriter.write(
                trained.map { $0.values.stored(as: $0.name, shape: $0.shape, format: format) },
                metadata: ["format": "pt"], to: folder + "/" + LoRAAdapter.weightsFile)
            guard let layers = start.shape.writingLayers else { return }
            try NewFolder.write(
                Data(outputTokens.sorted().map { "\($0)\n" }.joined().utf8),
                to: folder + "/" + SLMFolder.shortlistFile)
            try NewFolder.write(
                encoder.encode(
                    Manifest(
                        llm: SLMFolder.relativePath(from: recipe.output, to: llm), layers: layers,
                        llm_fingerprint: start.folder.fingerprint)),
                to: folder + "/" + SLMManifest.fileName)
        }
    }

    private struct Configuration: Encodable {
        let peft_type = "LORA"
        let task_type = "CAUSAL_LM"
        let r: Int
        let lora_alpha: Double
        let use_rslora: Bool
        let target_modules: [String]
        let base_model_name_or_path: String
        let lora_dropout = 0.0
        let bias = "none"
        let fan_in_fan_out = false
        let inference_mode = true
    }

    private struct Manifest: Encodable {
        let format = 2
        let llm: String
        let fusion = "layers"
        let layers: [Int]
        let llm_fingerprint: String
    }
}
