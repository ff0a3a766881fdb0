/// GPT-2's spelling of bytes as printable characters: vocabularies are JSON, which cannot hold
/// arbitrary bytes. Printable Latin-1 stands for itself; the other 68 bytes are spelled by the
/// characters from U+0100 on. Source: openai/gpt-2, encoder.py, bytes_to_unicode.
enum ByteAlphabet {
    static let scalarOfByte: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (UInt8.min...UInt8.max).map { byte in
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return Unicode.Scalar(byte)
            default:
                defer { next += 1 }
                return Unicode.Scalar(next) ?? "\u{FFFD}"
            }
        }
    }()

    private static let byteOfScalar = [Unicode.Scalar: UInt8](
        uniqueKeysWithValues: zip(scalarOfByte, UInt8.min...UInt8.max))

    /// The bytes that a vocabulary entry stands for; nil when a character is not of the alphabet.
    static func bytes(of entry: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        for scalar in entry.unicodeScalars {
            guard let byte = byteOfScalar[scalar] else { return nil }
            bytes.append(byte)
        }
        return bytes
    }
}
