internal import Checkpoints

/// A trained tensor, under the name that Hugging Face gives it.
package struct Parameter: Sendable {
    package let name: String
    package let shape: [Int]
    /// Its place in the flat arrays of values, gradients and moments.
    package let range: Range<Int>
    /// Whether weight decay applies: it does to matrices, but not to norms, biases and tables of
    /// biases.
    package let decays: Bool
    /// Whether the optimizer leaves it as it is.
    package let isFrozen: Bool
}

/// A matrix or vector as layers see it: one tensor, or several below each other.
package struct Weight: Sendable {
    let range: Range<Int>
    let rows: Int
    let columns: Int
    /// Whether nothing reads its gradient.
    let isFrozen: Bool
    /// Whether it lies among the base weights, which have no gradients or moments.
    var isBase = false
}

/// Gives every tensor of a model its place in the flat arrays.
package final class ParameterLayout {
    package private(set) var parameters: [Parameter] = []
    /// Floats of each flat array.
    package private(set) var count = 0
    /// The weights of a model that adapters are trained for, in a flat array of their own.
    package private(set) var baseParameters: [Parameter] = []
    package private(set) var baseCount = 0
    /// Whether tensors that are placed from now on are frozen.
    var freezes: Bool
    /// Whether tensors that are placed from now on lie among the base weights.
    var placesInBase = false

    init(freezes: Bool) { self.freezes = freezes }

    /// Tensors of one shape [rows, columns] below each other: one product serves all of them.
    func matrix(
        _ names: [String], _ rows: Int, _ columns: Int, decays: Bool = true
    ) -> Weight {
        stack(names.map { ($0, rows) }, columns, decays: decays)
    }

    /// Tensors [rows of each, columns] below each other.
    func stack(
        _ parts: [(name: String, rows: Int)], _ columns: Int, decays: Bool = true
    ) -> Weight {
        let first = place()
        for part in parts { add(part.name, shape: [part.rows, columns], decays: decays) }
        return weight(first, rows: parts.reduce(0) { $0 + $1.rows }, columns)
    }

    /// Tensors of a layout below each other.
    func matrix(_ tensors: LayoutTensor...) -> Weight { matrix(tensors) }

    func matrix(_ tensors: [LayoutTensor]) -> Weight {
        stack(
            tensors.map { ($0.name, $0.shape[0]) }, tensors[0].shape[1],
            decays: tensors[0].role != .distanceBiases)
    }

    func vector(_ tensor: LayoutTensor) -> Weight { vector(tensor.name, tensor.shape[0]) }

    func matrix(_ name: String, _ rows: Int, _ columns: Int) -> Weight {
        matrix([name], rows, columns)
    }

    func vector(_ name: String, _ count: Int) -> Weight {
        let first = place()
        add(name, shape: [count], decays: false)
        return weight(first, rows: 1, count)
    }

    private func weight(_ first: Int, rows: Int, _ columns: Int) -> Weight {
        Weight(
            range: first..<first + rows * columns, rows: rows, columns: columns,
            isFrozen: freezes || placesInBase, isBase: placesInBase)
    }

    /// Where the next tensor begins: on a cache line.
    private func place() -> Int {
        if placesInBase {
            baseCount = (baseCount + 15) / 16 * 16
            return baseCount
        }
        count = (count + 15) / 16 * 16
        return count
    }

    private func add(_ name: String, shape: [Int], decays: Bool) {
        let start = placesInBase ? baseCount : count
        let end = start + shape.reduce(1, *)
        let parameter = Parameter(
            name: name, shape: shape, range: start..<end, decays: decays,
            isFrozen: freezes || placesInBase)
        if placesInBase {
            baseParameters.append(parameter)
            baseCount = end
        } else {
            parameters.append(parameter)
            count = end
        }
    }
}
