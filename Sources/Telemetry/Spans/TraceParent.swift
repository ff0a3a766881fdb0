/// The trace that a document belongs to and the span that enqueued it, as W3C Trace Context writes
/// them in `traceparent`: `00-<trace id>-<span id>-<flags>`, in lower-case hexadecimal digits.
///
/// It comes from outside, so it is either exactly that or nothing: <https://www.w3.org/TR/trace-context/>
struct TraceParent: Equatable {
    let traceID: Substring
    let spanID: Substring
    let isSampled: Bool

    /// Nil for anything else. A later version is read as far as its fields are those of version 00.
    init?(_ text: String) {
        let bytes = text.utf8
        guard bytes.count >= Self.length, bytes.count == Self.length || !text.hasPrefix("00"),
            bytes.dropFirst(Self.length).first ?? Self.dash == Self.dash
        else { return nil }
        let fields = text.prefix(Self.length).split(
            separator: "-", omittingEmptySubsequences: false)
        guard fields.map(\.utf8.count) == [2, 32, 16, 2],
            fields.allSatisfy({ $0.utf8.allSatisfy(Self.isDigit) }), fields[0] != "ff",
            let flags = UInt8(fields[3], radix: 16)
        else { return nil }
        (traceID, spanID) = (fields[1], fields[2])
        // All zeros stand for none.
        guard !traceID.utf8.allSatisfy({ $0 == Self.zero }),
            !spanID.utf8.allSatisfy({ $0 == Self.zero })
        else { return nil }
        isSampled = flags & 1 == 1
    }

    /// In version 00, whatever version was read.
    var text: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }

    private static let length = 55
    private static let dash = UInt8(ascii: "-")
    private static let zero = UInt8(ascii: "0")

    private static func isDigit(_ byte: UInt8) -> Bool {
        (zero...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
