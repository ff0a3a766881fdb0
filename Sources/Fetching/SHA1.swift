/// The hash by which git, and so a hub, names files. It finds damaged files and is not for
/// security. Source: FIPS 180-4.
struct SHA1 {
    private var state: [UInt32] = [
        0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0,
    ]

    /// 40 hexadecimal digits for `blob SIZE\0` and the bytes, as git hashes a file.
    static func ofGitBlob(_ bytes: [UInt8]) -> String {
        of(Array("blob \(bytes.count)\u{0}".utf8) + bytes)
    }

    static func of(_ bytes: [UInt8]) -> String {
        var hash = SHA1()
        let padding = (119 - bytes.count % 64) % 64
        let bits = UInt64(bytes.count) * 8
        let whole =
            bytes + [0x80] + [UInt8](repeating: 0, count: padding)
            + (0..<8).reversed().map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
        for start in stride(from: 0, to: whole.count, by: 64) { hash.mix(whole, start) }
        return hash.state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private mutating func mix(_ bytes: [UInt8], _ start: Int) {
        func rotated(_ word: UInt32, _ bits: UInt32) -> UInt32 {
            word << bits | word >> (32 - bits)
        }
        var words = (0..<16).map { index in
            (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[start + 4 * index + $1]) }
        }
        for index in 16..<80 {
            words.append(
                rotated(
                    words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1))
        }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for (index, word) in words.enumerated() {
            let (mixed, constant): (UInt32, UInt32) =
                switch index / 20 {
                case 0: (b & c | ~b & d, 0x5A82_7999)
                case 1: (b ^ c ^ d, 0x6ED9_EBA1)
                case 2: (b & c | b & d | c & d, 0x8F1B_BCDC)
                default: (b ^ c ^ d, 0xCA62_C1D6)
                }
            let next = rotated(a, 5) &+ mixed &+ e &+ constant &+ word
            (e, d, c, b, a) = (d, c, rotated(b, 30), a, next)
        }
        for (index, word) in [a, b, c, d, e].enumerated() { state[index] &+= word }
    }
}
