/// Scratch memory of one replica. It grows to what the largest call takes and is then reused, so
/// that a running system allocates nothing per step.
///
/// Not thread-safe: one replica, one thread at a time.
package final class Workspace {
    /// For keys and values, which outlive scopes.
    let caches = CacheMemory()
    /// The lanes that help the thread that uses the workspace; nil for none.
    package var crew: Crew?
    private var chunks: [FloatBuffer] = []
    private var chunk = 0
    private var used = 0
    /// Floats handed out since the scratch was last empty, over all chunks.
    private var demand = 0

    package init() {}

    /// Runs `body`. Everything that it takes is given back when it returns.
    package func scope<R>(_ body: () throws -> R) rethrows -> R {
        let mark = (chunk, used, demand)
        defer { release(to: mark) }
        return try body()
    }

    /// Rows with undefined contents, valid until the enclosing scope ends.
    package func rows(_ count: Int, _ width: Int) -> Rows {
        // A whole number of cache lines, so that every block starts on one.
        let size = (count * width + 15) / 16 * 16
        while chunk < chunks.count, used + size > chunks[chunk].count {
            chunk += 1
            used = 0
        }
        if chunk == chunks.count {
            chunks.append(FloatBuffer(count: max(size, 1 << 16)))
            used = 0
        }
        let base = chunks[chunk].base + used
        used += size
        demand += size
        return Rows(base: base, count: count, width: width, stride: width)
    }

    private func release(to mark: (chunk: Int, used: Int, demand: Int)) {
        if mark.demand == 0, chunks.count > 1 {
            // The next call like this one finds all it needs in one piece.
            chunks = [FloatBuffer(count: demand + demand / 8)]
        }
        (chunk, used, demand) = mark
        if demand == 0 { chunk = 0 }
    }
}
