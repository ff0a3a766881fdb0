import ArgumentParser
import Checkpoints
import Foundation
import Settings
import Tokenizers

struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what a model folder holds.",
        discussion: """
            Kind, sizes, parameters by part, number format, tokenizer, and what l2s.json says of an \
            SLM. Exit code 2 when the folder cannot be read as a model.
            """)

    @Argument(help: "A folder, or the name of one in the models folder.")
    var model: String

    @OptionGroup var folders: FolderOptions

    func run() async throws {
        let folder = try ModelFolder(path: path())
        let manifest =
            SLMManifest.exists(in: folder.path) ? try SLMManifest(folder: folder.path) : nil
        var facts = [("folder", folder.path)]
        facts += folder.configuration.facts(folder.weights)
        if let manifest { facts += manifest.facts }
        let tokenizer = try openTokenizer(folder: folder.path)
        facts.append(
            (
                "tokenizer",
                (tokenizer is SentencePieceTokenizer ? "SentencePiece" : "byte-level BPE")
                    + ", \(tokenizer.vocabularySize.grouped) ids"
            ))
        facts.append(("modes", modes(folder, manifest)))

        let width = facts.map(\.0.count).max() ?? 0
        for (name, value) in facts { Console.print("\(name.padded(to: width))  \(value)") }
        Console.print()
        var table = Columns([
            ("part", .left), ("parameters", .right), ("MB", .right), ("format", .left),
        ])
        var parts = try PartSizes(folder.weights)
        if let manifest {
            let projector = try WeightFile(path: manifest.folder + "/projector.safetensors")
            try parts.add(projector, part: "projector")
        }
        for row in parts.rows { table.add(row) }
        Console.print(table.lines.joined(separator: "\n"))
    }

    private func path() throws -> String {
        if FileManager.default.fileExists(atPath: model) || model.contains("/") { return model }
        let named = try folders.installation.modelsFolder + "/" + model
        return FileManager.default.fileExists(atPath: named) ? named : model
    }

    private func modes(_ folder: ModelFolder, _ manifest: SLMManifest?) -> String {
        let own = folder.weights.names.contains { $0.hasPrefix("encoder.") }
        guard manifest != nil else {
            if case .gpt2 = folder.configuration { return "slm" }
            return own ? "llm, slm" : "none by itself: the encoder is missing"
        }
        if case .gpt2 = folder.configuration { return "hybrid, slm" }
        return own ? "hybrid, slm" : "hybrid"
    }
}

extension ModelConfiguration {
    fileprivate func facts(_ weights: WeightFile) -> [(String, String)] {
        switch self {
        case .t5(let t5):
            let isGated = weights.names.contains { $0.contains("wi_1") }
            let hasHead = weights.contains("lm_head.weight")
            return [
                ("kind", "T5 (\(t5.modelType))"),
                ("feed-forward", isGated ? "gated gelu" : "relu"),
                ("head", hasHead && !t5.tiesEmbeddings ? "own" : "tied to the embedding"),
                ("layers", "\(t5.encoderLayers) encoder, \(t5.decoderLayers) decoder"),
                (
                    "sizes",
                    "model \(t5.modelWidth), feed-forward \(t5.feedForwardWidth), "
                        + "\(t5.heads) heads of \(t5.headWidth)"
                ),
            ]
        case .gpt2(let gpt2):
            return [
                ("kind", "GPT-2"),
                ("layers", "\(gpt2.layers)"),
                (
                    "sizes",
                    "model \(gpt2.width), feed-forward \(gpt2.feedForwardWidth), "
                        + "\(gpt2.heads) heads of \(gpt2.headWidth), \(gpt2.positions) positions"
                ),
            ]
        }
    }
}

extension SLMManifest {
    fileprivate var facts: [(String, String)] {
        [
            ("small model of", "\(llm) (\(URL(fileURLWithPath: llmPath).standardized.path))"),
            ("fusion", fusion.rawValue),
            ("prompt embedding", promptEmbedding.rawValue),
        ]
    }
}

/// Parameters and bytes by part of a model.
struct PartSizes {
    private struct Size {
        var parameters = 0
        var bytes = 0
        var formats: Set<String> = []
    }

    private var sizes: [(part: String, size: Size)] = []

    init(_ weights: WeightFile) throws { try add(weights, part: nil) }

    /// - Parameter part: nil to tell by the tensors' names.
    mutating func add(_ weights: WeightFile, part: String?) throws {
        for name in weights.names {
            // GPT-2 files of old hold masks that are no weights.
            guard let tensor = try? weights.tensor(name) else { continue }
            let part = part ?? Self.part(of: name)
            let index: Int
            if let known = sizes.firstIndex(where: { $0.part == part }) {
                index = known
            } else {
                sizes.append((part, Size()))
                index = sizes.count - 1
            }
            sizes[index].size.parameters += tensor.count
            sizes[index].size.bytes += tensor.count * (tensor.format == .float32 ? 4 : 2)
            sizes[index].size.formats.insert(tensor.format.rawValue)
        }
    }

    var rows: [[String]] {
        var total = Size()
        for (_, size) in sizes {
            total.parameters += size.parameters
            total.bytes += size.bytes
            total.formats.formUnion(size.formats)
        }
        return (sizes + [("all", total)]).map { part, size in
            [
                part, size.parameters.grouped,
                (Double(size.bytes) / 1_000_000).rounded(digits: 1),
                size.formats.sorted().joined(separator: ", "),
            ]
        }
    }

    private static func part(of name: String) -> String {
        let name = name.hasPrefix("transformer.") ? name.dropFirst(12) : name[...]
        return switch name.prefix(while: { $0 != "." }) {
        case "encoder": name.hasPrefix("encoder.embed_tokens") ? "embedding" : "encoder"
        case "decoder": name.hasPrefix("decoder.embed_tokens") ? "embedding" : "decoder"
        case "shared", "wte", "wpe": "embedding"
        case "lm_head": "head"
        case "h", "ln_f": "decoder"
        default: "other"
        }
    }
}
