extension [OpenedPrompt] {
    /// Keys and values of cross-attention for each prompt: prompts that share a reading share what
    /// is made of it, too.
    ///
    /// - Parameter make: those of prompts with different readings.
    func sources(_ make: ([OpenedPrompt]) -> [DecoderRow.Source]) -> [DecoderRow.Source] {
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
    func encoded(
        width: Int, workspace: Workspace, _ encode: (Rows, [Range<Int>]) -> Void
    ) -> [Rows] {
        let ranges = map(\.states.tokens).consecutiveRanges
        let states = workspace.rows(ranges.last?.upperBound ?? 0, width)
        for (prompt, range) in zip(self, ranges) {
            states.rows(range).copy(from: prompt.states.rows)
        }
        encode(states, ranges)
        return ranges.map(states.rows)
    }
}
