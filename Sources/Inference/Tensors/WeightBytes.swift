/// Bytes of packed weights, on a 64-byte boundary: memory of our own, or a part of a mapped file.
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

    /// Memory of our own, zeroed.
    init(count: Int) {
        let (start, owner) = WeightSlab.take(bytes: count)
        self.init(start: UnsafeRawPointer(start), count: count, owner: owner)
    }

    /// To fill bytes that are not shared yet.
    func mutable<Element>(as type: Element.Type) -> UnsafeMutablePointer<Element> {
        UnsafeMutableRawPointer(mutating: start).assumingMemoryBound(to: type)
    }

    func dropping(_ bytes: Int) -> WeightBytes {
        WeightBytes(start: start + bytes, count: count - bytes, owner: owner)
    }
}
