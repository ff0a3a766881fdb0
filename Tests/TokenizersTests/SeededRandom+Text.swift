import TestSupport

extension SeededRandom {
    /// Any Unicode: half ASCII, control characters and unassigned ones included.
    mutating func text(scalars count: Int) -> String {
        var text = ""
        while text.unicodeScalars.count < count {
            let value = UInt32(next() % (next() % 2 == 0 ? 0x80 : 0x11_0000))
            if let scalar = Unicode.Scalar(value) { text.unicodeScalars.append(scalar) }
        }
        return text
    }
}
