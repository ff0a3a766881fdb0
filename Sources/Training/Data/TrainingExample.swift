/// One pair as token ids.
package struct TrainingExample: Sendable, Equatable {
    /// The whole prompt as the reading model takes it. Never empty.
    package let source: [Int32]
    /// The response with the end token last.
    package let target: [Int32]

    package init(source: [Int32], target: [Int32]) {
        self.source = source
        self.target = target
    }

    package var tokens: Int { source.count + target.count }
}
