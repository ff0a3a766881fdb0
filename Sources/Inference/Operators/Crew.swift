internal import CKernels
internal import Synchronization

/// A lane and the idle lanes that help it. In a round, each of them takes pieces of one of the
/// lane's products or attentions.
///
/// A piece is whole rows or whole columns of a result, so it has the same bits whoever computes it.
///
/// `@unchecked Sendable`: the owner alone writes `count` and `body`, while no round is open and no
/// helper is working.
package final class Crew: @unchecked Sendable {
    /// The number of the round. It is odd while the round is open, so that pieces may be taken.
    private let round = Atomic<Int>(0)
    /// The next piece of the round.
    private let next = Atomic<Int>(0)
    /// The number of helpers that may be computing a piece.
    private let working = Atomic<Int>(0)
    /// The number of helpers, working or waiting.
    private let standing = Atomic<Int>(0)
    private var count = 0
    private var body: ((_ piece: Int, _ workspace: Workspace) -> Void)?
    /// Products of fewer multiplications are not shared.
    let smallestShared: Int

    /// - Parameter smallestShared: the fewest multiplications of a product that is worth sharing.
    ///   The default takes a core about 5 µs.
    package init(smallestShared: Int = 1 << 18) { self.smallestShared = smallestShared }

    /// Threads among which a round is shared, its owner's included.
    var members: Int { standing.load(ordering: .relaxed) + 1 }

    /// Computes all pieces, and returns when the last one is done. Called by the owner's thread
    /// alone.
    ///
    /// - Parameter body: computes a piece, on any thread, with that thread's workspace.
    func share(
        _ count: Int, workspace: Workspace,
        _ body: (_ piece: Int, _ workspace: Workspace) -> Void
    ) {
        // There is no round within a round.
        workspace.crew = nil
        defer { workspace.crew = self }
        withoutActuallyEscaping(body) { body in
            self.count = count
            self.body = body
            next.store(0, ordering: .relaxed)
            round.add(1, ordering: .sequentiallyConsistent)
            takePieces(workspace)
            // A helper first counts itself as working, and then checks that the round is still
            // open. So either it sees that the round is over, or this loop waits for it.
            round.add(1, ordering: .sequentiallyConsistent)
            var spins = 0
            while working.load(ordering: .sequentiallyConsistent) > 0 { Self.pause(&spins) }
            self.body = nil
        }
    }

    /// Takes pieces of one round after another.
    ///
    /// - Parameter isOver: is asked before each look for a piece; the call returns when it is true.
    package func help(with workspace: Workspace, until isOver: () -> Bool) {
        standing.add(1, ordering: .relaxed)
        defer { standing.subtract(1, ordering: .relaxed) }
        var last = 0
        var spins = 0
        while !isOver() {
            let current = round.load(ordering: .relaxed)
            guard current % 2 == 1, current != last else {
                Self.pause(&spins)
                continue
            }
            working.add(1, ordering: .sequentiallyConsistent)
            if round.load(ordering: .sequentiallyConsistent) == current {
                takePieces(workspace)
                last = current
            }
            working.subtract(1, ordering: .releasing)
            spins = 0
        }
    }

    private func takePieces(_ workspace: Workspace) {
        guard let body else { return }
        while true {
            let piece = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard piece < count else { return }
            body(piece, workspace)
        }
    }

    /// Waits for about ten nanoseconds. Now and then it lets other threads of the machine run
    /// first, because one of them may be the one that is waited for.
    private static func pause(_ spins: inout Int) {
        spins += 1
        l2s_pause(spins % 1_024 == 0 ? 1 : 0)
    }
}

extension Workspace {
    /// Computes all pieces, some of them on lanes that help this one.
    ///
    /// - Parameter body: computes a piece, on any thread, with the workspace that it is given.
    func share(_ pieces: Int, _ body: (_ piece: Int, _ workspace: Workspace) -> Void) {
        if let crew, pieces > 1, crew.members > 1 {
            crew.share(pieces, workspace: self, body)
        } else {
            for piece in 0..<pieces { body(piece, self) }
        }
    }

    /// The number of threads that share the work of this one, itself included.
    var members: Int { crew?.members ?? 1 }

    /// Computes rows in blocks. A block has as many rows as keep a layer's inner activations in the
    /// cache, and fewer where lanes help. No block is small, because each one waits for its first
    /// weights from memory.
    ///
    /// - Parameter body: computes a block, on any thread, with the workspace that it is given.
    func blocks(of rows: Int, _ body: (_ block: Range<Int>, _ workspace: Workspace) -> Void) {
        guard rows > 0 else { return }
        let height = min(256, hasEnough(rows) ? (rows + members - 1) / members : rows)
        let count = max(1, (rows + height / 2) / height)
        share(count) { body(rows.part($0, of: count), $1) }
    }

    /// Whether so many rows are enough for all members: in equal parts, a row then takes about as
    /// long as in one piece.
    func hasEnough(_ rows: Int) -> Bool { rows >= 24 * members }
}

extension Int {
    /// One of `count` about equal parts of the range 0 ..< self. The bounds between parts are
    /// multiples of `unit`.
    func part(_ index: Int, of count: Int, unit: Int = 1) -> Range<Int> {
        let units = (self + unit - 1) / unit
        let bounds = (index * units / count, (index + 1) * units / count)
        return Swift.min(bounds.0 * unit, self)..<Swift.min(bounds.1 * unit, self)
    }
}
