internal import Foundation
package import Settings
internal import Jobs
package import Tokenizers

/// Files of pairs → token ids, by the rules of one recipe.
package struct ExampleReader: Sendable {
    /// What a file held.
    package struct Examples: Sendable {
        package var examples: [TrainingExample] = []
        /// Pairs whose prompt was cut off.
        package var truncated = 0
        /// Pairs left out because their target was too long.
        package var leftOut = 0

        mutating func add(_ other: Examples) {
            examples += other.examples
            truncated += other.truncated
            leftOut += other.leftOut
        }
    }

    private let recipe: TrainingRecipe
    private let promptTokenizer: any Tokenizer
    private let outputTokenizer: any Tokenizer
    private let endID: Int32

    /// The most errors of a file that are shown. Further ones are only counted.
    private static let errorsShown = 10

    /// - Parameter endID: the decoder's end token.
    package init(
        _ recipe: TrainingRecipe, promptTokenizer: any Tokenizer, outputTokenizer: any Tokenizer,
        endID: Int32
    ) {
        self.recipe = recipe
        self.promptTokenizer = promptTokenizer
        self.outputTokenizer = outputTokenizer
        self.endID = endID
    }

    /// Reads a file of JSON Lines, of which empty lines are skipped. Fields other than source and
    /// target may hold anything.
    ///
    /// - Throws: `Refusals` that name each line that is not a pair, without any of its text.
    package func read(_ path: String) throws -> Examples {
        try read(path, task: 0, cue: [])
    }

    /// Reads the pairs of all tasks, one task after the other.
    ///
    /// - Parameter file: gives the path of a task's pairs.
    package func read(_ file: (TrainingRecipe.Task) -> String) throws -> Examples {
        var all = Examples()
        for (number, task) in recipe.data.tasks.enumerated() {
            let cue =
                task.decoderPrompt.map { outputTokenizer.encode([.template($0)], ends: .none) }
                ?? []
            all.add(try read(file(task), task: number, cue: cue))
        }
        return all
    }

    private func read(_ path: String, task: Int, cue: [Int32]) throws -> Examples {
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(filePath: path), options: .mappedIfSafe)
        } catch {
            throw Refusals([
                Refusal(file: path, field: "the file", expected: "readable", found: words(error))
            ])
        }
        var result = Examples()
        var refusals: [Refusal] = []
        let suffix = promptTokenizer.encode(
            recipe.prompt.stretchesAfterDocument().map(PromptSegment.init), ends: .closing)
        // Some editors put a byte order mark in front of a file. It is not part of the text.
        var start = bytes.startIndex + (bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0)
        var line = 0
        while start < bytes.endIndex {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex
            defer { start = end == bytes.endIndex ? end : end + 1 }
            line += 1
            let text = bytes[start..<end]
            guard text.contains(where: { !" \t\r".utf8.contains($0) }) else { continue }
            do throws(Refusals) {
                add(
                    try pair(text, file: path, line: line), to: &result, suffix: suffix,
                    task: task, cue: cue)
            } catch {
                refusals += error.all
            }
        }
        if refusals.isEmpty, result.examples.isEmpty {
            refusals.append(
                Refusal(
                    file: path, field: "the file",
                    expected: "JSON Lines of pairs within the recipe's limits",
                    found: result.leftOut == 0
                        ? "none"
                        : "\(result.leftOut), all with targets over data.target_tokens"))
        }
        guard refusals.isEmpty else { throw Refusals(shortened(refusals, file: path)) }
        return result
    }

    private func add(
        _ pair: (source: String, target: String), to result: inout Examples, suffix: [Int32],
        task: Int, cue: [Int32]
    ) {
        var target = outputTokenizer.encode([.document(pair.target)], ends: .closing)
        if target.last != endID { target.append(endID) }
        guard target.count <= recipe.data.targetTokens else {
            result.leftOut += 1
            return
        }
        var source = promptTokenizer.encode(
            recipe.prompt.stretches(for: pair.source).map(PromptSegment.init), ends: .both)
        // As in a worker, the end of the prompt, after the document, is kept.
        let limit = max(recipe.data.sourceTokens, suffix.count + 1)
        if source.count > limit {
            source = Array(source.prefix(limit - suffix.count)) + suffix
            result.truncated += 1
        }
        result.examples.append(
            TrainingExample(source: source, cue: cue, target: target, task: task))
    }

    private func pair(
        _ text: Data, file: String, line: Int
    ) throws(Refusals) -> (source: String, target: String) {
        guard let fields = try? JSONDecoder().decode([String: Side].self, from: text) else {
            throw Refusals([
                Refusal(
                    file: file, line: line, field: "the line", expected: "a JSON object",
                    found: "other text")
            ])
        }
        func side(_ name: String) throws(Refusals) -> String {
            let found = fields[name] ?? .missing
            if case .text(let text) = found, text.hasText {
                return text
            }
            var refusal = Refusal(
                file: file, line: line, field: name, expected: "a text that is not empty",
                found: found.words)
            if case .missing = found, !fields.isEmpty {
                let names = fields.keys.sorted().prefix(8).map(Refusal.quoted)
                refusal.found += " among \(names.joined(separator: ", "))"
            }
            throw Refusals([refusal])
        }
        return (try side(recipe.data.sourceField), try side(recipe.data.targetField))
    }

    private func shortened(_ refusals: [Refusal], file: String) -> [Refusal] {
        guard refusals.count > Self.errorsShown else { return refusals }
        return refusals.prefix(Self.errorsShown) + [
            Refusal(
                file: file, field: "the other lines", expected: "pairs",
                found: "\(refusals.count - Self.errorsShown) more that are not")
        ]
    }

    private func words(_ error: any Error) -> String {
        switch (error as? CocoaError)?.code {
        case .fileReadNoSuchFile: "no such file"
        case .fileReadNoPermission: "permission denied"
        default: "a file that could not be read"
        }
    }
}

/// One field of a line, by kind.
private enum Side: Decodable {
    case text(String), missing, null, number, flag, other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        self =
            if let text = try? container.decode(String.self) {
                .text(text)
            } else if container.decodeNil() {
                .null
            } else if (try? container.decode(Bool.self)) != nil {
                .flag
            } else if (try? container.decode(Double.self)) != nil {
                .number
            } else {
                .other
            }
    }

    var words: String {
        switch self {
        case .text: "an empty text"
        case .missing: "no such field"
        case .null: "null"
        case .number: "a number"
        case .flag: "true or false"
        case .other: "a list or an object"
        }
    }
}
