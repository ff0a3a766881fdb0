internal import Synchronization

/// Memory for packed matrices, which lie side by side in large blocks. Most matrices alone are too
/// small for the system's huge pages. With small pages, each page of a step's weights is looked up
/// anew (t5-base in int8, 16 rows: 358 GOP/s on a core with small pages, 433 with huge ones).
enum WeightSlab {
    private struct Block {
        let memory: FloatBuffer
        /// The number of bytes that were given out.
        var used = 0
    }

    private static let blockBytes = 32 << 20
    /// The block that is being given out.
    private static let current = Mutex<Block?>(nil)

    /// Zeros on a 64-byte boundary, and what keeps them alive: the whole block.
    static func take(bytes: Int) -> (start: UnsafeMutableRawPointer, owner: FloatBuffer) {
        let size = (bytes + 63) / 64 * 64
        let block = current.withLock { current in
            if let open = current, open.used + size <= blockBytes {
                current?.used += size
                return open
            }
            // Pages that are not given out are never touched, and take no memory.
            let new = Block(memory: FloatBuffer(uninitialized: max(size, blockBytes) / 4))
            // Goes on with the block that has more room left.
            if size < current?.used ?? .max {
                current = new
                current?.used = size
            }
            return new
        }
        let start = UnsafeMutableRawPointer(block.memory.base) + block.used
        start.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        return (start, block.memory)
    }
}
