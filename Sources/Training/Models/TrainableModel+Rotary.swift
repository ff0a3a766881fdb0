internal import Inference

extension TrainableModel {
    /// The normed states from which a model with rotary positions predicts the targets.
    ///
    /// - Parameters:
    ///   - cut: the layers that write from what `stack` read; nil where `stack` itself reads the
    ///     source and the cue and writes.
    ///   - isTaught: whether to return also the states of the whole `stack`, from which a cut
    ///     learns.
    func rotaryStates(
        _ input: Input, _ stack: RotaryStack, cut: RotaryStack?, isTaught: Bool, _ tape: Tape
    ) -> (written: Variable, teacher: Rows?) {
        let given = zip(input.cues, input.targets).map { $0 + $1.dropLast() }
        guard let cut else {
            let tokens = zip(input.sources, given).map { $0 + $1 }
            return (states(of: tokens, in: stack, after: nil, input.targets, tape), nil)
        }
        // The cut's first input is the prompt's last token, as it is in a worker.
        let tokens = zip(input.sources, given).map { Array($0.suffix(1)) + $1 }
        let read = zip(input.sources, given).map { isTaught ? $0 + $1 : $0.dropLast() }
        let documents = read.map(\.count).consecutiveRanges
        let silent = tape.silent
        let vectors = stack.tokens.look(up: read.flatMap(\.self), silent)
        let prompts = zip(documents, input.sources).map { $0.prefix($1.count - 1) }
        let memory =
            isTaught
            ? stack.readThrough(
                vectors, documents: documents, remembering: prompts, keeping: cut.layers, silent)
            : stack.read(vectors, documents: documents, keeping: cut.layers, silent)
        let teacher =
            isTaught
            ? stack.norm.apply(
                to: ends(of: documents, input.targets, vectors, silent), drops: false, silent
            ).value : nil
        return (states(of: tokens, in: cut, after: memory, input.targets, tape), teacher)
    }

    private func states(
        of tokens: [[Int32]], in stack: RotaryStack, after memory: RotaryStack.Memory?,
        _ targets: [[Int32]], _ tape: Tape
    ) -> Variable {
        let documents = tokens.map(\.count).consecutiveRanges
        let x = stack.tokens.look(up: tokens.flatMap(\.self), tape)
        stack.apply(to: x, documents: documents, after: memory, tape)
        return stack.norm.apply(
            to: ends(of: documents, targets, x, tape), drops: false, tape)
    }

    /// The last rows of each document, as many as its target has tokens.
    private func ends(
        of documents: [Range<Int>], _ targets: [[Int32]], _ x: Variable, _ tape: Tape
    ) -> Variable {
        let responses = targets.map(\.count).consecutiveRanges
        let last = tape.variable(responses.last?.upperBound ?? 0, x.value.width)
        last.value.clear()
        for (document, response) in zip(documents, responses) {
            last.rows(response).add(x.rows(document.suffix(response.count)), tape)
        }
        return last
    }
}
