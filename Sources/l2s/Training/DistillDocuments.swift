import ArgumentParser
import Foundation
import Jobs
import Pipeline
import Settings
import Training

struct DistillDocuments: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "documents",
        abstract: "Labels for a file of documents, written now by the large model.",
        discussion: """
            Reads JSON Lines {"document": "…"}, or a document per line with --text. Labels are \
            kept in OUTPUT.labels while the work lasts: after an interruption, the same command \
            goes on where it was. Exit code 1 when a line could not be processed; the others are \
            written.
            """)

    @Argument(help: "A file of documents.")
    var file: String

    @Flag(help: "Every line of the file is a document, not JSON.")
    var text = false

    @Option(help: ArgumentHelp("Stop after this many documents. Default: all.", valueName: "n"))
    var limit: Int?

    @Option(
        help: ArgumentHelp(
            "Threads that compute, 1 to 1024. Default: the machine's cores.", valueName: "n"))
    var threads: Int?

    @OptionGroup var labels: LabelOptions

    func validate() throws {
        if let limit, limit < 1 {
            throw ValidationError("expected --limit to be over 0, got \(limit)")
        }
        guard (1...1024).contains(threads ?? 1) else {
            throw ValidationError(
                "expected --threads to be a whole number from 1 to 1024, got \(threads ?? 0)")
        }
        guard file != "-" else {
            throw ValidationError(
                "expected a file that can be read again after an interruption, got -")
        }
    }

    func run() async throws {
        let jobType = try labels.openJobType()
        let writer = try labels.writer()
        let count = min(limit ?? .max, try await countLines())
        let journal = try LabelJournal(
            path: labels.output + ".labels", job: "\(jobType)", file: file)
        if journal.count < count {
            try await label(by: jobType, into: journal, upTo: count)
        }
        let faults = try await collect(journal, upTo: count, into: writer)
        try labels.finish(writer)
        journal.remove()
        if faults > 0 {
            Console.note("\(faults.grouped) lines could not be processed")
            throw ExitCode.foundFaults
        }
    }

    private var form: InputForm { text ? .text : .json }

    private func countLines() async throws -> Int {
        var input = try InputFile(path: file)
        var count = 0
        while try await input.nextLine() != nil { count += 1 }
        return count
    }

    private func label(
        by jobType: JobType, into journal: LabelJournal, upTo count: Int
    ) async throws {
        let threads = threads ?? Processors.available.usable
        let modelsFolder = try labels.folders.installation.modelsFolder
        let pipeline = try await blocking {
            Pipeline(
                library: try ModelLibrary(jobTypes: [jobType], modelsFolder: modelsFolder),
                settings: PipelineSettings(threads: threads, rows: jobType.batch.documents))
        }
        defer { pipeline.stop() }
        if journal.count > 0 {
            Console.note("going on after \(journal.count.grouped) documents")
        }
        let interruption = Interruption()
        let progress = Progress("labelling", unit: "documents")
        defer { progress.end() }
        progress.begin("labelling", at: journal.count, of: count)
        _ = try await generate(
            from: InputFile(path: file), form, lines: journal.count..<count,
            jobType: jobType.name, by: pipeline
        ) { lines in
            try interruption.check()
            try journal.append(lines)
            progress.update(journal.count, of: count)
        }
    }

    /// Joins documents and labels; returns how many lines have no label.
    private func collect(
        _ journal: LabelJournal, upTo count: Int, into writer: PairWriter
    ) async throws -> Int {
        var documents = try InputFile(path: file)
        var lines = try InputFile(path: journal.path)
        _ = try await lines.nextLine()
        var faults = 0
        for _ in 0..<count {
            guard let piece = try await documents.nextLine(),
                case .bytes(let bytes)? = try await lines.nextLine()
            else { break }
            let label = try JSONDecoder().decode(LabelJournal.Label.self, from: Data(bytes))
            guard let target = label.text, let source = try? DocumentLine(piece, form) else {
                if faults < 10 { Console.note("\(file): \(label.error ?? "no label")") }
                faults += 1
                continue
            }
            try writer.add(
                PairFilter.Candidate(
                    source: source.document, target: target, reading: label.reading,
                    isOutputCutOff: label.isCutOff))
        }
        return faults
    }
}
