import Checkpoints
import TestSupport
import Testing

@Suite struct StoredTensorTests {
    private let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    private func open(_ tensors: [SafetensorsBuilder.Tensor]) throws -> WeightFile {
        try WeightFile(path: folder.write("x.safetensors", SafetensorsBuilder.file(tensors)))
    }

    private func floats(_ tensor: StoredTensor) -> [Float] {
        var floats = [Float](repeating: .nan, count: tensor.count)
        floats.withUnsafeMutableBufferPointer { tensor.read(into: $0) }
        return floats
    }

    private func bytes(_ values: [UInt16]) -> [UInt8] {
        values.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    }

    /// All 65,536 values, bit for bit, against arithmetic on the parts of the number.
    @Test func float16IsExact() throws {
        let all = Array(UInt16.min...UInt16.max)
        let tensor = try open([
            .init(name: "h", format: "F16", shape: [256, 256], bytes: bytes(all))
        ]).tensor("h", shape: [256, nil])
        for (half, float) in zip(all, floats(tensor)) {
            let sign: FloatingPointSign = half >> 15 == 0 ? .plus : .minus
            let (exponent, fraction) = (Int(half >> 10) & 31, Float(half & 0x3FF) / 1_024)
            let expected: Float =
                switch exponent {
                case 0: Float(sign: sign, exponent: -14, significand: fraction)
                case 31:
                    fraction == 0 ? Float(sign: sign, exponent: 0, significand: .infinity) : .nan
                default: Float(sign: sign, exponent: exponent - 15, significand: 1 + fraction)
                }
            let agrees =
                expected.isNaN ? float.isNaN : float.bitPattern == expected.bitPattern
            #expect(agrees, "0x\(String(half, radix: 16)): \(float), expected \(expected)")
        }
    }

    @Test func bfloat16IsExact() throws {
        let all = Array(UInt16.min...UInt16.max)
        let tensor = try open([.init(name: "b", format: "BF16", shape: [65_536], bytes: bytes(all))]
        )
        .tensor("b")
        #expect(floats(tensor).map(\.bitPattern) == all.map { UInt32($0) << 16 })
    }

    /// Values of every kind, at a position that is not aligned.
    @Test func float32IsCopied() throws {
        let values: [Float] = [
            0, -0.0, 1, -1, .infinity, -.infinity, .nan, .leastNonzeroMagnitude,
            .leastNormalMagnitude, .greatestFiniteMagnitude, .pi,
        ]
        let raw = values.flatMap { value in
            (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
        }
        for padding in 0..<4 {
            let tensor = try open([
                .init(
                    name: "p", format: "U8", shape: [padding],
                    bytes: .init(repeating: 0, count: padding)),
                .init(name: "f", format: "F32", shape: [11], bytes: raw),
            ]).tensor("f")
            #expect(floats(tensor).map(\.bitPattern) == values.map(\.bitPattern))
            tensor.withMappedFloats { lent in
                if let lent { #expect(lent.map(\.bitPattern) == values.map(\.bitPattern)) }
            }
        }
    }

    @Test func lendsAlignedFloat32Only() throws {
        // Four paddings meet all four alignments, so exactly one of them is lent.
        var lent = 0
        for padding in 0..<4 {
            let tensor = try open([
                .init(
                    name: "p", format: "U8", shape: [padding],
                    bytes: .init(repeating: 0, count: padding)),
                .init(name: "f", format: "F32", shape: [1], bytes: [0, 0, 128, 63]),
            ]).tensor("f")
            lent += tensor.withMappedFloats { $0?.first == 1 ? 1 : 0 }
        }
        #expect(lent == 1)
        let half = try open([.init(name: "h", format: "F16", shape: [2], bytes: [0, 0, 0, 0])])
        #expect(try half.tensor("h").withMappedFloats { $0 == nil })
    }

    @Test func outlivesItsFile() throws {
        var weights: WeightFile? = try open([
            .init(name: "f", format: "F32", shape: [1], bytes: [0, 0, 128, 63])
        ])
        let tensor = try weights?.tensor("f")
        weights = nil
        #expect(tensor.map(floats) == [1])
    }

    @Test func emptyAndScalarShapes() throws {
        let weights = try open([
            .init(name: "empty", format: "F32", shape: [3, 0], bytes: []),
            .init(name: "scalar", format: "BF16", shape: [], bytes: [128, 63]),
        ])
        #expect(floats(try weights.tensor("empty", shape: [nil, 0])) == [])
        #expect(floats(try weights.tensor("scalar", shape: [])) == [1])
    }

    @Test func missingAndMisshapen() throws {
        let weights = try open([
            .init(
                name: "decoder.block.0.wi_0.weight", format: "F16", shape: [1, 2],
                bytes: [0, 0, 0, 0]),
            .init(name: "other", format: "F64", shape: [1], bytes: .init(repeating: 0, count: 8)),
        ])
        #expect(weights.names == ["decoder.block.0.wi_0.weight", "other"])
        #expect(
            problem { _ = try weights.tensor("decoder.block.0.wi.weight") }
                == .missingTensor(
                    name: "decoder.block.0.wi.weight", nearest: ["decoder.block.0.wi_0.weight"]))
        #expect(
            problem { _ = try weights.tensor("other") }
                == .unreadableFormat(name: "other", found: "F64"))
        for shape in [[2, 1], [2], [], [1, 2, 1], [nil, 3]] as [[Int?]] {
            #expect(
                problem { _ = try weights.tensor("decoder.block.0.wi_0.weight", shape: shape) }
                    == .wrongShape(
                        name: "decoder.block.0.wi_0.weight", expected: shape, found: [1, 2]))
        }
    }

    @Test func messagesAreOneReadableLine() throws {
        let weights = try open([
            .init(name: "a.weight", format: "F16", shape: [1, 2], bytes: [0, 0, 0, 0])
        ])
        func message(_ name: String, _ shape: [Int?]) -> String {
            do {
                _ = try weights.tensor(name, shape: shape)
                return ""
            } catch { return "\(error)" }
        }
        #expect(
            message("a.weight", [nil, 3])
                == "\(weights.path): expected tensor \"a.weight\" to be of shape [any, 3], got [1, 2]"
        )
        let long = message("\n" + String(repeating: "x", count: 10_000), [])
        #expect(long.utf8.count < 400 && !long.contains("\n"))
    }
}
