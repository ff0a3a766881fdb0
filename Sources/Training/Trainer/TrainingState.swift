internal import Checkpoints
internal import Foundation
internal import Inference

/// How far a training is. The next step depends on nothing but this, the weights and the moments.
struct TrainingPosition: Codable, Equatable {
    /// Steps done.
    var step = 0
    var epoch = 0
    /// Batches of the epoch that are done.
    var batch = 0
    /// The time of training, over all runs.
    var seconds = 0.0
    var bestLoss: Double?
    var bestStep = 0
    /// The number of validations since then.
    var validationsWithoutBetter = 0
    var isDone = false
}

/// The folder beside the output that holds a training until it is done.
struct TrainingFolder {
    let path: String
    /// A hash of the recipe, the model and the examples. The state of another training is refused.
    let identity: String

    private var state: String { path + "/state.safetensors" }
    private var best: String { path + "/best.safetensors" }
    var curve: String { path + "/curve.jsonl" }
    var plot: String { path + "/curve.svg" }
    var states: String { path + "/states" }

    private static let version = "1"

    /// Reads the saved state into the store; nil where nothing was saved yet.
    ///
    /// - Throws: `CheckpointError` for a file that is damaged, or of another recipe.
    func restore(_ store: ParameterStore) throws -> TrainingPosition? {
        guard FileManager.default.fileExists(atPath: state) else { return nil }
        let file = try WeightFile(path: state)
        guard file.metadata["identity"] == identity, file.metadata["version"] == Self.version
        else {
            throw CheckpointError(
                path: path,
                problem: .malformed(
                    "expected the training of this recipe, found that of another one; remove the "
                        + "folder to begin anew, or give back the recipe what was changed"))
        }
        guard let text = file.metadata["position"],
            let position = try? JSONDecoder().decode(
                TrainingPosition.self, from: Data(text.utf8))
        else {
            throw CheckpointError(path: state, problem: .malformed("it has no position"))
        }
        for (name, buffer) in store.arrays {
            let tensor = try file.tensor(name, shape: [buffer.count])
            buffer.withFloats { tensor.read(into: $0) }
        }
        return position
    }

    /// Saves the state. The state before it stays until the new one is on the disk.
    func save(_ store: ParameterStore, _ position: TrainingPosition) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        try SafetensorsWriter.replace(
            store.arrays.map { $1.stored(as: $0, shape: [$1.count], format: .float32) },
            metadata: [
                "identity": identity, "version": Self.version,
                "position": String(decoding: try encoder.encode(position), as: UTF8.self),
            ], at: state)
    }

    func saveBest(_ store: ParameterStore) throws {
        try SafetensorsWriter.replace(
            [
                store.values.stored(
                    as: "values", shape: [store.values.count], format: .float32)
            ], metadata: ["identity": identity], at: best)
    }

    func restoreBest(_ store: ParameterStore) throws {
        let tensor = try WeightFile(path: best).tensor("values", shape: [store.values.count])
        store.values.withFloats { tensor.read(into: $0) }
    }

    /// Creates the folder and locks it.
    ///
    /// - Throws: `CheckpointError` where another process trains in it.
    func make() throws -> FileLock {
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
        return try FileLock(path: path + "/lock", purpose: "train this model")
    }

    func remove() throws { try FileManager.default.removeItem(atPath: path) }
}
