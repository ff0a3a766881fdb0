/// The formats that weights are read in.
package enum NumberFormat: String, Sendable, CaseIterable {
    case float32 = "F32"
    /// The upper half of a Float32.
    case bfloat16 = "BF16"
    /// IEEE 754 binary16.
    case float16 = "F16"

    // The block formats of GGML: neighbours in a row share a scale, and some an offset too.
    case q8_0 = "Q8_0"
    case q4_0 = "Q4_0"
    case q4_1 = "Q4_1"
    case q5_0 = "Q5_0"
    case q5_1 = "Q5_1"
    case q4_K = "Q4_K"
    case q5_K = "Q5_K"
    case q6_K = "Q6_K"
}

extension NumberFormat {
    /// How many elements a block holds, and in how many bytes. Formats without blocks have one
    /// element a block.
    package var block: (elements: Int, bytes: Int) {
        switch self {
        case .float32: (1, 4)
        case .bfloat16, .float16: (1, 2)
        case .q8_0: (32, 34)
        case .q4_0: (32, 18)
        case .q4_1: (32, 20)
        case .q5_0: (32, 22)
        case .q5_1: (32, 24)
        case .q4_K: (256, 144)
        case .q5_K: (256, 176)
        case .q6_K: (256, 210)
        }
    }

    package var hasBlocks: Bool { block.elements > 1 }

    /// The bytes that this many elements take. Nil where they do not fill whole blocks, or where
    /// the number does not fit an `Int`.
    func bytes(of elements: Int) -> Int? {
        let block = block
        guard elements % block.elements == 0 else { return nil }
        let (bytes, overflow) = (elements / block.elements)
            .multipliedReportingOverflow(by: block.bytes)
        return overflow ? nil : bytes
    }
}

/// Bits per element of every format that safetensors defines: a file may hold tensors that no
/// engine reads, and their sizes are checked like the others'.
let bitsOfFormat: [String: Int] = [
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32,
    "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I8": 8, "U8": 8, "BOOL": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
]
