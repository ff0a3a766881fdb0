import Testing

@testable import Telemetry

@Suite struct TraceParentTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let span = "b7ad6b7169203331"

    /// The examples of <https://www.w3.org/TR/trace-context/#examples-of-http-traceparent-headers>,
    /// and what it says of later versions and unknown flags.
    @Test(arguments: [
        ("00-\(trace)-\(span)-01", "00-\(trace)-\(span)-01"),
        ("00-\(trace)-\(span)-00", "00-\(trace)-\(span)-00"),
        ("00-\(trace)-\(span)-ff", "00-\(trace)-\(span)-01"),
        ("00-\(trace)-\(span)-02", "00-\(trace)-\(span)-00"),
        ("cc-\(trace)-\(span)-01", "00-\(trace)-\(span)-01"),
        ("01-\(trace)-\(span)-01-what-the-future-will-be-like", "00-\(trace)-\(span)-01"),
    ])
    func reads(text: String, asVersion0: String) {
        #expect(TraceParent(text)?.text == asVersion0)
    }

    /// Mostly those of the W3C's own test suite.
    @Test(arguments: [
        "", "-", "---", "00", "00-\(trace)", "00-\(trace)-\(span)", "00-\(trace)-\(span)-",
        "00-\(trace)-\(span)-0", "00-\(trace)-\(span)-001", "00-\(trace)-\(span)-01.",
        "00-\(trace)-\(span)-01-what-the-future-will-be-like", "01-\(trace)-\(span)-01.future",
        "ff-\(trace)-\(span)-01", "0x-\(trace)-\(span)-01", ".0-\(trace)-\(span)-01",
        "00-\(trace.uppercased())-\(span)-01", "00-\(trace)-\(span.uppercased())-01",
        "00-00000000000000000000000000000000-\(span)-01", "00-\(trace)-0000000000000000-01",
        "00-\(trace.dropLast())g-\(span)-01", "00-\(trace)-\(span)-0X",
        "00_\(trace)_\(span)_01", "00-\(trace.dropLast())-\(span)0-01",
        " 00-\(trace)-\(span)-01", "00-\(trace)-\(span)-01 ", "00-\(trace.dropLast())é-\(span)-01",
        "００-\(trace)-\(span)-01", "00-\(trace)-\(span)-0\u{301}",
        String(repeating: "0", count: 1_000_000), String(repeating: "-", count: 55),
    ])
    func ignores(text: String) {
        #expect(TraceParent(text) == nil)
    }
}
