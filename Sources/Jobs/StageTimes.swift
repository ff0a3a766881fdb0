/// How long a document was in each stage of the engine in one attempt.
package struct StageTimes: Sendable, Equatable {
    package var tokenize = Duration.zero
    /// The wait before and after the document is tokenized, until the encoder takes it up. For a
    /// document that shares the states of another, until those states are made.
    package var batchWait = Duration.zero
    /// The time of the whole encoder batch. Each of its prompts has the same time, so divide by the
    /// size of the batch before summing. Zero if no pass of the encoder counts for the document.
    package var encode = Duration.zero
    /// From the end of encoding until a decoder takes the document up.
    package var handoff = Duration.zero
    package var decode = Duration.zero

    package init() {}

    /// The stages in the order in which a document passes them, with their names in metrics and
    /// spans.
    package var all: [(name: String, time: Duration)] {
        [
            ("tokenize", tokenize), ("batch_wait", batchWait), ("encode", encode),
            ("handoff", handoff), ("decode", decode),
        ]
    }

    package var total: Duration { all.reduce(.zero) { $0 + $1.time } }

    package static let names = StageTimes().all.map(\.name)
}
