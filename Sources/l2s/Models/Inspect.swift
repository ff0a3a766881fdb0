import ArgumentParser
import Checkpoints
import Foundation
import Inference
import Jobs
import Pipeline
import Tokenizers

struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what a model folder holds.",
        discussion: """
            Prints kind, sizes, parameters by part, number format, tokenizer, and what l2s.json says \
            of an SLM. Exit code 2 when the folder cannot be read as a model. With --json: {"facts": \
            {name: text}, "parts": [{"part", "parameters", "bytes", "formats": […]}]}, and with \
            --rounding: "rounding": [{"matrix", "loss"}], no loss for a matrix held in bfloat16.
            """)

    @Argument(help: "A folder, or the name of one in the models folder.")
    var model: String

    @Option(
        help: ArgumentHelp(
            "An adapter (LoRA, as PEFT saves it) that is merged into the model.",
            valueName: "folder"))
    var adapter: String?

    @Flag(
        help: """
            Load the model as int8, and say what rounding costs each matrix, and which ones are \
            therefore held in bfloat16.
            """)
    var rounding = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var folders: FolderOptions

    func run() async throws {
        let folder = try ModelFolder(
            path: folders.path(ofModel: model), adapter: adapter.map(folders.path(ofModel:)))
        let manifest =
            SLMManifest.exists(in: folder.path) ? try SLMManifest(folder: folder.path) : nil
        var facts = [(folder.gguf?.path == folder.path ? "file" : "folder", folder.path)]
        facts += try folder.gguf?.facts ?? []
        facts += folder.generationFacts
        let packing = folder.isPacked ? try Packing(folder.weights) : nil
        facts += try folder.configuration.facts(
            folder.weights, packed: packing?.packedTensors ?? [])
        if let packing { facts += packing.facts }
        facts += folder.adapter?.facts ?? []
        if packing == nil {
            let format = try WeightFormat(.auto, of: folder)
            facts.append(
                (
                    "dtype auto",
                    format == .int8
                        ? "int8; --rounding says what that costs each matrix"
                        : "\(format.rawValue): the model is tiny"
                ))
        }
        facts.append(("fingerprint", try folder.fingerprint))
        if let manifest { facts += manifest.facts }
        // An SLM of the LLM's layers has the LLM's tokenizer.
        let tokenizer = try openTokenizer(
            folder: manifest.flatMap { $0.fusion == .layers ? $0.locatedLLM : nil } ?? folder.path)
        facts.append(
            (
                "tokenizer",
                "\(tokenizer.kind), \(tokenizer.vocabularySize.grouped) ids"
            ))
        if let prompt = try chatPrompt(folder.path) { facts.append(("chat prompt", prompt)) }
        facts.append(("modes", modes(folder, manifest)))

        var parts = try PartSizes(folder.weights, packing)
        if let manifest, manifest.fusion != .layers {
            let projector = try WeightFile(path: manifest.folder + "/projector.safetensors")
            try parts.add(projector, part: "projector")
        }
        if SoftPrompt.exists(in: folder.path) {
            let vectors = try WeightFile(path: folder.path + "/" + SoftPrompt.fileName)
            try parts.add(vectors, part: "soft prompt")
        }
        let losses =
            rounding
            ? try ModelConverter.roundingLosses(of: folder).map(Report.Matrix.init) : nil
        if json {
            let named = Dictionary(facts, uniquingKeysWith: { first, _ in first })
            return try Console.printJSON(
                Report(facts: named, parts: parts.sizes, rounding: losses))
        }
        let width = facts.map(\.0.count).max() ?? 0
        for (name, value) in facts { Console.print("\(name.padded(to: width))  \(value)") }
        Console.print()
        var table = Columns([
            ("part", .left), ("parameters", .right), ("MB", .right), ("format", .left),
        ])
        for row in parts.rows { table.add(row) }
        Console.print(table.lines.joined(separator: "\n"))
        if let losses { print(losses) }
    }

    private func print(_ losses: [Report.Matrix]) {
        var table = Columns([("int8 rounds away", .right), ("matrix", .left)])
        for matrix in losses {
            let loss = matrix.loss.map { ($0 * 100).rounded(digits: 2) + " %" }
            table.add([loss ?? "held in bfloat16", matrix.matrix])
        }
        Console.print("\n" + table.lines.joined(separator: "\n"))
    }

    /// The model's chat template around a document, as a job file's `prompt` takes it; or why not.
    private func chatPrompt(_ folder: String) throws -> String? {
        do {
            guard let chat = try chatTemplate(folder: folder) else { return nil }
            let prompt = try chat.template.prompt("{document}", tokens: chat.tokens)
            let encoder = JSONEncoder()
            encoder.outputFormatting = .withoutEscapingSlashes
            return String(decoding: try encoder.encode(prompt), as: UTF8.self)
        } catch let error as ChatTemplateError {
            return "not rendered: \(error)"
        }
    }

    private struct Report: Encodable {
        struct Matrix: Encodable {
            let matrix: String
            /// The root mean square of the error over that of the weights.
            let loss: Double?
        }

        let facts: [String: String]
        let parts: [PartSizes.Size]
        let rounding: [Matrix]?
    }

    private func modes(_ folder: ModelFolder, _ manifest: SLMManifest?) -> String {
        let own = folder.weights.names.contains {
            $0.hasPrefix("encoder.block.") || $0.hasPrefix("model.encoder.layers.")
        }
        guard manifest != nil else {
            if case .gpt2 = folder.configuration { return "slm" }
            if case .rotary = folder.configuration { return "llm, slm" }
            return own ? "llm, slm" : "none by itself: the encoder is missing"
        }
        switch folder.configuration {
        case .gpt2: return "hybrid, slm"
        case .rotary: return folder.hasTokenVectors ? "hybrid, slm" : "hybrid"
        case .t5, .t5gemma, .classic: break
        }
        return own ? "hybrid, slm" : "hybrid"
    }
}

extension ModelConfiguration {
    /// - Parameter packed: tensors that lie in the file as parts of packed matrices.
    fileprivate func facts(
        _ weights: WeightFile, packed: Set<String>
    ) throws -> [(String, String)] {
        switch self {
        case .t5(let t5):
            let layout = try T5Layout(t5, in: weights, packed: packed)
            let head = try layout.head(in: weights, packed: packed)
            return [
                ("kind", "T5 (\(t5.modelType))"),
                ("feed-forward", layout.isGated ? "gated gelu" : "relu"),
                ("head", head.isOwn ? "own" : "tied to the embedding"),
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
        case .rotary(let rotary):
            return [("kind", rotary.family.rawValue)] + rotary.facts
        case .t5gemma(let t5gemma):
            return [("kind", "T5Gemma")]
                + t5gemma.encoder.facts.map { ("encoder " + $0, $1) }
                + t5gemma.decoder.facts.map { ("decoder " + $0, $1) }
        case .classic(let classic):
            return [
                ("kind", classic.family.rawValue),
                ("head", classic.tiesEmbeddings ? "tied to the embedding" : "own"),
                (
                    "layers",
                    "\(classic.encoder.layers) encoder, \(classic.decoder.layers) decoder"
                ),
                (
                    "sizes",
                    "model \(classic.width), feed-forward \(classic.encoder.feedForwardWidth) and "
                        + "\(classic.decoder.feedForwardWidth), \(classic.encoder.heads) and "
                        + "\(classic.decoder.heads) heads, \(classic.maximumPositions) positions"
                ),
            ]
        }
    }
}

extension RotaryConfiguration {
    fileprivate var facts: [(String, String)] {
        let windows = layers.compactMap(\.window)
        let windowed =
            windows.isEmpty ? "" : ", \(windows.count) with a window of \(windows[0])"
        return [
            ("head", tiesEmbeddings ? "tied to the embedding" : "own"),
            ("layers", "\(layers.count)" + windowed),
            (
                "sizes",
                "model \(width), feed-forward \(feedForwardWidth), \(heads) heads of "
                    + "\(headWidth), \(keyValueHeads) for keys and values, \(positions) positions"
            ),
        ]
    }
}

extension GGUFFile {
    fileprivate var facts: [(String, String)] {
        get throws {
            let names = [
                ("general.name", "named"), ("general.license", "licence"),
                ("tokenizer.ggml.pre", "pre-tokenizer"),
            ]
            return try names.compactMap { key, name in
                try metadata.text(key).map { (name, $0) }
            }
        }
    }
}

extension LoRAAdapter {
    fileprivate var facts: [(String, String)] {
        [
            ("adapter", path),
            (
                "adapted",
                "\(targets.joined(separator: ", ")) by rank \(rank), \(parameters.grouped) parameters"
            ),
        ]
    }
}

extension Packing {
    private var exceptions: String {
        WeightFormat.allCases.filter { $0 != format }.map { other in
            let count = sizes.count { $0.format == other }
            return count == 0
                ? "" : "; \(count) of \(sizes.count) matrices in \(other.rawValue)"
        }.joined()
    }

    fileprivate var facts: [(String, String)] {
        [
            (
                "weights",
                "packed as \(format.rawValue): \(parts.joined(separator: ", "))" + exceptions
            ),
            ("in float32", "\(float32.count) vectors and tables: norms, biases"),
            ("as stored", embeddings.joined(separator: ", ")),
            ("packed from", "checkpoint \(source)"),
        ]
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
