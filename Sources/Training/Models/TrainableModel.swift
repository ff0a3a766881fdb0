internal import Checkpoints
package import Inference

/// The model that is trained: an SLM with its projector, or a model that reads the prompt itself.
/// It lays out its tensors, and computes the loss of a batch and its gradients.
package final class TrainableModel {
    private enum Decoder {
        case t5(embedding: Embedding, encoder: T5Stack?, decoder: T5Stack, startID: Int32)
        case gpt2(GPT2Stack)
        /// The first reads. Where there is no second, it also writes.
        case rotary(RotaryStack, cut: RotaryStack?)
    }

    package let design: Design
    package let layout: ParameterLayout
    private let decoder: Decoder
    private let projector: ProjectorLayers?
    private let softPrompt: Embedding?
    private let response: ResponseLoss

    package init(_ design: Design) {
        self.design = design
        let layout = ParameterLayout(freezes: design.isDecoderFrozen)
        self.layout = layout
        switch design.decoder {
        case .t5(let shape):
            let configuration = shape.layout.configuration
            let table = layout.matrix(shape.layout.embedding)
            decoder = .t5(
                embedding: Embedding(table: table),
                encoder: shape.hasEncoder
                    ? T5Stack(shape.layout.encoder, configuration, isDecoder: false, in: layout)
                    : nil,
                decoder: T5Stack(
                    shape.layout.decoder, configuration, isDecoder: true, in: layout),
                startID: configuration.startID)
            let head = shape.layout.head(isOwn: shape.hasOwnHead)
            response = ResponseLoss(
                weight: head.isOwn ? layout.matrix(head.tensor) : table, scale: head.scale)
        case .gpt2(let own):
            let stack = GPT2Stack(own, in: layout)
            decoder = .gpt2(stack)
            response = ResponseLoss(weight: stack.tokens.table, scale: 1)
        case .rotary(let shape):
            let whole = RotaryStack(shape, in: layout)
            let written =
                shape.readsAdapted
                ? whole.unadapted(shape.writingLayers ?? [], in: layout) : whole
            let adapted = shape.adapter.map {
                written.adapted(by: $0, layers: shape.writingLayers, in: layout)
            }
            decoder =
                shape.writingLayers == nil
                ? .rotary(adapted ?? whole, cut: nil) : .rotary(whole, cut: adapted)
            response = ResponseLoss(weight: whole.head, scale: 1)
        }
        layout.freezes = false
        projector = design.projection.map { ProjectorLayers($0, width: design.width, in: layout) }
        softPrompt =
            design.softPrompt > 0
            ? Embedding(
                table: layout.matrix(
                    [SoftPrompt.tensorName], design.softPrompt, design.width, decays: false)) : nil
    }

    /// Documents below each other, without padding.
    package struct Input {
        package let sources: [[Int32]]
        /// What the decoder is given before it writes, for a model with rotary positions.
        package let cues: [[Int32]]
        /// Each ends with the end token.
        package let targets: [[Int32]]
        /// The frozen LLM's states of the sources [tokens, encoderWidth]; nil without a projector.
        package let states: Rows?
        /// The LLM's token vectors of the sources [tokens, encoderWidth], where the projector adds
        /// them; else nil.
        package let embeddings: Rows?

        package init(
            sources: [[Int32]], cues: [[Int32]]? = nil, targets: [[Int32]], states: Rows?,
            embeddings: Rows? = nil
        ) {
            self.cues = cues ?? sources.map { _ in [] }
            self.sources = sources
            self.targets = targets
            self.states = states
            self.embeddings = embeddings
        }
    }

    /// The sum of the response tokens' losses. In a pass for training, the tape can then run
    /// backward, which gives the gradient of this sum times `scale`.
    ///
    /// - Parameter distillation: the share of the whole model's distribution in what a cut learns;
    ///   the rest is the label. The loss that is returned is that of the labels alone.
    /// - Precondition: no source and no target is empty; tokens are in the vocabulary.
    package func loss(
        _ input: Input, labelSmoothing: Float = 0, distillation: Float = 0, scale: Float,
        _ tape: Tape
    ) -> Double {
        if case .rotary(let stack, let cut) = decoder {
            let (hidden, teacher) = rotaryStates(
                input, stack, cut: cut, isTaught: distillation > 0, tape)
            return response.add(
                hidden, targets: input.targets.flatMap(\.self), teacher: teacher,
                .init(labelSmoothing: labelSmoothing, distillation: distillation, scale: scale),
                tape)
        }
        let prompts = input.sources.map { design.softPrompt + $0.count }.consecutiveRanges
        let prompt = prompt(input, prompts, tape)
        let hidden: Variable
        switch decoder {
        case .t5(let embedding, let encoder, let decoder, let startID):
            var states = prompt
            if let encoder {
                prompt.drop(tape)
                states = encoder.apply(to: prompt, documents: prompts, tape)
            }
            let x = embedding.look(
                up: input.targets.flatMap { [startID] + $0.dropLast() }, tape)
            hidden = decoder.apply(
                to: x, documents: input.targets.map(\.count).consecutiveRanges,
                states: (states, prompts), tape)
        case .gpt2(let stack):
            hidden = continuation(of: prompt, prompts, input.targets, stack, tape)
        case .rotary: preconditionFailure("returned above")
        }
        return response.add(
            hidden, targets: input.targets.flatMap(\.self),
            .init(labelSmoothing: labelSmoothing, scale: scale), tape)
    }

    /// What takes the place of the prompt's token vectors, or of an encoder's states.
    private func prompt(_ input: Input, _ documents: [Range<Int>], _ tape: Tape) -> Variable {
        guard let projector, let states = input.states else {
            let vectors = tape.variable(documents.last?.upperBound ?? 0, design.width)
            vectors.value.clear()
            for (document, source) in zip(documents, input.sources) {
                let learned = document.prefix(design.softPrompt)
                softPrompt?.add(
                    Array(0..<Int32(learned.count)), to: vectors.rows(learned), tape)
                embedding.add(source, to: vectors.rows(document.suffix(source.count)), tape)
            }
            return vectors
        }
        let projected = projector.apply(to: states, embeddings: input.embeddings, tape)
        if design.projection?.addend == .decoder {
            embedding.add(input.sources.flatMap(\.self), to: projected, tape)
        }
        return projected
    }

    private var embedding: Embedding {
        switch decoder {
        case .t5(let table, _, _, _): table
        case .gpt2(let stack): stack.tokens
        case .rotary(let stack, _): stack.tokens
        }
    }

    /// The states from which a GPT-2 predicts the targets: each document is its prompt followed by
    /// its response, whose last token is predicted and never read.
    private func continuation(
        of prompt: Variable, _ prompts: [Range<Int>], _ targets: [[Int32]], _ stack: GPT2Stack,
        _ tape: Tape
    ) -> Variable {
        let documents = zip(prompts, targets).map { $0.count + $1.count - 1 }.consecutiveRanges
        let x = tape.variable(documents.last?.upperBound ?? 0, design.width)
        x.value.clear()
        for (document, (source, target)) in zip(documents, zip(prompts, targets)) {
            let start = document.lowerBound
            let response = start + source.count
            x.rows(start..<response).add(prompt.rows(source), tape)
            stack.tokens.add(
                Array(target.dropLast()), to: x.rows(response..<document.upperBound), tape)
        }
        stack.positions.add(documents.flatMap { (0..<Int32($0.count)) }, to: x, tape)
        x.drop(tape)
        stack.apply(to: x, documents: documents, tape)
        let responses = targets.map(\.count).consecutiveRanges
        let last = tape.variable(responses.last?.upperBound ?? 0, design.width)
        last.value.clear()
        for (document, response) in zip(documents, responses) {
            last.rows(response).add(x.rows(document.suffix(response.count)), tape)
        }
        return stack.norm.apply(to: last, drops: false, tape)
    }
}
