/// What caches of finished documents leave to later ones: new memory is cleared by the system page
/// by page, which took 7 % of a batch of 32 through t5-base in int8.
///
/// In use and kept together are never more than was once in use. Not thread-safe, like the
/// `Workspace` that it belongs to.
final class CacheMemory {
    private var kept: [FloatBuffer] = []
    private var usedFloats = 0
    private var mostUsed = 0

    /// At least `count` floats, at most twice as many, of undefined contents.
    func take(_ count: Int) -> FloatBuffer {
        // The latest, which is the likeliest to be in the processor's caches still.
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
