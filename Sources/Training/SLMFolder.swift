internal import Checkpoints
internal import FoundationEssentials
internal import Inference
package import Settings

/// The folder that training makes. transformers loads it as a model, and the worker as an SLM.
package enum SLMFolder {
    static let projectorFile = "projector.safetensors"
    /// For the `shortlist` of a job file.
    static let shortlistFile = "shortlist.txt"

    /// Writes the folder whole or not at all.
    ///
    /// - Parameters:
    ///   - start: what was trained.
    ///   - trained: its weights as they are now, under the names of `start`.
    ///   - fingerprint: the LLM's; nil for a model that reads the prompt itself.
    ///   - outputTokens: the tokens of the outputs that it was trained on.
    ///   - path: a new or empty folder.
    /// - Throws: `CheckpointError` where it cannot be written, or something lies there.
    package static func write(
        _ start: StartingModel, trained: [NamedTensor], recipe: TrainingRecipe,
        fingerprint: String?, outputTokens: Set<Int32>, to path: String
    ) throws {
        let added = Set(start.additions.map(\.name))
        let format: NumberFormat = recipe.stored == .bfloat16 ? .bfloat16 : .float32
        let tensors = (start.untrained + trained).map {
            $0.values.stored(as: $0.name, shape: $0.shape, format: format)
        }
        let weights = tensors.filter { !added.contains($0.name) }
        let additions = tensors.filter { added.contains($0.name) }
        try NewFolder.make(at: path) { folder in
            try NewFolder.write(
                ConfigurationText.naming(format, in: start.configurationText),
                to: folder + "/config.json")
            try SafetensorsWriter.write(
                weights, metadata: ["format": "pt"], to: folder + "/model.safetensors")
            for name in ModelFolder.tokenizerFiles {
                try NewFolder.copy(name, from: start.tokenizerFolder, to: folder)
            }
            try NewFolder.write(
                Data(outputTokens.sorted().map { "\($0)\n" }.joined().utf8),
                to: folder + "/" + shortlistFile)
            if !additions.isEmpty {
                try SafetensorsWriter.write(
                    additions, metadata: ["format": "pt"],
                    to: folder + "/" + (recipe.llm == nil ? SoftPrompt.fileName : projectorFile))
            }
            guard let llm = recipe.llm, let fusion = recipe.fusion, let fingerprint else { return }
            let manifest = Manifest(
                llm: relativePath(from: recipe.output, to: llm), fusion: fusion.rawValue,
                prompt_embedding: recipe.promptEmbedding.rawValue, llm_fingerprint: fingerprint)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try NewFolder.write(
                encoder.encode(manifest), to: folder + "/" + SLMManifest.fileName)
        }
    }

    private struct Manifest: Encodable {
        var format = 1
        let llm: String
        let fusion: String
        let prompt_embedding: String
        let llm_fingerprint: String
    }

    /// The path from one folder to another. Both are given relative to the models folder.
    static func relativePath(from folder: String, to target: String) -> String {
        folder.split(separator: "/").map { _ in "../" }.joined() + target
    }
}
