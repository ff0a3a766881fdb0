package import Checkpoints

/// Packs a model ahead of time, so that workers map its matrices instead of packing them.
package enum ModelConverter {
    /// What rounding to int8 costs each matrix of a model. Matrices that would lose more than a
    /// fiftieth are held in bfloat16. Cost: the model is loaded once.
    ///
    /// - Returns: for each matrix, in the order of loading, the names of its tensors and the root
    ///   mean square of the error, divided by that of the weights; nil for a matrix that is held in
    ///   bfloat16.
    /// - Throws: `PackingError` for a model packed as another number type, `CheckpointError`.
    package static func roundingLosses(
        of folder: ModelFolder
    ) throws -> [(name: String, loss: Double?)] {
        let record = LoadRecord()
        _ = try load(folder, by: WeightLoader(folder, format: .int8, record: record))
        return record.matrices.map { ($0.name, $0.matrix.roundingLoss) }
    }

    /// What was written.
    package struct Summary: Sendable {
        package let packing: Packing
        package let matrices: Int
        /// Size of packed.safetensors.
        package let bytes: Int
    }

    /// How far the conversion is, in bytes. In the step `packing`, only matrices count as done: the
    /// vectors and tables that stay as they are do not.
    package struct Progress: Sendable {
        package enum Step: Sendable {
            case packing, writing
            /// Everything is written, but not yet safe from a power failure.
            case synchronising
        }

        package let step: Step
        package let bytes: Int
        package let total: Int
    }

    /// The files of a model folder besides its weights. They are copied as they are.
    private static let companions =
        [
            "config.json", "generation_config.json", "l2s.json", "projector.safetensors",
            SoftPrompt.fileName, "README.md", "LICENSE",
        ] + ModelFolder.tokenizerFiles

    /// Writes `output`: a model folder like `path`, with packed weights. Cost: the model is loaded
    /// once, all of it in memory.
    ///
    /// - Parameters:
    ///   - adapter: the folder of an adapter that is merged into the weights. Nil for none.
    ///   - progress: called often; what it throws stops the work.
    /// - Throws: `PackingError` for a model that cannot be packed, `CheckpointError` for files that
    ///   cannot be read or written. `output` is then as it was.
    package static func convert(
        _ path: String, to output: String, format: WeightFormat, adapter: String? = nil,
        progress: @escaping (Progress) throws -> Void = { _ in }
    ) throws -> Summary {
        try NewFolder.checkFree(output)
        let folder = try ModelFolder(path: path, adapter: adapter)
        if folder.isPacked {
            throw PackingError(
                path: path, problem: .alreadyPacked(try Packing(folder.weights).format))
        }
        let size = folder.weights.byteCount
        try progress(Progress(step: .packing, bytes: 0, total: size))
        let record = LoadRecord {
            try progress(Progress(step: .packing, bytes: $0, total: size))
        }
        let parts = try load(
            folder, by: WeightLoader(folder, format: format, record: record))
        guard !parts.isEmpty else { throw PackingError(path: path, problem: .nothingToPack) }

        let float32 = record.float32.uniqueByName
        let embeddings = record.embeddings.uniqueByName
        // Matrices come first: their sizes are whole cache lines, so each matrix begins on one.
        let tensors =
            record.matrices.flatMap { $0.matrix.stored(as: $0.name) }
            + (float32 + embeddings).map(\.stored)
        let packing = Packing(
            format: format, parts: parts, float32: float32.map(\.name),
            embeddings: embeddings.map(\.name), source: folder.weights.fingerprint,
            checksum: tensors.checksum,
            matrices: Dictionary(
                record.matrices.map { name, matrix, scale in
                    (
                        name,
                        .init(
                            columns: matrix.columns, inner: matrix.inner, scale: scale,
                            format: matrix.format)
                    )
                }, uniquingKeysWith: { first, _ in first }))
        let bytes = tensors.reduce(0) { $0 + $1.bytes.count }
        try NewFolder.make(at: output) { unfinished in
            try SafetensorsWriter.write(
                tensors,
                metadata: embeddings.reduce(into: packing.metadata) { metadata, tensor in
                    metadata.merge(tensor.blockMetadata) { $1 }
                }, to: unfinished + "/" + ModelFolder.packed
            ) {
                try progress(
                    Progress(step: $0 < bytes ? .writing : .synchronising, bytes: $0, total: bytes))
            }
            for name in companions {
                try NewFolder.copy(name, from: path, to: unfinished)
            }
            if let gguf = folder.gguf {
                try NewFolder.write(
                    gguf.configuration, to: unfinished + "/" + ModelFolder.configurationFile)
                // The metadata hold the tokenizer.
                try gguf.writeMetadata(to: unfinished + "/metadata" + GGUFFile.suffix)
            }
        }
        return Summary(
            packing: packing, matrices: packing.matrices.count, bytes: bytes)
    }

    /// Loads each half that the checkpoint has, and returns the halves' names.
    private static func load(_ folder: ModelFolder, by loader: WeightLoader) throws -> [String] {
        func has(_ names: String) -> Bool {
            folder.weights.names.contains { $0.hasPrefix(names) }
        }
        var parts: [String] = []
        switch folder.configuration {
        case .t5:
            if has("encoder.block.") {
                _ = try T5Encoder(folder, loader: loader)
                parts.append("encoder")
            }
            if has("decoder.block.") {
                _ = try T5Decoder(folder, loader: loader)
                parts.append("decoder")
            }
        case .t5gemma:
            if has("model.encoder.layers.") {
                _ = try T5GemmaEncoder(folder, loader: loader)
                parts.append("encoder")
            }
            if has("model.decoder.layers.") {
                _ = try T5GemmaDecoder(folder, loader: loader)
                parts.append("decoder")
            }
        case .classic:
            _ = try ClassicEncoder(folder, loader: loader)
            _ = try ClassicDecoder(folder, loader: loader)
            parts = ["encoder", "decoder"]
        case .gpt2:
            guard folder.weights.names.contains(where: { $0.contains("h.0.") }) else { break }
            _ = try GPT2Decoder(folder, loader: loader)
            parts.append("decoder")
        case .rotary(let configuration):
            guard has("model.layers.") else { break }
            let isCut =
                try SLMManifest.exists(in: folder.path)
                && SLMManifest(folder: folder.path).fusion == .layers
            try RotaryWeights.loadAll(configuration, loader: loader, isCut: isCut)
            parts.append("decoder")
        }
        return parts
    }
}

extension [StoredTensor] {
    /// Each tensor once: encoder and decoder may both ask for the same.
    fileprivate var uniqueByName: [StoredTensor] {
        var known: Set<String> = []
        return filter { known.insert($0.name).inserted }
    }
}
