internal import Synchronization

/// Wakes one waiting task. Rung while nobody waits, it ends the next wait at once.
final class Bell: Sendable {
    private enum State {
        case silent
        case rung
        case rungForGood
        case awaited(CheckedContinuation<Void, Never>)
    }

    private let state = Mutex(State.silent)

    func ring() { change(to: .rung) }

    /// Ends every wait from now on.
    func ringForGood() { change(to: .rungForGood) }

    /// Also ends when the task is cancelled. Not for two tasks at a time.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    switch state {
                    case .rungForGood: return true
                    case .rung:
                        state = .silent
                        return true
                    case .silent, .awaited:
                        state = .awaited(continuation)
                        return false
                    }
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            ring()
        }
    }

    /// Waits no longer than until `deadline`.
    func wait(until deadline: ContinuousClock.Instant?, _ time: TimeSource) async {
        guard let deadline else { return await wait() }
        await withTaskGroup { group in
            group.addTask { await self.wait() }
            group.addTask { try? await time.pause(deadline) }
            await group.next()
            group.cancelAll()
        }
    }

    private func change(to new: State) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            switch state {
            case .rungForGood: return nil
            case .silent, .rung:
                state = new
                return nil
            case .awaited(let waiter):
                if case .rungForGood = new { state = new } else { state = .silent }
                return waiter
            }
        }
        waiter?.resume()
    }
}
