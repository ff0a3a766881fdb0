internal import CKernels
internal import Checkpoints

/// A packed matrix in a file: `NAME/panels`, for int8 and int4 also `NAME/scales`, for int8 `NAME/sums`,
/// for int4 `NAME/lows`, unless they are −8 times the scales.
extension PackedMatrix {
    private static func panelsName(_ name: String) -> String { name + "/panels" }
    private static func scalesName(_ name: String) -> String { name + "/scales" }
    private static func sumsName(_ name: String) -> String { name + "/sums" }
    private static func lowsName(_ name: String) -> String { name + "/lows" }

    /// The name that safetensors has for the type of the panels' elements.
    private static func elementName(_ format: WeightFormat) -> String {
        switch format {
        case .float32: "F32"
        case .bfloat16: "BF16"
        case .int8: "I8"
        case .int4: "U8"
        }
    }

    /// The shape of the panels: [panels, inner, 32] for float32, [panels, inner / 2, 32, 2] for
    /// bfloat16, [panels, inner / 4, 32, 4] for int8, [panels, inner / 8, 32, 4] for int4.
    private static func panelShape(inner: Int, columns: Int, format: WeightFormat) -> [Int] {
        let panels = (columns + panelWidth - 1) / panelWidth
        return switch format {
        case .float32: [panels, inner, panelWidth]
        case .bfloat16: [panels, (inner + 1) / 2, panelWidth, 2]
        case .int8: [panels, (inner + 3) / 4, panelWidth, 4]
        case .int4: [panels, groups(inner) * groupLength / 8, panelWidth, 4]
        }
    }

    /// The element of the scales, and [columns], for int4 [panels, groups, 32]. Sums and low ends are
    /// as many.
    private static func scaleShape(
        inner: Int, columns: Int, format: WeightFormat
    ) -> (element: String, shape: [Int]) {
        let panels = (columns + panelWidth - 1) / panelWidth
        return format == .int4
            ? ("F16", [panels, groups(inner), panelWidth]) : ("F32", [panels * panelWidth])
    }

    /// The parts to write. Each is a multiple of 64 bytes long.
    func stored(as name: String) -> [TensorBytes] {
        var parts = [
            panels.stored(
                as: Self.panelsName(name), format: Self.elementName(format),
                shape: Self.panelShape(inner: inner, columns: columns, format: format))
        ]
        let (element, shape) = Self.scaleShape(inner: inner, columns: columns, format: format)
        for (part, name) in [
            (scales, Self.scalesName(name)), (sums, Self.sumsName(name)),
            (lows, Self.lowsName(name)),
        ] {
            if let part { parts.append(part.stored(as: name, format: element, shape: shape)) }
        }
        return parts
    }

    /// Takes a matrix from a mapped file, which is not trusted.
    ///
    /// - Parameter fail: makes an error of the name of a part, what was expected and what was
    ///   found.
    /// - Throws: what `fail` makes; `CheckpointError` for a missing tensor.
    /// - Precondition: `inner` and `columns` are at most 2²⁸.
    init(
        stored name: String, inner: Int, columns: Int, format: WeightFormat,
        in weights: WeightFile, fail: (String, String, String) -> PackingError
    ) throws {
        let size = Self.size(inner: inner, columns: columns, format: format)
        func part(
            _ what: String, _ name: String, _ element: String, _ shape: [Int], _ count: Int
        ) throws -> WeightBytes {
            let tensor = try weights.bytes(of: name)
            guard tensor.format == element, tensor.shape == shape, tensor.bytes.count == count,
                let start = tensor.bytes.baseAddress
            else { throw fail(what, "\(element) \(shape)", "\(tensor.format) \(tensor.shape)") }
            // Kernels load whole vectors.
            guard UInt(bitPattern: start) % 64 == 0 else {
                throw fail(what, "at a multiple of 64 bytes", "another place")
            }
            return WeightBytes(start: start, count: count, owner: tensor.owner)
        }
        let (element, shape) = Self.scaleShape(inner: inner, columns: columns, format: format)
        func numbers<Number: BinaryFloatingPoint>(
            _ type: Number.Type, _ what: String, _ name: String, atLeast least: Number
        ) throws -> WeightBytes {
            let bytes = try part(what, name, element, shape, size.scales)
            let numbers = bytes.start.assumingMemoryBound(to: Number.self)
            for index in 0..<size.scales / MemoryLayout<Number>.stride
            where !numbers[index].isFinite || numbers[index] < least {
                throw fail(what, "finite numbers of at least \(least)", "\(numbers[index])")
            }
            return bytes
        }
        let panels = try part(
            "the panels", Self.panelsName(name), Self.elementName(format),
            Self.panelShape(inner: inner, columns: columns, format: format), size.panels)
        var scales: WeightBytes?
        var sums: WeightBytes?
        var lows: WeightBytes?
        switch format {
        case .float32, .bfloat16: break
        case .int8:
            scales = try numbers(Float.self, "the scales", Self.scalesName(name), atLeast: 0)
            sums = try numbers(
                Float.self, "the sums", Self.sumsName(name), atLeast: -127 * Float(inner))
        case .int4:
            let least = -Float16.greatestFiniteMagnitude
            scales = try numbers(
                Float16.self, "the scales", Self.scalesName(name), atLeast: least)
            if weights.contains(Self.lowsName(name)) {
                lows = try numbers(
                    Float16.self, "the low ends", Self.lowsName(name), atLeast: least)
            }
        }
        self.init(
            inner: inner, columns: columns, format: format, panels: panels, scales: scales,
            sums: sums, lows: lows)
    }
}

extension WeightBytes {
    fileprivate func stored(as name: String, format: String, shape: [Int]) -> TensorBytes {
        TensorBytes(
            name: name, format: format, shape: shape,
            bytes: UnsafeRawBufferPointer(start: start, count: count), owner: owner)
    }
}
