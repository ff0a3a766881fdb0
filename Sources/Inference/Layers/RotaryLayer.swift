internal import Checkpoints

/// One layer of a model with rotary positions.
struct RotaryLayer: Sendable {
    let attention: RotaryAttention
    let feedForward: RotaryFeedForward

    var matrices: [PackedMatrix] { attention.matrices + feedForward.matrices }
}

extension RotaryLayer {
    /// Loads a layer of a decoder-only model.
    ///
    /// - Parameter index: the layer's number in the configuration, and in the names of its tensors.
    init(_ loader: WeightLoader, _ configuration: RotaryConfiguration, index: Int) throws {
        let tensors = RotaryTensors(
            loader: loader, prefix: RotaryNames.layer(index), configuration: configuration)
        // In models with output norms, `post_attention_layernorm` is one of them. In others it is
        // the norm before the feed-forward part.
        let hasOutputNorms = configuration.hasOutputNorms
        self.init(
            attention: try RotaryAttention(
                tensors, layer: configuration.layers[index], norm: "input_layernorm",
                outputNorm: hasOutputNorms ? "post_attention_layernorm" : nil),
            feedForward: try RotaryFeedForward(
                tensors,
                norm: hasOutputNorms ? "pre_feedforward_layernorm" : "post_attention_layernorm",
                outputNorm: hasOutputNorms ? "post_feedforward_layernorm" : nil))
    }
}
