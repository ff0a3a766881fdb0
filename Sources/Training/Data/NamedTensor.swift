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
