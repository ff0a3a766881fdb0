internal import Inference
internal import Synchronization

/// What the cache of prompts did and holds.
package struct PromptCacheStatistics: Sendable, Equatable {
    package var hits = 0
    package var misses = 0
    package var entries = 0
    package var bytes = 0
}

/// The states of prompts that were read lately. A prompt that comes again goes to its decoder
/// without another reading. All lanes share the cache.
final class PromptCache: Sendable {
    private struct Key: Hashable {
        let prompt: Prompt
        /// Index in the library of the projector that made the states.
        let projector: Int
    }

    private struct State {
        var entries: LeastRecentlyUsed<Key, PromptStates>
        var hits = 0
        var misses = 0
    }

    private let state: Mutex<State>
    private let isOn: Bool

    /// - Parameter byteLimit: for states and tokens together; 0 for no cache.
    init(byteLimit: Int) {
        isOn = byteLimit > 0
        state = Mutex(State(entries: LeastRecentlyUsed(costLimit: byteLimit)))
    }

    /// Gives each reading the cached states of its prompt, for the projectors that it needs.
    func fill(_ readings: inout [Reading]) {
        guard isOn else { return }
        state.withLock { state in
            for index in readings.indices {
                for projector in readings[index].missingProjectors {
                    let key = Key(prompt: readings[index].prompt, projector: projector)
                    if let states = state.entries.use(key) {
                        state.hits += 1
                        readings[index].learn([states], of: [projector])
                    } else {
                        state.misses += 1
                    }
                }
            }
        }
    }

    /// Keeps the states that the projectors made of a prompt.
    func insert(_ states: [PromptStates], of projectors: [Int], prompt: Prompt) {
        guard isOn else { return }
        let tokenBytes = prompt.tokens.count * MemoryLayout<Int32>.stride
        state.withLock { state in
            for (projector, states) in zip(projectors, states) {
                state.entries.insert(
                    states, for: Key(prompt: prompt, projector: projector),
                    cost: states.byteCount + tokenBytes)
            }
        }
    }

    var statistics: PromptCacheStatistics {
        state.withLock { state in
            PromptCacheStatistics(
                hits: state.hits, misses: state.misses, entries: state.entries.count,
                bytes: state.entries.cost)
        }
    }
}
