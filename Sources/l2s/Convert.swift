import ArgumentParser
import Checkpoints
import Inference

struct Convert: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Pack a model's weights ahead of time.",
        discussion: """
            Writes a model folder that is used like the original, by job types of the same dtype. \
            Its weights are mapped as they are: workers start at once and share them. The folder \
            appears when all of it is on the disk, or not at all. Exit code 2 when the model cannot \
            be packed or the folder not written.
            """)

    @Argument(help: "A folder, or the name of one in the models folder.")
    var model: String

    @Option(help: "How the matrices are held: float32, bfloat16 or int8.")
    var dtype: WeightFormat

    @Option(help: ArgumentHelp("What to write: a new or an empty folder.", valueName: "folder"))
    var output: String

    @OptionGroup var folders: FolderOptions

    func run() async throws {
        let path = try folders.path(ofModel: model)
        let (dtype, output) = (dtype, output)
        let interruption = Interruption()
        let summary = try await blocking {
            try ModelConverter.convert(path, to: output, format: dtype) { step in
                try interruption.check()
                Console.note(step)
            }
        }
        let packing = summary.packing
        Console.print(
            "\(output): \(packing.parts.joined(separator: " and ")), \(summary.matrices) matrices "
                + "in \(dtype.rawValue), \(packing.float32.count) vectors and tables in float32, "
                + "\((Double(summary.bytes) / 1_000_000).rounded(digits: 1)) MB")
        if SLMManifest.exists(in: output) { try remindOfReader(SLMManifest(folder: output)) }
    }

    private func remindOfReader(_ manifest: SLMManifest) throws {
        guard (try? ModelFolder(path: manifest.llmPath)) == nil else { return }
        Console.note(
            "its l2s.json names \(manifest.llm), where no model lies yet: hybrid mode needs the "
                + "large model there, packed or not")
    }
}
