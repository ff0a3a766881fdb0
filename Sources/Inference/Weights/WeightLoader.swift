internal import Checkpoints

/// Gives layers their weights, and checks every shape. Matrices are packed in the wanted format
/// while a checkpoint is read, or taken as they lie in a file that was packed ahead of time.
struct WeightLoader {
    let weights: WeightFile
    private(set) var format: WeightFormat
    /// Nil for a checkpoint.
    private let packing: Packing?
    /// The names of the checkpoint's tensors that lie in the file as parts of packed matrices.
    let packedTensors: Set<String>
    /// Notes what a model loads; nil for no note.
    private let record: LoadRecord?

    /// - Throws: `PackingError` when the folder is packed in another format, or damaged.
    init(_ folder: ModelFolder, format: WeightFormat, record: LoadRecord? = nil) throws {
        try KernelLevel.checkChoice()
        weights = folder.weights
        self.format = format
        self.record = record
        packing = folder.isPacked ? try Packing(weights) : nil
        packedTensors = packing?.packedTensors ?? []
        if let packed = packing?.format, packed != format {
            throw PackingError(path: folder.path, problem: .packedAs(packed, wanted: format))
        }
        try packing?.checkBytes(of: weights)
    }

    /// Loads a checkpoint whose matrices stay in float32.
    init(float32 weights: WeightFile) {
        self.weights = weights
        format = .float32
        packing = nil
        packedTensors = []
        record = nil
    }

    /// How keys and values are held.
    var cacheFormat: WeightFormat { format == .int4 ? .int8 : format }

    func contains(_ name: String) -> Bool {
        weights.contains(name) || packedTensors.contains(name)
    }

    /// Linear layers side by side: y = x · Wᵀ of each. All shapes are [columns, inner].
    ///
    /// - Parameter scale: multiplies every weight.
    func matrix(_ names: [String], shape: [Int?], scale: Float = 1) throws -> PackedMatrix {
        try matrix(names.map { ($0, shape[0]) }, inner: shape[1], scale: scale)
    }

    /// Linear layers side by side, each of its own number of columns.
    func matrix(
        _ parts: [(name: String, columns: Int?)], inner: Int?, scale: Float = 1
    ) throws -> PackedMatrix {
        try recorded(parts.map(\.name), scale: scale) { name in
            if let packing {
                let columns = parts.compactMap(\.columns)
                return try packing.matrix(
                    name, columns: columns.count == parts.count ? columns.reduce(0, +) : nil,
                    inner: inner, scale: scale, in: weights)
            }
            return pack(
                try parts.map { try weights.tensor($0.name, shape: [$0.columns, inner]) },
                scale: scale)
        }
    }

    func matrix(_ name: String, shape: [Int?]) throws -> PackedMatrix {
        try matrix([name], shape: shape)
    }

    /// The matrix of an output head: in an int4 model it is held in int8, for the choice of a token suffers
    /// more from rounding than any layer. The perplexity of SmolLM2-135M is 1.1 % above float32's, with the
    /// head in int4 6.0 %.
    func head(_ name: String, shape: [Int?], scale: Float = 1) throws -> PackedMatrix {
        var loader = self
        if format == .int4 { loader.format = .int8 }
        return try loader.matrix([name], shape: shape, scale: scale)
    }

    /// A linear layer stored [inner, columns], as GPT-2 does.
    func transposed(_ tensor: LayoutTensor) throws -> PackedMatrix {
        let (inner, columns) = (tensor.shape[0], tensor.shape[1])
        return try recorded([tensor.name], scale: 1) { name in
            if let packing {
                return try packing.matrix(
                    name, columns: columns, inner: inner, scale: 1, in: weights)
            }
            let tensor = try weights.tensor(tensor)
            return pack(
                floats(tensor).transposed(columns: columns), columns: columns, inner: inner)
        }
    }

    func vector(_ name: String, count: Int) throws -> WeightVector {
        WeightVector(buffer: try table(name, shape: [count]))
    }

    /// Vectors one after the other, as one vector.
    func vector(_ parts: [(name: String, count: Int)]) throws -> WeightVector {
        let whole = FloatBuffer(count: parts.reduce(0) { $0 + $1.count })
        var filled = 0
        for part in parts {
            let own = try table(part.name, shape: [part.count])
            whole.withFloats(filled..<filled + part.count) { target in
                own.withFloats { _ = target.update(from: $0) }
            }
            filled += part.count
        }
        return WeightVector(buffer: whole)
    }

    /// The factors of a norm: its weights as they are stored, plus 1 where `addsOne`.
    func norm(_ name: String, count: Int, addsOne: Bool) throws -> WeightVector {
        let buffer = try table(name, shape: [count])
        if addsOne { buffer.add(1) }
        return WeightVector(buffer: buffer)
    }

    /// Weights that stay as they are, in float32.
    func table(_ name: String, shape: [Int]) throws -> FloatBuffer {
        let tensor = try weights.tensor(name, shape: shape)
        record?.float32.append(tensor)
        return floats(tensor)
    }

    /// Token vectors, read from the file when they are needed.
    func kept(_ tensor: StoredTensor) -> StoredTensor {
        record?.embeddings.append(tensor)
        return tensor
    }

    // MARK: By a layout

    /// Linear layers side by side, with the same number of inputs.
    func matrix(_ tensors: [LayoutTensor]) throws -> PackedMatrix {
        try matrix(tensors.map { ($0.name, $0.shape[0]) }, inner: tensors[0].shape[1])
    }

    func vector(_ tensor: LayoutTensor) throws -> WeightVector {
        WeightVector(buffer: try table(tensor))
    }

    func table(_ tensor: LayoutTensor) throws -> FloatBuffer {
        try table(tensor.name, shape: tensor.shape)
    }

    /// Vectors of tokens or of positions, which are read from the file when they are needed.
    func kept(_ tensor: LayoutTensor) throws -> EmbeddingTable {
        EmbeddingTable(kept(try weights.tensor(tensor)))
    }

    private func recorded(
        _ names: [String], scale: Float, _ load: (String) throws -> PackedMatrix
    ) throws -> PackedMatrix {
        let name = names.joined(separator: "+")
        let matrix = try load(name)
        if let record {
            // The tensors of a packed file have other names, and need no packing.
            let fresh = packing == nil ? names : []
            let bytes = try fresh.reduce(0) { try $0 + weights.bytes(of: $1).bytes.count }
            try record.add(name, matrix, scale, of: bytes)
        }
        return matrix
    }

    private func pack(_ tensors: [StoredTensor], scale: Float) -> PackedMatrix {
        let inner = tensors[0].shape[1]
        let columns = tensors.reduce(0) { $0 + $1.shape[0] }
        let rows = FloatBuffer(count: columns * inner)
        var filled = 0
        for tensor in tensors {
            rows.withFloats(filled..<filled + tensor.count) { tensor.read(into: $0) }
            filled += tensor.count
        }
        rows.multiply(by: scale)
        return pack(rows, columns: columns, inner: inner)
    }

    /// Packs in the wanted format, or in bfloat16 where int8 would round too much away.
    private func pack(_ rows: FloatBuffer, columns: Int, inner: Int) -> PackedMatrix {
        let packed = PackedMatrix(rows: rows, columns: columns, inner: inner, format: format)
        guard let loss = packed.roundingLoss, loss > PackedMatrix.largestLoss else { return packed }
        return PackedMatrix(rows: rows, columns: columns, inner: inner, format: .bfloat16)
    }

    private func floats(_ tensor: StoredTensor) -> FloatBuffer {
        let buffer = FloatBuffer(count: tensor.count)
        buffer.withFloats { tensor.read(into: $0) }
        return buffer
    }
}

/// All that the layers of a model asked for, in their order.
final class LoadRecord {
    private(set) var matrices: [(name: String, matrix: PackedMatrix, scale: Float)] = []
    private var bytes = 0
    /// Is called with the number of bytes of the checkpoint that are packed. What it throws stops
    /// the loading.
    private let packed: (Int) throws -> Void

    init(packed: @escaping (Int) throws -> Void = { _ in }) { self.packed = packed }

    func add(_ name: String, _ matrix: PackedMatrix, _ scale: Float, of bytes: Int) throws {
        matrices.append((name, matrix, scale))
        self.bytes += bytes
        try packed(self.bytes)
    }

    /// Tensors that are computed in float32 whatever the format is.
    var float32: [StoredTensor] = []
    var embeddings: [StoredTensor] = []
}

extension Packing {
    /// A matrix as it lies in the mapped file. Nothing is copied, and its panels are not read.
    ///
    /// - Throws: `PackingError` where it is not what the layer needs, or damaged.
    fileprivate func matrix(
        _ name: String, columns: Int?, inner: Int?, scale: Float, in weights: WeightFile
    ) throws -> PackedMatrix {
        func fail(_ what: String, _ expected: String, _ found: String) -> PackingError {
            PackingError(
                path: weights.path,
                problem: .matrix(name: name, what: what, expected: expected, found: found))
        }
        guard let matrix = matrices[name] else {
            throw CheckpointError(
                path: weights.path, problem: .missingTensor(name: name, nearest: []))
        }
        guard columns == nil || columns == matrix.columns, inner == nil || inner == matrix.inner
        else {
            throw fail(
                "the shape", "[\(columns ?? matrix.columns), \(inner ?? matrix.inner)]",
                "[\(matrix.columns), \(matrix.inner)]")
        }
        guard scale == matrix.scale else {
            throw fail("the scale", "\(scale)", "\(matrix.scale)")
        }
        return try PackedMatrix(
            stored: name, inner: matrix.inner, columns: matrix.columns, format: matrix.format,
            in: weights, fail: fail)
    }
}
