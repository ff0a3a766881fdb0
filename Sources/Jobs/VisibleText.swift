extension StringProtocol {
    /// Whether it holds anything but white space and control characters. `l2s.has_text` has the
    /// same meaning of "empty".
    package var hasText: Bool { unicodeScalars.contains(where: \.isVisible) }
}

extension Unicode.Scalar {
    /// Neither white space nor a control or format character.
    package var isVisible: Bool {
        switch value {
        case 0...0x20, 0x7F...0xA0, 0xAD, 0x1680, 0x2000...0x200F, 0x2028...0x202F,
            0x205F...0x206F, 0x3000, 0xFEFF:
            false
        default: true
        }
    }
}
