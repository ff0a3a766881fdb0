/// The block formats of GGML, expanded to Float32 in the order of operations of its reference
/// code, so that the results have the same bits.
/// Source: https://github.com/ggml-org/ggml, src/ggml-quants.c, `dequantize_row_…`.
extension NumberFormat {
    /// Expands whole blocks.
    ///
    /// - Precondition: `source` holds `blocks` blocks, and `target` has room for their elements.
    func expand(
        _ source: UnsafeRawPointer, blocks: Int, into target: UnsafeMutablePointer<Float>
    ) {
        let (elements, bytes) = block
        for index in 0..<blocks {
            let block = Block(start: source + index * bytes)
            let target = target + index * elements
            switch self {
            case .float32: target[0] = block.start.loadUnaligned(as: Float.self)
            case .bfloat16: target[0] = Float(bitPattern: UInt32(block.word(0)) << 16)
            case .float16: target[0] = block.half(0)
            case .q8_0: block.expandQ8_0(into: target)
            case .q4_0: block.expandQ4(into: target, at: 2, scale: block.half(0), centre: 8)
            case .q4_1:
                block.expandQ4(into: target, at: 4, scale: block.half(0), low: block.half(2))
            case .q5_0: block.expandQ5_0(into: target)
            case .q5_1: block.expandQ5_1(into: target)
            case .q4_K: block.expandQ4_K(into: target)
            case .q5_K: block.expandQ5_K(into: target)
            case .q6_K: block.expandQ6_K(into: target)
            }
        }
    }
}

/// The bytes of one block.
private struct Block {
    let start: UnsafeRawPointer

    @inline(__always)
    func byte(_ offset: Int) -> UInt8 { start.load(fromByteOffset: offset, as: UInt8.self) }

    @inline(__always)
    func word(_ offset: Int) -> UInt16 {
        UInt16(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    @inline(__always)
    func half(_ offset: Int) -> Float { Float(Float16(bitPattern: word(offset))) }

    @inline(__always)
    func bits(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
}

/// Blocks of 32. The low halves of the bytes are the first 16 elements, the high halves the others.
extension Block {
    @inline(__always)
    func expandQ8_0(into target: UnsafeMutablePointer<Float>) {
        let scale = half(0)
        for index in 0..<32 {
            target[index] = Float(Int8(bitPattern: byte(2 + index))) * scale
        }
    }

    @inline(__always)
    func expandQ4(
        into target: UnsafeMutablePointer<Float>, at offset: Int, scale: Float, centre: Int32
    ) {
        for index in 0..<16 {
            let both = byte(offset + index)
            target[index] = scale * Float(Int32(both & 15) - centre)
            target[index + 16] = scale * Float(Int32(both >> 4) - centre)
        }
    }

    @inline(__always)
    func expandQ4(
        into target: UnsafeMutablePointer<Float>, at offset: Int, scale: Float, low: Float
    ) {
        for index in 0..<16 {
            let both = byte(offset + index)
            target[index] = scale * Float(Int32(both & 15)) + low
            target[index + 16] = scale * Float(Int32(both >> 4)) + low
        }
    }

    /// The fifth bits of all 32 elements lie together.
    @inline(__always)
    func expandQ5_0(into target: UnsafeMutablePointer<Float>) {
        let (scale, fifth) = (half(0), bits(2))
        for index in 0..<16 {
            let both = UInt32(byte(6 + index))
            let first = (both & 15) | ((fifth >> UInt32(index)) & 1) << 4
            let second = (both >> 4) | ((fifth >> UInt32(index + 16)) & 1) << 4
            target[index] = scale * Float(Int32(first) - 16)
            target[index + 16] = scale * Float(Int32(second) - 16)
        }
    }

    @inline(__always)
    func expandQ5_1(into target: UnsafeMutablePointer<Float>) {
        let (scale, low, fifth) = (half(0), half(2), bits(4))
        for index in 0..<16 {
            let both = UInt32(byte(8 + index))
            let first = (both & 15) | ((fifth >> UInt32(index)) & 1) << 4
            let second = (both >> 4) | ((fifth >> UInt32(index + 16)) & 1) << 4
            target[index] = scale * Float(Int32(first)) + low
            target[index + 16] = scale * Float(Int32(second)) + low
        }
    }
}

/// Blocks of 256: eight or sixteen runs with scales of their own, which are scaled once more.
extension Block {
    /// The scale and the offset of one of eight runs, six bits each, packed into twelve bytes.
    @inline(__always)
    func scaleAndLow(_ run: Int, at offset: Int) -> (scale: Float, low: Float) {
        let (first, second) = (byte(offset + run % 4), byte(offset + 4 + run % 4))
        guard run >= 4 else { return (Float(first & 63), Float(second & 63)) }
        let last = byte(offset + 8 + run % 4)
        return (
            Float((last & 15) | (first >> 2) & 0x30), Float((last >> 4) | (second >> 2) & 0x30)
        )
    }

    /// Eight runs of 32 values, each with a scale and an offset.
    @inline(__always)
    private func expandRuns(
        into target: UnsafeMutablePointer<Float>, value: (_ run: Int, _ index: Int) -> UInt8
    ) {
        let (all, allLow) = (half(0), half(2))
        for run in 0..<8 {
            let (scale, low) = scaleAndLow(run, at: 4)
            let (d, m) = (all * scale, allLow * low)
            for index in 0..<32 {
                target[32 * run + index] = d * Float(Int32(value(run, index))) - m
            }
        }
    }

    @inline(__always)
    func expandQ4_K(into target: UnsafeMutablePointer<Float>) {
        expandRuns(into: target) { run, index in
            (byte(16 + 32 * (run / 2) + index) >> UInt8(4 * (run % 2))) & 15
        }
    }

    @inline(__always)
    func expandQ5_K(into target: UnsafeMutablePointer<Float>) {
        expandRuns(into: target) { run, index in
            let four = (byte(48 + 32 * (run / 2) + index) >> UInt8(4 * (run % 2))) & 15
            return four | ((byte(16 + index) >> UInt8(run)) & 1) << 4
        }
    }

    @inline(__always)
    func expandQ6_K(into target: UnsafeMutablePointer<Float>) {
        let all = half(208)
        for run in 0..<8 {
            // Four runs of 32 share 64 bytes of low bits and 32 bytes of high ones.
            let (part, quarter) = (run / 4, run % 4)
            let lows = 64 * part + 32 * (quarter % 2)
            let (lowShift, highShift) = (UInt8(4 * (quarter / 2)), UInt8(2 * quarter))
            for index in 0..<32 {
                let scale = Int8(bitPattern: byte(192 + 2 * run + index / 16))
                let low = (byte(lows + index) >> lowShift) & 15
                let high = (byte(128 + 32 * part + index) >> highShift) & 3
                let value = Int32(low | high << 4) - 32
                target[32 * run + index] = all * Float(scale) * Float(value)
            }
        }
    }
}
