import Fetching
import Testing

/// The vectors of FIPS 180-4 and NIST's examples.
@Suite struct SHA256Tests {
    private func hash(_ text: some Collection<UInt8>) -> String {
        var hash = SHA256()
        hash.update(text)
        return hash.finish()
    }

    @Test func agreesWithTheStandard() {
        #expect(
            hash("".utf8) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            hash("abc".utf8) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        #expect(
            hash([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    /// The hash is the same wherever the text is cut, for lengths around those of blocks.
    @Test func partsAddUp() {
        for count in [1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 200] {
            let text = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            var parts = SHA256()
            for byte in text { parts.update([byte]) }
            #expect(parts.finish() == hash(text), "\(count)")
        }
    }
}
