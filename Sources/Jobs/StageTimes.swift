/// How long a document was in each stage of the engine, in one attempt.
package struct StageTimes: Sendable, Equatable {
    package var tokenize = Duration.zero
    /// Waiting before and after it is tokenized, until the encoder takes it up, or until the states
    /// are there that it shares.
    package var batchWait = Duration.zero
    /// The whole encoder batch, the same for each of its prompts: divide before summing. It is zero
    /// for a document that shares the states of another, or whose states the prompt cache had.
    package var encode = Duration.zero
    /// From encoded until a decoder takes the document up.
    package var handoff = Duration.zero
    package var decode = Duration.zero

    package init() {}

    /// In the order in which a document passes the stages, by their names in metrics and spans.
    package var all: [(name: String, time: Duration)] {
        [
            ("tokenize", tokenize), ("batch_wait", batchWait), ("encode", encode),
            ("handoff", handoff), ("decode", decode),
        ]
    }

    package var total: Duration { all.reduce(.zero) { $0 + $1.time } }

    package static let names = StageTimes().all.map(\.name)
}
