internal import Synchronization

/// Memory for packed matrices, side by side in large blocks: alone, most are too small for the
/// system's huge pages, and with small ones each page of a step's weights is looked up anew
/// (t5-base in int8, 16 rows: 358 GOP/s on a core with small pages, 433 with huge ones).
enum WeightSlab {
    private struct Block {
        let memory: FloatBuffer
        /// Bytes given out.
        var used = 0
    }

    private static let blockBytes = 32 << 20
    /// What was begun last.
    private static let current = Mutex<Block?>(nil)

    /// Zeros on a 64-byte boundary, and what keeps them alive: the whole block.
    static func take(bytes: Int) -> (start: UnsafeMutableRawPointer, owner: FloatBuffer) {
        let size = (bytes + 63) / 64 * 64
        let block = current.withLock { current in
            if let open = current, open.used + size <= blockBytes {
                current?.used += size
                return open
            }
            // What is not given out is never touched, and takes no memory.
            let new = Block(memory: FloatBuffer(uninitialized: max(size, blockBytes) / 4))
            // The one with more room left is the one to go on with.
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
