/// One pair as token ids.
package struct TrainingExample: Sendable, Equatable {
    /// The whole prompt as the reading model takes it. Never empty.
    package let source: [Int32]
    /// What the decoder is given before it writes; often empty.
    package let cue: [Int32]
    /// The response with the end token last.
    package let target: [Int32]
    /// The number of its task in the recipe.
    package let task: Int

    package init(source: [Int32], cue: [Int32] = [], target: [Int32], task: Int = 0) {
        self.source = source
        self.cue = cue
        self.target = target
        self.task = task
    }

    package var tokens: Int { source.count + cue.count + target.count }
}
