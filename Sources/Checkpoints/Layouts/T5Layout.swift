/// The tensors of a T5, with the names and shapes that its checkpoints have. All code that loads,
/// trains or makes a T5 takes them from here.
package struct T5Layout: Sendable {
    package let configuration: T5Configuration
    /// The token vectors, which both halves share, under the name that the weights give them.
    package let embedding: LayoutTensor
    /// Whether the feed-forward layers have a gate.
    package let isGated: Bool

    /// - Parameter vocabularyRows: rows of the embedding.
    package init(_ configuration: T5Configuration, vocabularyRows: Int, isGated: Bool) {
        self.init(
            configuration, embedding: Self.embeddingNames[0], rows: vocabularyRows,
            isGated: isGated)
    }

    /// Reads the layout from the weights, because published configurations contradict their
    /// weights.
    ///
    /// - Parameter packed: names of the tensors that the file holds in packed form.
    /// - Throws: `CheckpointError` for an embedding that is missing or of another width, and for
    ///   two embeddings that differ: both halves share one, and nothing says which was meant.
    package init(
        _ configuration: T5Configuration, in weights: WeightFile, packed: Set<String> = []
    ) throws {
        let name = Self.embeddingNames.first(where: weights.contains) ?? Self.embeddingNames[0]
        let table = try weights.tensor(name, shape: [nil, configuration.modelWidth])
        for other in Self.embeddingNames where other != name && weights.contains(other) {
            guard try !weights.tensor(other).hasSameElements(as: table) else { continue }
            throw CheckpointError(
                path: table.path,
                problem: .malformedTensor(
                    name: other,
                    "expected the same embeddings as in \"\(name)\", got others; leave out those that "
                        + "the model was not trained with"))
        }
        let isGate = { (name: String) in name.hasSuffix(".DenseReluDense.wi_0.weight") }
        self.init(
            configuration, embedding: name, rows: table.shape[0],
            isGated: weights.names.contains(where: isGate) || packed.contains(where: isGate))
    }

    private init(_ configuration: T5Configuration, embedding: String, rows: Int, isGated: Bool) {
        self.configuration = configuration
        self.embedding = LayoutTensor(embedding, [rows, configuration.modelWidth], .embedding)
        self.isGated = isGated
    }

    /// The same layout with the names that training uses.
    package var canonical: T5Layout {
        T5Layout(configuration, vocabularyRows: embedding.shape[0], isGated: isGated)
    }

    private static let embeddingNames = [
        "shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
    ]

    package var encoder: Stack { Stack(layout: self, half: .encoder) }
    package var decoder: Stack { Stack(layout: self, half: .decoder) }

    /// All tensors, in the order in which new ones are made.
    package func tensors(hasOwnHead: Bool) -> [LayoutTensor] {
        var all = [embedding]
        if hasOwnHead { all.append(head(isOwn: true).tensor) }
        for stack in [encoder, decoder] where !stack.blocks.isEmpty {
            all += stack.blocks.flatMap(\.tensors) + [stack.norm]
        }
        return all
    }
}

// MARK: The head

extension T5Layout {
    /// The matrix that turns the decoder's states into logits.
    package struct Head: Sendable {
        package let tensor: LayoutTensor
        /// Whether it is another matrix than the embedding.
        package let isOwn: Bool
        /// What logits are multiplied by.
        package let scale: Float
    }

    /// A head of the model's own is never scaled. A tied head is scaled where the configuration
    /// says so.
    package func head(isOwn: Bool) -> Head {
        let width = Float(configuration.modelWidth)
        return Head(
            tensor: isOwn
                ? LayoutTensor("lm_head.weight", embedding.shape, .matrix) : embedding,
            isOwn: isOwn,
            scale: configuration.scalesLogits && !isOwn ? 1 / width.squareRoot() : 1)
    }

    /// The head that the weights hold. It is the model's own, whatever the configuration says about
    /// tying, unless it is missing or a copy of the embedding.
    ///
    /// - Parameter packed: names of the tensors that the file holds in packed form. These are no
    ///   copies.
    package func head(in weights: WeightFile, packed: Set<String> = []) throws -> Head {
        let own = head(isOwn: true)
        let name = own.tensor.name
        if packed.contains(name) { return own }
        guard weights.contains(name),
            try !weights.tensor(name, shape: [nil, configuration.modelWidth])
                .hasSameElements(as: weights.tensor(embedding))
        else { return head(isOwn: false) }
        return own
    }
}

// MARK: The two halves

extension T5Layout {
    package enum Half: String, Sendable { case encoder, decoder }

    package struct Stack: Sendable {
        let layout: T5Layout
        let half: Half

        package var blocks: [Block] {
            let configuration = layout.configuration
            let count =
                half == .encoder ? configuration.encoderLayers : configuration.decoderLayers
            return (0..<count).map { Block(layout: layout, half: half, index: $0) }
        }

        /// The norm after the last block.
        package var norm: LayoutTensor {
            LayoutTensor(
                "\(half.rawValue).final_layer_norm.weight", [layout.configuration.modelWidth], .norm
            )
        }
    }

    package struct Block: Sendable {
        let layout: T5Layout
        let half: Half
        let index: Int

        /// What the names of its tensors begin with.
        package var prefix: String { "\(half.rawValue).block.\(index)." }

        private var configuration: T5Configuration { layout.configuration }
        private var width: Int { configuration.modelWidth }

        private func norm(_ layer: String) -> LayoutTensor {
            LayoutTensor(layer + "layer_norm.weight", [width], .norm)
        }

        private func attention(_ layer: String, _ name: String) -> Attention {
            let inner = configuration.innerWidth
            let part = layer + name
            return Attention(
                norm: norm(layer),
                query: LayoutTensor(part + ".q.weight", [inner, width], .unscaledQuery),
                key: LayoutTensor(part + ".k.weight", [inner, width], .matrix),
                value: LayoutTensor(part + ".v.weight", [inner, width], .matrix),
                output: LayoutTensor(part + ".o.weight", [width, inner], .residual))
        }

        package var selfAttention: Attention { attention(prefix + "layer.0.", "SelfAttention") }

        /// A decoder's attention to the encoder's states.
        ///
        /// - Precondition: the block is a decoder's.
        package var crossAttention: Attention {
            precondition(half == .decoder, "cross-attention of an encoder")
            return attention(prefix + "layer.1.", "EncDecAttention")
        }

        package var feedForward: FeedForward {
            let layer = prefix + "layer.\(half == .decoder ? 2 : 1)."
            let part = layer + "DenseReluDense."
            let wide = configuration.feedForwardWidth
            return FeedForward(
                norm: norm(layer),
                inner: (layout.isGated ? ["wi_0", "wi_1"] : ["wi"]).map {
                    LayoutTensor(part + $0 + ".weight", [wide, width], .matrix)
                },
                outer: LayoutTensor(part + "wo.weight", [width, wide], .residual))
        }

        /// Nil where the block uses those of the first block.
        package var distanceBiases: LayoutTensor? {
            guard index == 0 || configuration.hasBiasPerBlock else { return nil }
            return LayoutTensor(
                prefix + "layer.0.SelfAttention.relative_attention_bias.weight",
                [configuration.relativeBuckets, configuration.heads], .distanceBiases)
        }

        /// All tensors of the block.
        package var tensors: [LayoutTensor] {
            var all = selfAttention.matrices
            if let distanceBiases { all.append(distanceBiases) }
            all.append(selfAttention.norm)
            if half == .decoder { all += crossAttention.matrices + [crossAttention.norm] }
            return all + feedForward.inner + [feedForward.outer, feedForward.norm]
        }
    }

    package struct Attention: Sendable {
        package let norm: LayoutTensor
        package let query: LayoutTensor
        package let key: LayoutTensor
        package let value: LayoutTensor
        package let output: LayoutTensor

        var matrices: [LayoutTensor] { [query, key, value, output] }
    }

    package struct FeedForward: Sendable {
        package let norm: LayoutTensor
        /// The gate, where there is one, then the layer whose outputs it multiplies.
        package let inner: [LayoutTensor]
        package let outer: LayoutTensor
    }
}
