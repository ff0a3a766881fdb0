package import Checkpoints
package import Inference

/// A tensor as a checkpoint has it: row-major, by its name.
package struct NamedTensor: Sendable {
    package let name: String
    package let shape: [Int]
    package let values: FloatBuffer

    /// - Precondition: as many values as the shape says.
    package init(_ name: String, _ shape: [Int], _ values: FloatBuffer) {
        precondition(values.count == shape.reduce(1, *), "\(name): \(values.count) of \(shape)")
        self.name = name
        self.shape = shape
        self.values = values
    }
}

extension NamedTensor {
    /// All tensors of a file. The prefix of names that some files of GPT-2 have is removed.
    ///
    /// - Throws: `CheckpointError` for one that holds no weights.
    package static func all(in file: WeightFile) throws -> [NamedTensor] {
        let prefix = "transformer."
        return try file.names.map { name in
            let tensor = try file.tensor(name)
            let values = FloatBuffer(count: tensor.count)
            values.withFloats { tensor.read(into: $0) }
            return NamedTensor(
                name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name,
                tensor.shape, values)
        }
    }
}
