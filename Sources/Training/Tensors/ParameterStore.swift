internal import Checkpoints
package import Inference

/// The values of all trained tensors, and the optimizer's moments of each. They are flat arrays in
/// the same order, so that one loop can treat all elements.
///
/// `@unchecked Sendable`: written by the optimizer between passes, read by all threads during them.
package final class ParameterStore: @unchecked Sendable {
    package let parameters: [Parameter]
    package let values: FloatBuffer
    let mean: FloatBuffer
    let square: FloatBuffer
    /// The base weights, which stay as they are.
    package let base: FloatBuffer

    /// - Parameters:
    ///   - base: fills one of the base weights; nil where the layout has none.
    ///   - tensors: the values to start with. Tensors that the model does not train are ignored.
    ///   - path: where they come from, for errors.
    /// - Throws: `CheckpointError` for a tensor that is missing or of another shape.
    package init(
        _ layout: ParameterLayout, tensors: [NamedTensor], path: String,
        base source: ((Parameter, UnsafeMutableBufferPointer<Float>) throws -> Void)? = nil
    ) throws {
        precondition(layout.baseCount == 0 || source != nil, "base weights from nowhere")
        parameters = layout.parameters
        values = FloatBuffer(count: layout.count)
        mean = FloatBuffer(count: layout.count)
        square = FloatBuffer(count: layout.count)
        base = FloatBuffer(count: layout.baseCount)
        if let source {
            for parameter in layout.baseParameters {
                try base.withFloats { floats in
                    try source(
                        parameter, UnsafeMutableBufferPointer(rebasing: floats[parameter.range]))
                }
            }
        }
        let named = Dictionary(tensors.map { ($0.name, $0) }) { first, _ in first }
        for parameter in parameters {
            guard let tensor = named[parameter.name] else {
                throw CheckpointError(
                    path: path, problem: .missingTensor(name: parameter.name, nearest: []))
            }
            guard tensor.shape == parameter.shape else {
                throw CheckpointError(
                    path: path,
                    problem: .wrongShape(
                        name: tensor.name, expected: parameter.shape, found: tensor.shape))
            }
            values.rows(parameter.range).copy(from: tensor.values.rows(0..<tensor.values.count))
        }
    }

    /// Elements that are trained.
    package var count: Int { parts(of: 0..<values.count).reduce(0) { $0 + $1.range.count } }

    /// Everything that a later run continues from.
    var arrays: [(name: String, buffer: FloatBuffer)] {
        [("values", values), ("mean", mean), ("square", square)]
    }

    /// Copies of the values.
    package var tensors: [NamedTensor] {
        parameters.map { parameter in
            let copy = FloatBuffer(count: parameter.range.count)
            copy.rows(0..<copy.count).copy(from: values.rows(parameter.range))
            return NamedTensor(parameter.name, parameter.shape, copy)
        }
    }

    /// The parts of a slice that belong to one trained tensor each.
    func parts(of slice: Range<Int>) -> [(range: Range<Int>, decays: Bool)] {
        parameters.compactMap { parameter in
            guard !parameter.isFrozen else { return nil }
            let part = parameter.range.clamped(to: slice)
            return part.isEmpty ? nil : (part, parameter.decays)
        }
    }
}

extension FloatBuffer {
    /// A part of the buffer as one row.
    func rows(_ range: Range<Int>) -> Rows {
        Rows(
            base: base + range.lowerBound, count: 1, width: range.count, stride: range.count)
    }
}
