extension [OpenedPrompt] {
    /// Makes a row for each prompt, for a decoder with cross-attention.
    ///
    /// - Parameters:
    ///   - encode: takes prompts through the model's own encoder, in place; nil where
    ///     cross-attention reads the states that were handed over.
    ///   - cache: makes an empty cache of so many positions.
    ///   - prepare: writes the keys and values of all layers of cross-attention into a cache.
    func opened(
        encode: ((Rows, [Range<Int>]) -> Void)?, cache: (Int) -> KeyValueCache,
        prepare: (KeyValueCache, Rows) -> Void, workspace: Workspace
    ) -> [DecoderRow] {
        let sources = sources { distinct in
            workspace.scope {
                let read =
                    encode.map { distinct.encoded(workspace: workspace, $0) }
                    ?? distinct.map(\.states.rows)
                return read.map { states in
                    let source = cache(states.count)
                    prepare(source, states)
                    return DecoderRow.Source(cache: source, tokens: states.count)
                }
            }
        }
        return zip(self, sources).map { prompt, source in
            DecoderRow(
                cache: cache(prompt.maximumNewTokens), source: source, position: 0, firstInput: nil)
        }
    }

    /// The keys and values of cross-attention for each prompt. Prompts that share a reading share
    /// them, too.
    ///
    /// - Parameter make: computes them for prompts with different readings.
    private func sources(_ make: ([OpenedPrompt]) -> [DecoderRow.Source]) -> [DecoderRow.Source] {
        var distinct: [OpenedPrompt] = []
        var placeOfStates: [ObjectIdentifier: Int] = [:]
        let places = map { prompt in
            let states = ObjectIdentifier(prompt.states.buffer)
            if let place = placeOfStates[states] { return place }
            placeOfStates[states] = distinct.count
            distinct.append(prompt)
            return distinct.count - 1
        }
        let made = make(distinct)
        return places.map { made[$0] }
    }

    /// The prompts' vectors below each other, taken through an encoder in one pass.
    ///
    /// - Returns: the states of each prompt, valid in the caller's workspace scope.
    private func encoded(
        workspace: Workspace, _ encode: (Rows, [Range<Int>]) -> Void
    ) -> [Rows] {
        let ranges = map(\.states.tokens).consecutiveRanges
        let states = workspace.rows(
            ranges.last?.upperBound ?? 0, first?.states.rows.width ?? 0)
        for (prompt, range) in zip(self, ranges) {
            states.rows(range).copy(from: prompt.states.rows)
        }
        encode(states, ranges)
        return ranges.map(states.rows)
    }
}
