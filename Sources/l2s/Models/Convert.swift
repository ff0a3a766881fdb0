import ArgumentParser
import Checkpoints
import Inference
import Jobs
import Pipeline

struct Convert: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Pack a model's weights ahead of time.",
        discussion: """
            Writes a model folder that job types of the same dtype, or of dtype auto, use like the \
            original. Its weights are mapped as they are, so workers start at once and share them. \
            The folder appears when all of it is on the disk, or not at all. Exit code 2 when the \
            model cannot be packed or the folder cannot be written. With --json: {"output", "dtype", \
            "parts", "matrices", "float32", "bytes"}.
            """)

    @Argument(help: "A folder, or the name of one in the models folder.")
    var model: String

    @Option(
        help: ArgumentHelp(
            "An adapter (LoRA, as PEFT saves it) to merge into the weights.", valueName: "folder"))
    var adapter: String?

    @Option(
        help: """
            How the matrices are held: float32, bfloat16, int8, int4 or auto. Matrices that lose too \
            much in int8 are held in bfloat16: see `l2s inspect --rounding`. In int4, the output head \
            is held in int8.
            """)
    var dtype = JobType.NumberType.auto

    @Option(help: ArgumentHelp("What to write: a new or an empty folder.", valueName: "folder"))
    var output: String

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var folders: FolderOptions

    func run() async throws {
        let path = try folders.path(ofModel: model)
        let output = output
        let dtype = try WeightFormat(dtype, of: ModelFolder(path: path))
        let adapter = try adapter.map(folders.path(ofModel:))
        let interruption = Interruption()
        let progress = Progress("packing", unit: "MB", rate: "MB/s")
        defer { progress.end() }
        Console.note("packing \(path) as \(dtype.rawValue)")
        let summary = try await blocking {
            try ModelConverter.convert(path, to: output, format: dtype, adapter: adapter) { state in
                try interruption.check()
                progress.update(
                    state.bytes / 1_000_000, of: state.total / 1_000_000, title: state.step.title)
            }
        }
        progress.end()
        let report = Report(
            output: output, dtype: dtype.rawValue, parts: summary.packing.parts,
            matrices: summary.matrices, float32: summary.packing.float32.count,
            bytes: summary.bytes)
        if json { try Console.printJSON(report) } else { Console.print(report.text) }
        if SLMManifest.exists(in: output) { try remindOfEncoder(SLMManifest(folder: output)) }
    }

    private struct Report: Encodable {
        let output, dtype: String
        let parts: [String]
        let matrices: Int
        /// Vectors and tables that stay as they are.
        let float32: Int
        let bytes: Int

        var text: String {
            "\(output): \(parts.joined(separator: " and ")), \(matrices) matrices "
                + "in \(dtype), \(float32) vectors and tables in float32, "
                + "\((Double(bytes) / 1_000_000).rounded(digits: 1)) MB"
        }
    }

    private func remindOfEncoder(_ manifest: SLMManifest) throws {
        guard (try? ModelFolder(path: manifest.locatedLLM)) == nil else { return }
        Console.note(
            "its l2s.json names \(manifest.llm), where no model lies yet: hybrid mode needs the "
                + "large model there, packed or not")
    }
}

extension ModelConverter.Progress.Step {
    fileprivate var title: String {
        switch self {
        case .packing: "packing"
        case .writing: "writing"
        case .synchronising: "waiting for the disk"
        }
    }
}
