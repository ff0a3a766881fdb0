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

    func forward(_ x: Rows, into y: Rows, _ pass: Pass) {
        Gradients.norm(
            x, pass.value(weight), bias: bias.map(pass.value), epsilon: epsilon, into: y)
    }

    func backward(_ x: Rows, from dy: Rows, into dx: Rows, _ pass: Pass) {
        Gradients.normBackward(
            x, pass.value(weight), epsilon: epsilon, from: dy, into: dx,
            weight: pass.gradient(weight), bias: bias.map(pass.gradient))
    }

    /// The last norm of a stack, dropped out like every output of a layer in T5.
    func apply(to x: Stream, drops: Bool, _ pass: Pass) -> Stream {
        let output = pass.stream(x.value.count, x.value.width)
        forward(x.value, into: output.value, pass)
        let place = pass.dropout.place()
        if drops { pass.dropout.apply(to: output.value, place: place) }
        pass.onBackward {
            if drops { pass.dropout.apply(to: output.gradient, place: place) }
            backward(x.value, from: output.gradient, into: x.gradient, pass)
        }
        return output
    }
}

/// x += dropout(layer(norm(x))): the shape of every layer of T5 and GPT-2.
struct Residual {
    let norm: Norm

    /// - Parameter layer: writes its output for the normed x, and returns what writes the gradient
    ///   of the normed x, given that of its output.
    func apply(
        to x: Stream, _ pass: Pass, _ layer: (_ normed: Rows, _ output: Rows) -> Backward
    ) {
        let before = pass.copy(x.value)
        let normed = pass.rows(before.count, before.width)
        norm.forward(before, into: normed, pass)
        let place = pass.dropout.place()
        let output = pass.rows(before.count, before.width)
        let backward = layer(normed, output)
        pass.dropout.apply(to: output, place: place)
        x.value.add(output)
        pass.onBackward {
            var gradient = x.gradient
            if pass.dropout.isActive {
                gradient = pass.rows(before.count, before.width)
                pass.dropout.apply(x.gradient, place: place, into: gradient)
            }
            let dNormed = pass.rows(before.count, before.width)
            backward(gradient, dNormed)
            norm.backward(before, from: dNormed, into: x.gradient, pass)
        }
    }

    typealias Backward = (_ gradient: Rows, _ dNormed: Rows) -> Void
}
