/// Memory that the caches of finished documents leave to later ones. The system clears new memory
/// page by page, which took 7 % of a batch of 32 through t5-base in int8.
///
/// The memory in use and the memory kept are together never more than was once in use. Not
/// thread-safe, like the `Workspace` that it belongs to.
final class CacheMemory {
    private var kept: [FloatBuffer] = []
    private var usedFloats = 0
    private var mostUsed = 0

    /// A buffer of at least `count` floats and at most twice as many, with undefined contents.
    func take(_ count: Int) -> FloatBuffer {
        // The latest one is the most likely to be in the processor's caches.
        let fitting = kept.lastIndex { count...2 * count ~= $0.count }
        let buffer = fitting.map { kept.remove(at: $0) } ?? FloatBuffer(uninitialized: count)
        usedFloats += buffer.count
        mostUsed = max(mostUsed, usedFloats)
        var surplus = usedFloats + kept.reduce(0) { $0 + $1.count } - mostUsed
        while surplus > 0 { surplus -= kept.removeFirst().count }
        return buffer
    }

    func giveBack(_ buffer: FloatBuffer) {
        usedFloats -= buffer.count
        kept.append(buffer)
    }
}
