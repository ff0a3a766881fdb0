internal import Inference

extension Rows {
    /// - Precondition: the rows follow each other without gaps.
    var elements: Int {
        precondition(stride == width || count <= 1, "rows of \(width), \(stride) apart")
        return count * width
    }

    func clear() {
        for row in 0..<count { self[row].update(repeating: 0, count: width) }
    }

    /// Adds one row to each of these rows.
    func add(toEach addend: Rows) {
        let source = addend.base
        for row in 0..<count {
            let target = self[row]
            for column in 0..<width { target[column] += source[column] }
        }
    }

    /// Adds the sum of all rows of `source` to this row.
    func addSum(of source: Rows) {
        for row in 0..<source.count {
            let addend = source[row]
            for column in 0..<width { base[column] += addend[column] }
        }
    }

    /// Row i becomes row `indices[i]` of `table`.
    func gather(_ indices: [Int32], from table: Rows) {
        for (row, index) in indices.enumerated() {
            self[row].update(from: table[Int(index)], count: width)
        }
    }

    /// Adds each row to row `indices[i]` of `table`.
    func scatter(_ indices: [Int32], into table: Rows) {
        for (row, index) in indices.enumerated() {
            let source = self[row]
            let target = table[Int(index)]
            for column in 0..<width { target[column] += source[column] }
        }
    }

    func applyRelu() {
        for index in 0..<elements { base[index] = max(base[index], 0) }
    }

    /// Clears the elements that are not positive in `output`.
    func maskRelu(_ output: Rows) {
        let mask = output.base
        for index in 0..<elements { base[index] = mask[index] > 0 ? base[index] : 0 }
    }
}

/// A pointer into memory that the owner of some rows lends.
typealias FloatPointer = UnsafeMutablePointer<Float>
