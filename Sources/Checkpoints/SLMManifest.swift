/// l2s.json: how a small model hangs on to a large one.
package struct SLMManifest: Sendable, Equatable {
    /// Where the projected encoder output enters the small model.
    package enum Fusion: String, Sendable, CaseIterable {
        case add
        case replace
        case crossAttention = "cross_attention"
    }

    /// Whose embedding the prompt's ids are looked up in.
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
    /// The fingerprint of the large model that the small one was trained with; nil in folders that do
    /// not have it.
    package let llmFingerprint: String?

    /// The large model's folder, as it can be opened.
    package var llmPath: String { llm.hasPrefix("/") ? llm : folder + "/" + llm }

    package static let fileName = "l2s.json"

    /// Whether a folder is that of a small model: one with a manifest.
    package static func exists(in folder: String) -> Bool {
        FileMapping.exists(folder + "/" + fileName)
    }

    /// - Throws: `CheckpointError`.
    package init(folder: String) throws {
        guard Self.exists(in: folder) else {
            throw CheckpointError(path: folder, problem: .noneOf(files: [Self.fileName]))
        }
        let fields = try JSONFields(path: folder + "/" + Self.fileName)
        _ = try fields.whole("format", in: 1...1)
        self.folder = folder
        llm = try fields.text("llm")
        guard !llm.isEmpty, !llm.utf8.contains(0) else {
            throw fields.refuse("llm", "the path of a folder", quoted(llm))
        }
        fusion = try fields.choice("fusion")
        promptEmbedding = try fields.choice("prompt_embedding", default: .slm)
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
