import FoundationEssentials

/// l2s.json: how a small model is connected to a large one.
package struct SLMManifest: Sendable, Equatable {
    /// Where the projected encoder output enters the small model.
    package enum Fusion: String, Sendable, CaseIterable {
        case add
        case replace
        case crossAttention = "cross_attention"
        /// Nothing is projected. The small model consists of some of the large model's layers,
        /// trained further, and continues from the keys and values that reading the prompt left in
        /// them.
        case layers
    }

    /// The model whose embedding makes vectors of the prompt's ids.
    package enum PromptEmbedding: String, Sendable, CaseIterable {
        case slm
        case llm
    }

    /// The folder that holds the manifest.
    package let folder: String
    /// The large model's folder, relative to `folder`.
    package let llm: String
    package let fusion: Fusion
    package let promptEmbedding: PromptEmbedding
    /// The layer of a decoder-only LLM after which its states are taken, counted from 1; nil for
    /// the last. Only after the last layer is the final norm applied.
    package let llmLayer: Int?
    /// The LLM's layers that the small model consists of, counted from 0, ascending. Empty unless
    /// the fusion is `layers`.
    package let layers: [Int]
    /// The fingerprint of the large model that the small one was trained with; nil in folders that
    /// do not have it.
    package let llmFingerprint: String?

    /// The large model's folder, as it can be opened.
    package var llmPath: String { llm.hasPrefix("/") ? llm : folder + "/" + llm }

    /// The path of the large model: `llmPath`, or that of a fetched model where nothing lies there.
    package var locatedLLM: String {
        let path = llmPath
        return ModelCache.locate(
            path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path,
            in: "/")
    }

    package static let fileName = "l2s.json"
    /// The fields of the manifest that name layers, for messages.
    package static let layerFields = "llm_layer and layers"

    /// How many layers of the LLM read a prompt; nil for all.
    package var llmDepth: Int? { layers.last.map { $0 + 1 } ?? llmLayer }

    /// Whether a folder holds a manifest, which makes it the folder of a small model.
    package static func exists(in folder: String) -> Bool {
        FileMapping.exists(folder + "/" + fileName)
    }

    /// - Throws: `CheckpointError`.
    package init(folder: String) throws {
        guard Self.exists(in: folder) else {
            throw CheckpointError(path: folder, problem: .noneOf(files: [Self.fileName]))
        }
        let fields = try JSONFields(path: folder + "/" + Self.fileName)
        let format = try fields.whole("format", in: 1...2)
        self.folder = folder
        llm = try fields.text("llm")
        guard !llm.isEmpty, !llm.utf8.contains(0) else {
            throw fields.refuse("llm", "the path of a folder", quoted(llm))
        }
        fusion = try fields.choice("fusion")
        promptEmbedding = try fields.choice("prompt_embedding", default: .slm)
        let layerRange = SizeLimit.layers
        let namesLayers = ["llm_layer", "layers"].first(where: fields.has)
        if let namesLayers, format < 2 {
            throw fields.refuse("format", "2, as there is a field \(namesLayers)", "1")
        }
        llmLayer =
            fields.has("llm_layer")
            ? try fields.whole("llm_layer", in: 1...layerRange.upperBound) : nil
        layers = try fields.wholes("layers", in: layerRange) ?? []
        guard layers.isEmpty == (fusion != .layers), layers.isEmpty || llmLayer == nil,
            zip(layers, layers.dropFirst()).allSatisfy(<)
        else {
            throw fields.refuse(
                "layers",
                fusion == .layers
                    ? "an ascending list of the LLM's layers, and no llm_layer"
                    : "absent, as the fusion is not layers", "\(layers)")
        }
        llmFingerprint = fields.has("llm_fingerprint") ? try fields.text("llm_fingerprint") : nil
    }
}

extension JSONFields {
    fileprivate func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: String, default fallback: Choice? = nil
    ) throws -> Choice {
        if !has(name), let fallback { return fallback }
        let value = try text(name, oneOf: Choice.allCases.map(\.rawValue))
        guard let choice = Choice(rawValue: value) else { throw refuse(name, "known", value) }
        return choice
    }
}
