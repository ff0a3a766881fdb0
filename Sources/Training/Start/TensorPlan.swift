internal import Checkpoints

/// A tensor that a model has, and what it holds before anything was learned.
struct PlannedTensor {
    enum NewValues {
        /// Normal, around zero.
        case random(deviation: Float)
        case constant(Float)
    }

    let name: String
    let shape: [Int]
    let newValues: NewValues
}

/// The tensors of a model, in the names and shapes of its checkpoints. New values are those of
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

// MARK: T5

extension TensorPlan {
    /// - Parameters:
    ///   - isGated: whether the feed-forward layers have `wi_0` and `wi_1`.
    ///   - hasOwnHead: whether the output head is another matrix than the embedding.
    init(_ t5: T5Configuration, vocabulary: Int, isGated: Bool, hasOwnHead: Bool) {
        let width = t5.modelWidth
        add("shared.weight", [vocabulary, width], deviation: 1)
        if hasOwnHead {
            add("lm_head.weight", [vocabulary, width], deviation: inverseRoot(width))
        }
        for (stack, layers) in [("encoder", t5.encoderLayers), ("decoder", t5.decoderLayers)]
        where layers > 0 {
            for block in 0..<layers {
                addBlock("\(stack).block.\(block).", t5, isFirst: block == 0, isGated: isGated)
            }
            add("\(stack).final_layer_norm.weight", [width], constant: 1)
        }
    }

    private mutating func addBlock(
        _ prefix: String, _ t5: T5Configuration, isFirst: Bool, isGated: Bool
    ) {
        let (width, wide) = (t5.modelWidth, t5.feedForwardWidth)
        var layers = ["SelfAttention", "DenseReluDense"]
        if prefix.hasPrefix("decoder.") { layers.insert("EncDecAttention", at: 1) }
        for (index, layer) in layers.enumerated() {
            let prefix = prefix + "layer.\(index)."
            let part = prefix + layer + "."
            if layer == "DenseReluDense" {
                for name in isGated ? ["wi_0", "wi_1"] : ["wi"] {
                    add(part + name + ".weight", [wide, width], deviation: inverseRoot(width))
                }
                add(part + "wo.weight", [width, wide], deviation: inverseRoot(wide))
            } else {
                addAttention(part, t5)
                if layer == "SelfAttention", isFirst || t5.hasBiasPerBlock {
                    add(
                        part + "relative_attention_bias.weight", [t5.relativeBuckets, t5.heads],
                        deviation: inverseRoot(width))
                }
            }
            add(prefix + "layer_norm.weight", [width], constant: 1)
        }
    }

    private mutating func addAttention(_ prefix: String, _ t5: T5Configuration) {
        let (width, inner) = (t5.modelWidth, t5.innerWidth)
        // Scores are not divided by the root of the head width: queries start smaller by it.
        add(
            prefix + "q.weight", [inner, width], deviation: inverseRoot(width * t5.headWidth))
        add(prefix + "k.weight", [inner, width], deviation: inverseRoot(width))
        add(prefix + "v.weight", [inner, width], deviation: inverseRoot(width))
        add(prefix + "o.weight", [width, inner], deviation: inverseRoot(inner))
    }
}

// MARK: GPT-2

extension TensorPlan {
    init(_ gpt2: GPT2Configuration, vocabulary: Int) {
        let (width, wide) = (gpt2.width, gpt2.feedForwardWidth)
        let deviation: Float = 0.02
        // So that the sum of all layers does not grow with their number.
        let outputDeviation = deviation * inverseRoot(2 * gpt2.layers)
        add("wte.weight", [vocabulary, width], deviation: deviation)
        add("wpe.weight", [gpt2.positions, width], deviation: deviation)
        for block in 0..<gpt2.layers {
            let prefix = "h.\(block)."
            addNorm(prefix + "ln_1", width)
            addNorm(prefix + "ln_2", width)
            // Stored [in, out], unlike every other model here.
            for (name, inner, columns, deviation) in [
                ("attn.c_attn", width, 3 * width, deviation),
                ("attn.c_proj", width, width, outputDeviation),
                ("mlp.c_fc", width, wide, deviation),
                ("mlp.c_proj", wide, width, outputDeviation),
            ] {
                add(prefix + name + ".weight", [inner, columns], deviation: deviation)
                add(prefix + name + ".bias", [columns], constant: 0)
            }
        }
        addNorm("ln_f", width)
    }

    private mutating func addNorm(_ name: String, _ width: Int) {
        add(name + ".weight", [width], constant: 1)
        add(name + ".bias", [width], constant: 0)
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

    /// y = W · x + b of inputs of unit size to outputs of about unit size.
    private mutating func addLinear(_ name: String, from inner: Int, to columns: Int) {
        add(name + ".weight", [columns, inner], deviation: inverseRoot(inner))
        add(name + ".bias", [columns], constant: 0)
    }
}
