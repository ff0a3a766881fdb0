package import Checkpoints

/// The metadata of a packed file.
package struct Packing: Sendable, Equatable {
    /// What a matrix's padded panels do not show.
    struct Matrix: Sendable, Equatable {
        let columns: Int
        let inner: Int
        /// All weights were multiplied by it.
        let scale: Float
        let format: WeightFormat
    }

    /// The format of the matrices, except for those that would lose too much in it.
    package let format: WeightFormat
    /// `encoder`, `decoder` or both.
    package let parts: [String]
    /// The names of norms, biases and tables of biases, which are computed in float32 whatever
    /// `format` is.
    package let float32: [String]
    /// The names of tables of token vectors, which keep the checkpoint's own format.
    package let embeddings: [String]
    /// The fingerprint of the checkpoint that was packed.
    package let source: String
    /// The checksum of all tensors of the file.
    let checksum: String
    /// The key is the names of the tensors that lie side by side in the matrix, joined by `+`.
    let matrices: [String: Matrix]

    /// It changes with the keys and the names of tensors.
    static let version = "4"
    /// The name of the layout of all matrices, which CKernels.h describes. It serves every
    /// instruction set. In older files, bfloat16 had no paired inner steps, and int8 no Hadamard
    /// transform.
    static func layout(_ format: WeightFormat) -> String {
        let form =
            switch format {
            case .float32: ""
            case .bfloat16: " paired"
            case .int8: " hadamard"
            case .int4: " hadamard, groups of \(PackedMatrix.groupLength)"
            }
        return "panel\(PackedMatrix.panelWidth)\(form) little-endian"
    }

    private enum Key {
        static let version = "l2s.version"
        static let layout = "l2s.layout"
        static let dtype = "l2s.dtype"
        static let parts = "l2s.parts"
        static let float32 = "l2s.float32"
        static let embeddings = "l2s.embeddings"
        static let source = "l2s.source"
        static let checksum = "l2s.checksum"
        static let matrix = "l2s.matrix."
    }
}

extension ModelFolder {
    /// Identifies the model. It is the same before and after `l2s convert`, because packed files
    /// carry the fingerprint of the checkpoint that they were made of.
    ///
    /// - Throws: `PackingError`.
    package var fingerprint: String {
        get throws { isPacked ? try Packing(weights).source : weights.fingerprint }
    }
}

extension Packing {
    /// Reads and checks the metadata.
    ///
    /// - Throws: `PackingError` for another version, layout or number type.
    package init(_ weights: WeightFile) throws {
        let metadata = weights.metadata
        func expect(_ key: String, _ expected: String) throws {
            guard metadata[key] == expected else {
                throw PackingError(
                    path: weights.path,
                    problem: .metadata(
                        key: key, expected: expected, found: metadata[key] ?? "nothing"))
            }
        }
        try expect(Key.version, Self.version)
        guard let format = WeightFormat(rawValue: metadata[Key.dtype] ?? "") else {
            throw PackingError(
                path: weights.path,
                problem: .metadata(
                    key: Key.dtype,
                    expected: WeightFormat.allCases.map(\.rawValue).joined(separator: " or "),
                    found: metadata[Key.dtype] ?? "nothing"))
        }
        try expect(Key.layout, Self.layout(format))
        func words(_ key: String) -> [String] {
            (metadata[key] ?? "").split(separator: " ").map(String.init)
        }
        self.format = format
        parts = words(Key.parts)
        float32 = words(Key.float32)
        embeddings = words(Key.embeddings)
        source = metadata[Key.source] ?? ""
        checksum = metadata[Key.checksum] ?? ""
        var matrices: [String: Matrix] = [:]
        for (key, value) in metadata where key.hasPrefix(Key.matrix) {
            let name = String(key.dropFirst(Key.matrix.count))
            guard let matrix = Matrix(value) else {
                throw PackingError(
                    path: weights.path,
                    problem: .metadata(
                        key: key, expected: "columns, inner size, scale and number type",
                        found: value))
            }
            matrices[name] = matrix
        }
        self.matrices = matrices
    }

    /// Checks the checksum, for which it reads the whole file.
    ///
    /// - Throws: `PackingError` where the file is not as it was written.
    func checkBytes(of weights: WeightFile) throws {
        let found = weights.checksum
        guard found == checksum else {
            throw PackingError(
                path: weights.path,
                problem: .metadata(key: Key.checksum, expected: found, found: checksum))
        }
    }

    /// The metadata of the file, which `init` reads.
    var metadata: [String: String] {
        var metadata = [
            Key.version: Self.version, Key.layout: Self.layout(format), Key.dtype: format.rawValue,
            Key.parts: parts.joined(separator: " "), Key.source: source, Key.checksum: checksum,
            Key.float32: float32.joined(separator: " "),
            Key.embeddings: embeddings.joined(separator: " "),
        ]
        for (name, matrix) in matrices { metadata[Key.matrix + name] = matrix.text }
        return metadata
    }

    /// Each matrix's name, number of weights and format, sorted.
    package var sizes: [(name: String, parameters: Int, format: WeightFormat)] {
        matrices.map { ($0, $1.columns * $1.inner, $1.format) }.sorted { $0.0 < $1.0 }
    }

    /// The checkpoint's tensors that went into matrices.
    package var packedTensors: Set<String> {
        Set(matrices.keys.flatMap { $0.split(separator: "+").map(String.init) })
    }
}

extension Packing.Matrix {
    /// Far beyond any model, and far from overflow.
    private static let largest = 1 << 28

    fileprivate init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 4, let columns = Int(words[0]), let inner = Int(words[1]),
            let scale = Float(words[2]), let format = WeightFormat(rawValue: String(words[3])),
            (1...Self.largest).contains(columns), (1...Self.largest).contains(inner), scale.isFinite
        else { return nil }
        (self.columns, self.inner, self.scale, self.format) = (columns, inner, scale, format)
    }

    fileprivate var text: String { "\(columns) \(inner) \(scale) \(format.rawValue)" }
}
