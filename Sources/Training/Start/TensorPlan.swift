internal import Checkpoints

/// A tensor that a model has, and its values before training.
struct PlannedTensor {
    enum NewValues {
        /// Normally distributed around zero.
        case random(deviation: Float)
        case constant(Float)
    }

    let name: String
    let shape: [Int]
    let newValues: NewValues
}

/// The tensors of a model, with the names and shapes of its checkpoints. New values are those of
/// transformers: `_init_weights` of T5 with factor 1, and of GPT-2.
struct TensorPlan {
    private(set) var tensors: [PlannedTensor] = []

    private mutating func add(_ name: String, _ shape: [Int], deviation: Float) {
        tensors.append(
            PlannedTensor(name: name, shape: shape, newValues: .random(deviation: deviation)))
    }

    private mutating func add(_ name: String, _ shape: [Int], constant: Float) {
        tensors.append(PlannedTensor(name: name, shape: shape, newValues: .constant(constant)))
    }

    private func inverseRoot(_ value: Int) -> Float { 1 / Float(value).squareRoot() }
}

// MARK: T5 and GPT-2

extension TensorPlan {
    init(_ shape: T5Shape) {
        let configuration = shape.layout.configuration
        for tensor in shape.layout.tensors(hasOwnHead: shape.hasOwnHead) {
            switch tensor.role {
            case .embedding: add(tensor, deviation: 1)
            case .matrix, .residual: add(tensor, deviation: inverseRoot(tensor.shape[1]))
            // Scores are not divided by the root of the head width, so queries start smaller by it.
            case .unscaledQuery:
                add(tensor, deviation: inverseRoot(tensor.shape[1] * configuration.headWidth))
            case .distanceBiases:
                add(tensor, deviation: inverseRoot(configuration.modelWidth))
            case .norm: add(tensor, constant: 1)
            case .bias: add(tensor, constant: 0)
            }
        }
    }

    init(_ layout: GPT2Layout) {
        let deviation: Float = 0.02
        for tensor in layout.tensors {
            switch tensor.role {
            case .embedding, .matrix, .unscaledQuery, .distanceBiases:
                add(tensor, deviation: deviation)
            // Smaller, so that the sum of all layers does not grow with their number.
            case .residual:
                add(tensor, deviation: deviation * inverseRoot(2 * layout.configuration.layers))
            case .norm: add(tensor, constant: 1)
            case .bias: add(tensor, constant: 0)
            }
        }
    }

    private mutating func add(_ tensor: LayoutTensor, deviation: Float) {
        add(tensor.name, tensor.shape, deviation: deviation)
    }

    private mutating func add(_ tensor: LayoutTensor, constant: Float) {
        add(tensor.name, tensor.shape, constant: constant)
    }
}

// MARK: What joins the SLM to the LLM

extension TensorPlan {
    /// The projector, and the adapter of the LLM's embedding where the SLM adds that.
    init(projectorFrom llm: Int, hidden: Int, to slm: Int, hasAdapter: Bool) {
        addLinear("projector.in", from: llm, to: hidden)
        addLinear("projector.out", from: hidden, to: slm)
        if hasAdapter { addLinear("prompt_adapter", from: llm, to: slm) }
    }

    /// y = W · x + b. For inputs of unit size, the outputs are of about unit size.
    private mutating func addLinear(_ name: String, from inner: Int, to columns: Int) {
        add(name + ".weight", [columns, inner], deviation: inverseRoot(inner))
        add(name + ".bias", [columns], constant: 0)
    }
}
