internal import Synchronization

/// Tokens that many prompts begin with. They are read once for all prompts, because a causal
/// model's keys, values and states of these tokens do not depend on what follows.
final class SharedBeginnings: Sendable {
    /// What reading a beginning left. It is not written to any more.
    struct Reading: Sendable {
        let tokens: [Int32]
        /// Keys and values of every layer.
        let cache: KeyValueCache
        /// The states after every layer, without the final norm: [tokens, width] each.
        let states: [FloatBuffer]
    }

    private struct State {
        /// Longest first.
        var known: [[Int32]] = []
        var read: [[Int32]: Reading] = [:]
    }

    private let state = Mutex(State())

    /// Shorter ones are not worth a copy.
    private static let fewest = 4

    func add(_ tokens: [Int32]) {
        guard tokens.count >= Self.fewest else { return }
        state.withLock { state in
            guard !state.known.contains(tokens) else { return }
            state.known.append(tokens)
            state.known.sort { $0.count > $1.count }
        }
    }

    /// The longest known beginning that is shorter than the prompt; nil for none.
    ///
    /// - Parameter read: is called once for each beginning, while other threads wait for it.
    func find(for prompt: [Int32], read: ([Int32]) -> Reading) -> Reading? {
        state.withLock { state in
            let beginning = state.known.first {
                $0.count < prompt.count && prompt.starts(with: $0)
            }
            guard let beginning else { return nil }
            if let known = state.read[beginning] { return known }
            let reading = read(beginning)
            state.read[beginning] = reading
            return reading
        }
    }
}
