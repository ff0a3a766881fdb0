package import Checkpoints

extension FloatBuffer {
    /// The floats as a tensor of a file, rounded to the nearest, ties to even.
    ///
    /// - Parameter format: float32 or bfloat16.
    package func stored(as name: String, shape: [Int], format: NumberFormat) -> TensorBytes {
        guard format == .bfloat16 else {
            return TensorBytes(
                name: name, format: NumberFormat.float32.rawValue, shape: shape,
                bytes: UnsafeRawBufferPointer(start: base, count: count * 4), owner: self)
        }
        // Each value takes half of a float.
        let halves = FloatBuffer(count: (count + 1) / 2)
        let target = UnsafeMutableRawPointer(halves.base)
        for index in 0..<count {
            let bits = base[index].bitPattern
            target.storeBytes(
                of: UInt16((bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16).littleEndian,
                toByteOffset: 2 * index, as: UInt16.self)
        }
        return TensorBytes(
            name: name, format: NumberFormat.bfloat16.rawValue, shape: shape,
            bytes: UnsafeRawBufferPointer(start: target, count: count * 2), owner: halves)
    }
}
