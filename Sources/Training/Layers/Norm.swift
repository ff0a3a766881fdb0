internal import Inference

/// T5's root mean square norm, or a layer norm where there is a bias.
struct Norm {
    private let weight: Weight
    private let bias: Weight?
    private let epsilon: Float

    init(_ weight: Weight, bias: Weight? = nil, epsilon: Float) {
        self.weight = weight
        self.bias = bias
        self.epsilon = epsilon
    }

    func forward(_ x: Rows, into y: Rows, _ tape: Tape) {
        Gradients.norm(
            x, tape.value(weight), bias: bias.map(tape.value), epsilon: epsilon, into: y)
    }

    func backward(_ x: Rows, from dy: Rows, into dx: Rows, _ tape: Tape) {
        Gradients.normBackward(
            x, tape.value(weight), epsilon: epsilon, from: dy, into: dx,
            weight: tape.gradient(weight), bias: bias.map(tape.gradient))
    }

    /// Applies the last norm of a stack. In T5, dropout follows it, as it follows every layer.
    func apply(to x: Variable, drops: Bool, _ tape: Tape) -> Variable {
        let output = tape.variable(x.value.count, x.value.width)
        forward(x.value, into: output.value, tape)
        let place = tape.dropout.place()
        if drops { tape.dropout.apply(to: output.value, place: place) }
        tape.onBackward {
            if drops { tape.dropout.apply(to: output.gradient, place: place) }
            backward(x.value, from: output.gradient, into: x.gradient, tape)
        }
        return output
    }
}

/// x += dropout(layer(norm(x))): the shape of every layer of T5 and GPT-2.
struct Residual {
    let norm: Norm

    /// - Parameter layer: writes its output for the normed x, and returns the function that writes
    ///   the gradient of the normed x, given the gradient of its output.
    func apply(
        to x: Variable, _ tape: Tape, _ layer: (_ normed: Rows, _ output: Rows) -> Backward
    ) {
        let before = tape.copy(x.value)
        let normed = tape.rows(before.count, before.width)
        norm.forward(before, into: normed, tape)
        let place = tape.dropout.place()
        let output = tape.rows(before.count, before.width)
        let backward = layer(normed, output)
        tape.dropout.apply(to: output, place: place)
        x.value.add(output)
        tape.onBackward {
            var gradient = x.gradient
            if tape.dropout.isActive {
                gradient = tape.rows(before.count, before.width)
                tape.dropout.apply(x.gradient, place: place, into: gradient)
            }
            let dNormed = tape.rows(before.count, before.width)
            backward(gradient, dNormed)
            norm.backward(before, from: dNormed, into: x.gradient, tape)
        }
    }

    typealias Backward = (_ gradient: Rows, _ dNormed: Rows) -> Void
}
