import Checkpoints
import TestSupport
import Testing

/// The errors of damaged safetensors files.
@Suite struct BadSafetensorsTests {
    private let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    private func opening(
        _ bytes: some Sequence<UInt8>, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> CheckpointError.Problem? {
        let path = try folder.write("model.safetensors", bytes)
        return problem(sourceLocation: sourceLocation) { _ = try WeightFile(path: path) }
    }

    private func opening(
        header: String, data: Int = 8, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> CheckpointError.Problem? {
        try opening(
            SafetensorsBuilder.file(header: header, data: .init(repeating: 0, count: data)),
            sourceLocation: sourceLocation)
    }

    /// The reason given for a tensor, or for the file.
    private func reason(
        header: String, data: Int = 8, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        switch try opening(header: header, data: data, sourceLocation: sourceLocation) {
        case .malformedTensor(_, let reason), .malformed(let reason): return reason
        case let other:
            Issue.record("got \(String(describing: other))", sourceLocation: sourceLocation)
            return ""
        }
    }

    private let good = SafetensorsBuilder.entry("a", "F32", [2], 0, 8)

    @Test func intact() throws {
        let path = try folder.write(
            "x", SafetensorsBuilder.file(header: "{\(good)}  ", data: .init(repeating: 0, count: 8))
        )
        #expect(try WeightFile(path: path).names == ["a"])
        let empty = try folder.write("y", SafetensorsBuilder.file(header: "{}"))
        #expect(try WeightFile(path: empty).names == [])
    }

    @Test func truncated() throws {
        let whole = SafetensorsBuilder.file(
            header: "{\(good)}", data: .init(repeating: 0, count: 8))
        for size in 1..<whole.count {
            guard case .truncated(let expected, let found)? = try opening(whole.prefix(size)) else {
                Issue.record("\(size) bytes")
                return
            }
            #expect(found == size)
            let dataStart = whole.count - 8
            #expect(expected == (size < 8 ? 8 : size < dataStart ? dataStart : whole.count))
        }
        #expect(try opening([]) == .malformed("the file is empty"))
    }

    @Test func appendedTo() throws {
        let size = 8 + good.utf8.count + 2
        #expect(
            try reason(header: "{\(good)}", data: 12)
                == "expected the file to end after byte \(size + 8), got \(size + 12) bytes")
    }

    @Test(arguments: [0, 1, 100_000_001, UInt64(Int64.max), .max])
    func absurdHeaderLength(length: UInt64) throws {
        let bytes = SafetensorsBuilder.file(header: "{\(good)}", headerLength: length)
        guard case .malformed(let reason)? = try opening(bytes) else {
            Issue.record("expected a malformed file")
            return
        }
        #expect(reason.contains("got \(length)"))
    }

    @Test(arguments: [
        "[]", "nul", "{ ", "{}}", "{\"a\":", "{\"a\" 1}", "{\u{0}}", "{\"a\",}", "\u{FEFF}{}",
    ])
    func headerThatIsNoObject(header: String) throws {
        #expect(try reason(header: header).contains("JSON"))
    }

    @Test func headerThatIsNotUTF8() throws {
        var bytes = SafetensorsBuilder.file(
            header: "{\(good)}", data: .init(repeating: 0, count: 8))
        bytes[10] = 0xFF
        #expect(try opening(bytes) == .malformed("the safetensors header is not valid JSON"))
    }

    @Test func deepHeader() throws {
        let deep = String(repeating: "[", count: 200_000) + String(repeating: "]", count: 200_000)
        #expect(try reason(header: "{\"a\":\(deep)}").contains("JSON"))
    }

    @Test(arguments: [
        #"{"a":{}}"#, #"{"a":[]}"#, #"{"a":null}"#,
        #"{"a":{"dtype":1,"shape":[],"data_offsets":[0,8]}}"#,
        #"{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}"#,
        #"{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}"#,
        #"{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}"#,
        #"{"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}}"#,
        #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,1e400]}}"#,
        #"{"a":{"dtype":"F32","shape":[2]}}"#,
    ])
    func entryOfOtherTypes(header: String) throws {
        #expect(try reason(header: header).hasPrefix("expected dtype (text), shape"))
    }

    @Test(arguments: [
        (SafetensorsBuilder.entry("a", "F31", [2], 0, 8), "expected a dtype"),
        (SafetensorsBuilder.entry("a", "F32", [-2], 0, 8), "without negative numbers"),
        (SafetensorsBuilder.entry("a", "F32", [-1, -2], 0, 8), "without negative numbers"),
        (SafetensorsBuilder.entry("a", "F32", [1, 1, 1, 1, 1, 1, 1, 1, 2], 0, 8), "8 dimensions"),
        (SafetensorsBuilder.entry("a", "F32", [3], 0, 8), "expected the bytes of F32 [3]"),
        (SafetensorsBuilder.entry("a", "F4", [3], 0, 1), "expected the bytes of F4 [3]"),
        (SafetensorsBuilder.entry("a", "F32", [.max, .max], 0, 8), "expected the bytes of"),
        (SafetensorsBuilder.entry("a", "F32", [1 << 62, 2], 0, 0), "expected the bytes of"),
        (SafetensorsBuilder.entry("a", "F32", [2], 8, 0), "data_offsets"),
        (SafetensorsBuilder.entry("a", "F32", [2], -8, 0), "data_offsets"),
        (SafetensorsBuilder.entry("a", "F32", [2], .min, .max), "data_offsets"),
        (SafetensorsBuilder.entry("a", "F32", [2], .max - 8, .max), "out of range"),
        (SafetensorsBuilder.entry("a", "F32", [1], 4, 8), "leave a gap after"),
    ])
    func impossibleEntry(entry: String, words: String) throws {
        #expect(try reason(header: "{\(entry)}").contains(words))
    }

    @Test func offsetsOutsideOfFile() throws {
        let entry = SafetensorsBuilder.entry("a", "U8", [1 << 40], 0, 1 << 40)
        let start = 8 + entry.utf8.count + 2
        #expect(
            try opening(header: "{\(entry)}")
                == .truncated(expected: start + 1 << 40, found: start + 8))
    }

    @Test func overlap() throws {
        let other = SafetensorsBuilder.entry("b", "F32", [2], 4, 12)
        #expect(try reason(header: "{\(good),\(other)}", data: 12).contains("overlap"))
        #expect(try reason(header: "{\(good),\(other.replacing("4,12", with: "0,8"))}") != "")
    }

    @Test func sameNameTwice() throws {
        let again = SafetensorsBuilder.entry("a", "F32", [2], 8, 16)
        #expect(try reason(header: "{\(good),\(again)}", data: 16) != "")
    }

    @Test func otherFiles() throws {
        #expect(
            try opening("version https://git-lfs.github.com/spec/v1\noid sha256:0".utf8)
                == .gitPointer)
        #expect(
            problem { _ = try WeightFile(path: folder.path + "/none") }
                == .unreadable(attempt: "open it", reason: "No such file or directory"))
        #expect(
            problem { _ = try WeightFile(path: folder.path) }
                == .malformed("expected a regular file"))
        #expect(
            problem { _ = try WeightFile(path: folder.path + "\u{0}x") }
                == .unreadable(attempt: "open it", reason: "Invalid argument"))
    }
}
