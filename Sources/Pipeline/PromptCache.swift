internal import Inference
internal import Synchronization

/// What the cache of prompts did and holds.
package struct PromptCacheStatistics: Sendable, Equatable {
    package var hits = 0
    package var misses = 0
    package var entries = 0
    package var bytes = 0
}

/// The states of prompts that were read lately: a prompt seen again goes to its decoder without
/// being read again. Shared by all lanes.
///
/// Of equal prompts in flight at the same time each may be read.
final class PromptCache: Sendable {
    /// Compared whole, so that no two prompts are ever taken for each other.
    struct Key: Hashable, Sendable {
        /// With the decoder, for its projector: states are the encoder's after the projector.
        let encoder: Int
        let decoder: Int
        /// How many projectors: the encoder's states may be kept beside the decoder's.
        let kinds: Int
        let tokens: [Int32]
    }

    private struct State {
        var entries: LeastRecentlyUsed<Key, [PromptStates]>
        var hits = 0
        var misses = 0
    }

    private let state: Mutex<State>
    private let isOn: Bool

    /// - Parameter byteLimit: of states and tokens together; 0 for no cache.
    init(byteLimit: Int) {
        isOn = byteLimit > 0
        state = Mutex(State(entries: LeastRecentlyUsed(costLimit: byteLimit)))
    }

    /// Found states, or nil, per key.
    func find(_ keys: [Key]) -> [[PromptStates]?] {
        guard isOn else { return keys.map { _ in nil } }
        return state.withLock { state in
            keys.map { key in
                let found = state.entries.use(key)
                if found == nil { state.misses += 1 } else { state.hits += 1 }
                return found
            }
        }
    }

    func insert(_ read: [(key: Key, states: [PromptStates])]) {
        guard isOn else { return }
        state.withLock { state in
            for (key, states) in read {
                let tokenBytes = key.tokens.count * MemoryLayout<Int32>.stride
                let stateBytes = states.reduce(0) { $0 + $1.byteCount }
                state.entries.insert(states, for: key, cost: stateBytes + tokenBytes)
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
