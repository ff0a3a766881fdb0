internal import Synchronization

/// Wakes one waiting task. A signal that is fired while nobody waits ends the next wait at once.
final class Signal: Sendable {
    private enum State {
        case idle
        case fired
        case firedForGood
        case awaited(CheckedContinuation<Void, Never>)
    }

    private let state = Mutex(State.idle)

    func fire() { change(to: .fired) }

    /// Ends every wait from now on.
    func fireForGood() { change(to: .firedForGood) }

    /// Waits until the signal is fired or the task is cancelled. Only one task may wait at a time.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    switch state {
                    case .firedForGood: return true
                    case .fired:
                        state = .idle
                        return true
                    case .idle, .awaited:
                        state = .awaited(continuation)
                        return false
                    }
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            fire()
        }
    }

    /// Waits as `wait` does, but only until `deadline`.
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
            case .firedForGood: return nil
            case .idle, .fired:
                state = new
                return nil
            case .awaited(let waiter):
                if case .firedForGood = new { state = new } else { state = .idle }
                return waiter
            }
        }
        waiter?.resume()
    }
}
