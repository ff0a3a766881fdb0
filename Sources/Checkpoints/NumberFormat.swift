/// The formats that weights are read in.
package enum NumberFormat: String, Sendable, CaseIterable {
    case float32 = "F32"
    /// The upper half of a Float32.
    case bfloat16 = "BF16"
    /// IEEE 754 binary16.
    case float16 = "F16"
}

/// Bits per element of every format that safetensors defines: a file may hold tensors that no
/// engine reads, and their sizes are checked like the others'.
let bitsOfFormat: [String: Int] = [
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32,
    "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I8": 8, "U8": 8, "BOOL": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
]
