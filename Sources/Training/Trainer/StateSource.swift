package import Inference

/// Where a model in training gets its frozen LLM's states of prompts.
package enum StateSource: Sendable {
    /// There is no frozen LLM. The model reads the tokens itself.
    case tokens
    /// The encoder computes them each time.
    case encoder(Encoder)
    case cache(StateCache, Encoder)
    /// They lie in memory.
    case states([PromptStates], Encoder)
}

/// An example and the number that its prompt has in the cache.
package struct IndexedExample: Sendable {
    package let index: Int
    package let example: TrainingExample

    package init(index: Int, example: TrainingExample) {
        self.index = index
        self.example = example
    }
}

extension [IndexedExample] {
    /// Parts that take about the same time: the longest examples come first, and each goes to the
    /// part with the fewest tokens so far.
    func dealt(to threads: Int) -> [[IndexedExample]] {
        var parts = [[IndexedExample]](repeating: [], count: threads)
        var loads = [Int](repeating: 0, count: threads)
        let order = indices.sorted {
            (self[$1].example.tokens, $0) < (self[$0].example.tokens, $1)
        }
        for index in order {
            let thread = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
            parts[thread].append(self[index])
            loads[thread] += self[index].example.tokens
        }
        return parts
    }
}

/// The memory for the states of a part of a batch. It grows to the largest part.
struct PromptBuffers {
    private var states = FloatBuffer(count: 0)

    mutating func input(
        _ examples: [IndexedExample], from source: StateSource, needsEmbeddings: Bool,
        workspace: Workspace
    ) -> TrainableModel.Input {
        let sources = examples.map(\.example.source)
        let total = sources.reduce(0) { $0 + $1.count }
        let encoder: Encoder
        switch source {
        case .tokens:
            return TrainableModel.Input(
                sources: sources, cues: examples.map(\.example.cue),
                targets: examples.map(\.example.target), states: nil)
        case .encoder(let own):
            encoder = own
            grow(to: total * encoder.width)
            let read = encoder.encode(sources.map { ($0, .identity) }, workspace: workspace)
            var offset = 0
            for prompt in read {
                let count = prompt.tokens * encoder.width
                states.rows(offset..<offset + count).copy(from: prompt.row)
                offset += count
            }
        case .states(let given, let own):
            encoder = own
            grow(to: total * encoder.width)
            var offset = 0
            for example in examples {
                let row = given[example.index].row
                states.rows(offset..<offset + row.width).copy(from: row)
                offset += row.width
            }
        case .cache(let cache, let own):
            encoder = own
            grow(to: total * encoder.width)
            var offset = 0
            for example in examples {
                cache.read(example.index, into: states, at: offset)
                offset += example.example.source.count * encoder.width
            }
        }
        var embeddings: Rows?
        if needsEmbeddings {
            let vectors = workspace.rows(total, encoder.width)
            encoder.embed(sources.joined(), into: vectors)
            embeddings = vectors
        }
        return TrainableModel.Input(
            sources: sources, targets: examples.map(\.example.target),
            states: Rows(
                base: states.base, count: total, width: encoder.width, stride: encoder.width),
            embeddings: embeddings)
    }

    private mutating func grow(to count: Int) {
        if states.count < count { states = FloatBuffer(count: count + count / 4) }
    }
}
