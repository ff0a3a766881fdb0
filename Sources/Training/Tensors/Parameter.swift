/// A trained tensor, under the name that Hugging Face gives it.
package struct Parameter: Sendable {
    package let name: String
    package let shape: [Int]
    /// Its place in the flat arrays of values, gradients and moments.
    package let range: Range<Int>
    /// Matrices decay; norms, biases and tables of biases do not.
    package let decays: Bool
    /// The optimizer leaves it as it is.
    package let isFrozen: Bool
}

/// A matrix or vector as layers see it: one tensor, or several below each other.
package struct Weight: Sendable {
    let range: Range<Int>
    let rows: Int
    let columns: Int
    /// Nobody reads its gradient.
    let isFrozen: Bool
}

/// Gives every tensor of a model its place in the flat arrays.
package final class ParameterLayout {
    package private(set) var parameters: [Parameter] = []
    /// Floats of each flat array.
    package private(set) var count = 0
    /// Whether tensors that are placed from now on stay as they are.
    var freezes: Bool

    init(freezes: Bool) { self.freezes = freezes }

    /// Tensors of one shape [rows, columns] below each other: one product serves all of them.
    func matrix(
        _ names: [String], _ rows: Int, _ columns: Int, decays: Bool = true
    ) -> Weight {
        let first = place()
        for name in names { add(name, shape: [rows, columns], decays: decays) }
        return Weight(
            range: first..<count, rows: rows * names.count, columns: columns, isFrozen: freezes)
    }

    func matrix(_ name: String, _ rows: Int, _ columns: Int) -> Weight {
        matrix([name], rows, columns)
    }

    func vector(_ name: String, _ count: Int) -> Weight {
        let first = place()
        add(name, shape: [count], decays: false)
        return Weight(
            range: first..<first + count, rows: 1, columns: count, isFrozen: freezes)
    }

    /// Where the next one begins: on a cache line.
    private func place() -> Int {
        count = (count + 15) / 16 * 16
        return count
    }

    private func add(_ name: String, shape: [Int], decays: Bool) {
        let end = count + shape.reduce(1, *)
        parameters.append(
            Parameter(
                name: name, shape: shape, range: count..<end, decays: decays, isFrozen: freezes))
        count = end
    }
}
