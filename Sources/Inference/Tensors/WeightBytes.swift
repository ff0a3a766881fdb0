/// Bytes of packed weights, on a 64-byte boundary: memory of the process, or a part of a mapped
/// file.
struct WeightBytes: @unchecked Sendable {
    // Unchecked because of the raw pointer: the bytes are written before the value is first
    // shared, and `owner` keeps them alive.
    let start: UnsafeRawPointer
    let count: Int
    let owner: AnyObject

    /// - Precondition: `owner` keeps the bytes alive and unchanged.
    init(start: UnsafeRawPointer, count: Int, owner: AnyObject) {
        self.start = start
        self.count = count
        self.owner = owner
    }

    /// New memory, zeroed.
    init(count: Int) {
        let (start, owner) = WeightSlab.take(bytes: count)
        self.init(start: UnsafeRawPointer(start), count: count, owner: owner)
    }

    /// The bytes for writing, which is allowed until they are shared.
    func mutable<Element>(as type: Element.Type) -> UnsafeMutablePointer<Element> {
        UnsafeMutableRawPointer(mutating: start).assumingMemoryBound(to: type)
    }

    func dropping(_ bytes: Int) -> WeightBytes {
        WeightBytes(start: start + bytes, count: count - bytes, owner: owner)
    }
}
