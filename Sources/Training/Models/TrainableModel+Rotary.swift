internal import Inference

extension TrainableModel {
    /// The normed states from which a model with rotary positions predicts the targets.
    ///
    /// - Parameter cut: the layers that write upon what `stack` read; nil where `stack` reads the
    ///   source, is given the cue and writes.
    func rotaryStates(
        _ input: Input, _ stack: RotaryStack, cut: RotaryStack?, _ tape: Tape
    ) -> Variable {
        let given = zip(input.cues, input.targets).map { $0 + $1.dropLast() }
        guard let cut else {
            let tokens = zip(input.sources, given).map { $0 + $1 }
            return states(of: tokens, in: stack, after: nil, input.targets, tape)
        }
        // The prompt's last token is the first that the cut takes, as when it writes for a worker.
        let read = input.sources.map { $0.dropLast() }
        let tokens = zip(input.sources, given).map { Array($0.suffix(1)) + $1 }
        let documents = read.map(\.count).consecutiveRanges
        let silent = tape.silent
        let vectors = stack.tokens.look(up: read.flatMap(\.self), silent)
        let memory = stack.read(
            vectors, documents: documents, keeping: cut.layers, silent)
        return states(of: tokens, in: cut, after: memory, input.targets, tape)
    }

    private func states(
        of tokens: [[Int32]], in stack: RotaryStack, after memory: RotaryStack.Memory?,
        _ targets: [[Int32]], _ tape: Tape
    ) -> Variable {
        let documents = tokens.map(\.count).consecutiveRanges
        let x = stack.tokens.look(up: tokens.flatMap(\.self), tape)
        stack.apply(to: x, documents: documents, after: memory, tape)
        let responses = targets.map(\.count).consecutiveRanges
        let last = tape.variable(responses.last?.upperBound ?? 0, x.value.width)
        last.value.clear()
        for (document, response) in zip(documents, responses) {
            last.rows(response).add(x.rows(document.suffix(response.count)), tape)
        }
        return stack.norm.apply(to: last, drops: false, tape)
    }
}
