/// The tensors of a GPT-2, with the names and shapes that its checkpoints have. All code that
/// loads, trains or makes a GPT-2 takes them from here.
package struct GPT2Layout: Sendable {
    package let configuration: GPT2Configuration
    /// Rows of the embedding.
    package let vocabularyRows: Int
    /// The beginning of all names. Some files have `transformer.` there, others nothing.
    package let prefix: String

    package init(_ configuration: GPT2Configuration, vocabularyRows: Int) {
        self.init(configuration, vocabularyRows: vocabularyRows, prefix: "")
    }

    /// Reads the layout from the weights.
    ///
    /// - Throws: `CheckpointError` for an embedding that is missing or of another width.
    package init(_ configuration: GPT2Configuration, in weights: WeightFile) throws {
        let prefix = weights.contains("transformer." + Self.embedding) ? "transformer." : ""
        let table = try weights.tensor(
            prefix + Self.embedding, shape: [nil, configuration.width])
        self.init(configuration, vocabularyRows: table.shape[0], prefix: prefix)
    }

    private init(_ configuration: GPT2Configuration, vocabularyRows: Int, prefix: String) {
        self.configuration = configuration
        self.vocabularyRows = vocabularyRows
        self.prefix = prefix
    }

    /// The same layout with the names that training uses, which have no prefix.
    package var canonical: GPT2Layout {
        GPT2Layout(configuration, vocabularyRows: vocabularyRows)
    }

    private static let embedding = "wte.weight"

    /// The embedding, which is also the head.
    package var tokens: LayoutTensor {
        LayoutTensor(
            prefix + Self.embedding, [vocabularyRows, configuration.width], .embedding)
    }

    package var positions: LayoutTensor {
        LayoutTensor(
            prefix + "wpe.weight", [configuration.positions, configuration.width], .embedding)
    }

    package var blocks: [Block] {
        let (width, wide) = (configuration.width, configuration.feedForwardWidth)
        return (0..<configuration.layers).map { index in
            let block = prefix + "h.\(index)."
            return Block(
                firstNorm: norm(block + "ln_1"), secondNorm: norm(block + "ln_2"),
                attentionInput: linear(block + "attn.c_attn", from: width, to: 3 * width),
                attentionOutput: linear(
                    block + "attn.c_proj", from: width, to: width, .residual),
                inner: linear(block + "mlp.c_fc", from: width, to: wide),
                outer: linear(block + "mlp.c_proj", from: wide, to: width, .residual))
        }
    }

    /// The norm after the last block.
    package var norm: Layer { norm(prefix + "ln_f") }

    private func norm(_ name: String) -> Layer {
        let width = configuration.width
        return Layer(
            weight: LayoutTensor(name + ".weight", [width], .norm),
            bias: LayoutTensor(name + ".bias", [width], .bias))
    }

    /// A linear layer. Its weights are stored [inner, columns], unlike in every other model here.
    private func linear(
        _ name: String, from inner: Int, to columns: Int, _ role: LayoutTensor.Role = .matrix
    ) -> Layer {
        Layer(
            weight: LayoutTensor(name + ".weight", [inner, columns], role),
            bias: LayoutTensor(name + ".bias", [columns], .bias))
    }

    /// All tensors, in the order in which new ones are made.
    package var tensors: [LayoutTensor] {
        [tokens, positions] + (blocks.flatMap(\.layers) + [norm]).flatMap { [$0.weight, $0.bias] }
    }
}

extension GPT2Layout {
    /// A norm, or a linear layer.
    package struct Layer: Sendable {
        package let weight: LayoutTensor
        package let bias: LayoutTensor
    }

    package struct Block: Sendable {
        package let firstNorm: Layer
        package let secondNorm: Layer
        /// Queries, keys and values side by side.
        package let attentionInput: Layer
        package let attentionOutput: Layer
        package let inner: Layer
        package let outer: Layer

        var layers: [Layer] {
            [firstNorm, secondNorm, attentionInput, attentionOutput, inner, outer]
        }
    }
}
