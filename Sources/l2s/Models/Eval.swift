import ArgumentParser
import Benchmarks
import Checkpoints
import Evaluation
import Foundation
import Inference
import Jobs
import Pipeline
import Programs
import Scoring
import Settings

struct Eval: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare all ways to write the outputs of a job type on pairs with targets.",
        discussion: """
            Reads JSON Lines {"source": "…", "target": "…"} and puts every source through the job \
            type and its variants, in turn, chunk by chunk:
              llm           the large model writes
              hybrid        the small one writes from what the large one read
              speculative   the small one proposes, the large one decides
              fallback      hybrid, but the large one writes what the small one is unsure of
              slm           the small model alone, if it can read, and those of --baseline
              prompt-tuned  those of --baseline that read a learned soft prompt first
              llm-int8, hybrid-int8   the same in int8
              cut           the large model with fewer decoder layers
            Prints scores (ROUGE as rouge-score, BLEU and chrF as sacreBLEU) with bootstrap \
            intervals, the time of each stage, and what a token costs. With several job types, all \
            variants of all of them. --report writes a page with plots.
            """)

    @Option(help: "A job type of the jobs folder; may be repeated.")
    var jobType: [String]

    @Option(help: ArgumentHelp("JSON Lines of pairs; - for standard input.", valueName: "file"))
    var data: String

    @Option(help: "The JSON field of the source.")
    var sourceField = "source"

    @Option(help: "The JSON field of the target.")
    var targetField = "target"

    @Option(help: MetadataField.help)
    var metadata: [MetadataField] = []

    @Option(help: ArgumentHelp("Only the first pairs.", valueName: "n"))
    var limit: Int?

    @Option(
        help:
            "Only these kinds of variants, separated by commas. All are compared with the first row."
    )
    var variants: String?

    @Option(
        help: ArgumentHelp(
            "Decoder layers that cut variants keep, separated by commas. Default: half, and one.",
            valueName: "n,…"))
    var layers: String?

    @Option(
        help: ArgumentHelp(
            "A small model that reads by itself, in the models folder; may be repeated.",
            valueName: "model"))
    var baseline: [String] = []

    @Option(help: "Share of documents that fall back, where the job type has no threshold.")
    var fallbackShare = 0.2

    @Option(help: ArgumentHelp("Documents that are also timed alone.", valueName: "n"))
    var alone = 32

    @Option(
        help: ArgumentHelp("Documents of a variant before the next one's turn.", valueName: "n"))
    var chunk = 128

    @Option(help: "Threads that compute. Default: the machine's cores.")
    var threads: Int?

    @Option(help: "Resamples of the documents for intervals.")
    var resamples = 1_000

    @Option(help: "The seed of the resamples.")
    var seed: UInt64 = 1

    @Flag(help: "ROUGE compares English stems (rouge-score's use_stemmer).")
    var stems = false

    @Flag(help: "Print JSON.")
    var json = false

    @Option(help: ArgumentHelp("Write README.md, plots and JSON here.", valueName: "folder"))
    var report: String?

    @OptionGroup var folders: FolderOptions

    func validate() throws {
        for (flag, value, range) in [
            ("--limit", limit ?? 1, 1...1_000_000), ("--alone", alone, 0...10_000),
            ("--chunk", chunk, 1...100_000), ("--threads", threads ?? 1, 1...1_024),
            ("--resamples", resamples, 1...100_000),
        ] where !range.contains(value) {
            throw ValidationError(
                "expected \(flag) to be a whole number from \(range.lowerBound) to "
                    + "\(range.upperBound), got \(value)")
        }
        guard (0...1).contains(fallbackShare) else {
            throw ValidationError(
                "expected --fallback-share to be a number from 0 to 1, got \(fallbackShare)")
        }
        _ = try kinds
        _ = try keptLayers
    }

    private var kinds: Set<Variant.Kind> {
        get throws {
            guard let variants else { return Set(Variant.Kind.allCases) }
            return try Set(
                variants.split(separator: ",").map { word in
                    guard let kind = Variant.Kind(rawValue: String(word)) else {
                        let known = Variant.Kind.allCases.map(\.rawValue).joined(separator: ", ")
                        throw ValidationError(
                            "expected --variants to be some of \(known), got \(word)")
                    }
                    return kind
                })
        }
    }

    private var keptLayers: [Int]? {
        get throws {
            try layers?.split(separator: ",").map { word in
                guard let count = Int(word), count > 0 else {
                    throw ValidationError("expected --layers to be whole numbers, got \(word)")
                }
                return count
            }
        }
    }

    func run() async throws {
        let installation = try folders.installation
        let pairs = try await pairs()
        let scratch = NSTemporaryDirectory() + "l2s-eval-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        var (variants, leftOut) = try prepare(installation, scratch: scratch)
        let threads = threads ?? Processors.available.usable
        let comparison = Comparison(
            modelsFolder: installation.modelsFolder, threads: threads, pairs: pairs,
            fields: metadata.texts, chunk: chunk)
        try await comparison.setThresholds(&variants, share: fallbackShare)
        let outcome = try await comparison.run(variants, alone: alone)
        let result = comparison.report(
            outcome, jobType: jobType.joined(separator: ", "), leftOut: leftOut, stems: stems,
            bootstrap: (resamples, seed))
        for run in outcome.runs {
            if let reason = run.failures.first {
                Console.note(
                    "\(run.variant.name): \(run.failures.count) documents failed, the first: \(reason)"
                )
            }
        }
        let text = try Console.json(result)
        if let report {
            try result.write(to: report, json: text, command: commandLine)
            Console.note("wrote \(report)/README.md")
        }
        if json { Console.print(text) } else { Console.print(result.table) }
    }

    private var commandLine: String {
        "l2s " + CommandLine.arguments.dropFirst().joined(separator: " ")
    }

    private func pairs() async throws -> [Pair] {
        var input = try InputFile(path: data)
        var pairs: [Pair] = []
        var number = 0
        while pairs.count < limit ?? .max, let piece = try await input.nextLine() {
            number += 1
            do {
                pairs.append(try Pair(piece, source: sourceField, target: targetField))
            } catch {
                throw Failure("\(input.name), line \(number): \(error)")
            }
        }
        guard !pairs.isEmpty else { throw Failure("\(input.name): expected pairs, found none") }
        return pairs
    }

    /// The variants of all job types, without repetitions, and a remark for each that is not possible.
    private func prepare(
        _ installation: Installation, scratch: String
    ) throws -> (variants: [Variant], leftOut: [String]) {
        let known = try loadJobTypes(folder: installation.jobsFolder)
        let baselines = try baseline.map { folder in
            let path = ModelCache.locate(folder, in: installation.modelsFolder)
            _ = try ModelFolder(path: path)
            return (folder: folder, isPromptTuned: SoftPrompt.exists(in: path))
        }
        var variants: [Variant] = []
        var leftOut: [String] = []
        var fields: [String] = []
        for (number, name) in jobType.enumerated() {
            let type = try known.named(name)
            fields += type.fields
            let prefix = jobType.count > 1 ? "\(name): " : ""
            var cuts: [(name: String, folder: String)] = []
            if let llm = type.llm, try kinds.contains(.cut) {
                let model = try ModelFolder(
                    path: ModelCache.locate(llm, in: installation.modelsFolder))
                cuts = try cut(
                    model, prefix: prefix, folder: "\(scratch)/\(number)", &leftOut)
            }
            let reads = try slmReads(type, installation)
            if type.slm != nil, !reads, baselines.allSatisfy(\.isPromptTuned) {
                leftOut.append(
                    "\(prefix)slm (the small model has no encoder, it cannot read alone, and no "
                        + "--baseline can without a soft prompt)")
            }
            if !baselines.contains(where: \.isPromptTuned) {
                leftOut.append("\(prefix)prompt-tuned (no --baseline has a soft prompt)")
            }
            for variant in type.variants(slmReads: reads, baselines: baselines, cuts: cuts)
            where try kinds.contains(variant.kind) {
                let named = Variant(
                    kind: variant.kind, name: prefix + variant.name, jobType: variant.jobType)
                if !variants.contains(where: { $0.isSame(as: named) }) { variants.append(named) }
            }
        }
        try metadata.expectOneOf(fields)
        try metadata.expectAll(fields)
        guard !variants.isEmpty else {
            throw Failure(
                "no job type has any of the variants asked for: \(jobType.joined(separator: ", "))")
        }
        return (variants, leftOut)
    }

    private func cut(
        _ model: ModelFolder, prefix: String, folder: String, _ leftOut: inout [String]
    ) throws -> [(name: String, folder: String)] {
        guard case .t5(let t5) = model.configuration, !model.isPacked else {
            leftOut.append("\(prefix)cut (needs an unpacked T5)")
            return []
        }
        let all = t5.decoderLayers
        let counts = try keptLayers ?? Set([(all + 1) / 2, 1]).sorted(by: >)
        return try counts.filter { $0 < all }.map { count in
            let name = "llm, \(count) of \(all) decoder layers"
            let folder = "\(folder)-\(count)"
            try DecoderCut.make(model, keeping: count, at: folder)
            return (name, folder)
        }
    }

    private func slmReads(_ type: JobType, _ installation: Installation) throws -> Bool {
        guard let slm = type.slm else { return false }
        let folder = try ModelFolder(
            path: ModelCache.locate(slm, in: installation.modelsFolder))
        guard case .t5 = folder.configuration else { return folder.hasTokenVectors }
        return folder.weights.names.contains { $0.hasPrefix("encoder.block.") }
    }
}

extension Pair {
    fileprivate init(_ piece: InputFile.Piece, source: String, target: String) throws {
        struct Fault: Error, CustomStringConvertible { let description: String }
        let example = "{\"\(source)\": \"…\", \"\(target)\": \"…\"}"
        guard case .bytes(let bytes) = piece else {
            throw Fault(
                description: "expected at most \(InputFile.limit.grouped) bytes, found more")
        }
        let object = (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]
        guard let object else {
            throw Fault(description: "expected a JSON object such as \(example), found none")
        }
        func text(_ field: String) throws -> String {
            guard let text = object[field] as? String else {
                throw Fault(
                    description: "expected a JSON object such as \(example), found "
                        + (object[field] == nil
                            ? "no \"\(field)\"" : "another value of \"\(field)\""))
            }
            guard text.hasText else {
                throw Fault(description: "expected \"\(field)\" to hold text, found none")
            }
            return text
        }
        self.init(source: try text(source), target: try text(target))
    }
}

extension EvaluationReport {
    /// For a terminal.
    fileprivate var table: String {
        var table = Columns(
            [("variant", .left)]
                + [
                    "ROUGE-1", "ROUGE-2", "ROUGE-L", "±", "chrF", "±", "BLEU", "encode ms",
                    "decode ms", "docs/s", "tokens/s", "decode ×", "alone ms", "Mflop/tok",
                    "MB/tok",
                ].map { ($0, .right) } + [("", .left)])
        for row in rows {
            func score(_ kind: Scores.Kind) -> String {
                row.scores[kind]?.score.rounded(digits: 1) ?? ""
            }
            func spread(_ kind: Scores.Kind) -> String {
                row.scores[kind].map { (($0.high - $0.low) / 2).rounded(digits: 1) } ?? ""
            }
            table.add(
                [
                    row.variant, score(.rouge1), score(.rouge2), score(.rougeL), spread(.rougeL),
                    score(.chrf), spread(.chrf), score(.bleu),
                    row.encodeMsPerDocument.rounded(digits: 2),
                    row.decodeMsPerDocument.rounded(digits: 2),
                    row.documentsPerS.rounded(digits: 1), row.tokensPerS.rounded(digits: 0),
                    row.decodeSpeed?.rounded(digits: 2) ?? "–",
                    row.aloneMs?.rounded(digits: 1) ?? "–",
                    (row.operationsPerToken / 1e6).rounded(digits: 2),
                    (row.bytesPerToken / 1e6).rounded(digits: 2), row.remark,
                ])
        }
        return
            (["\(machine); \(threads) threads, \(documents) documents, \(dtype)", ""]
            + table.lines
            + (leftOut.isEmpty ? [] : ["", "not here: " + leftOut.joined(separator: "; ")]))
            .joined(separator: "\n")
    }
}
