import Foundation
import Logging
import Synchronization
import Testing

@testable import Telemetry

@Suite struct LineLogHandlerTests {
    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    private func lines(
        _ form: LineLogHandler.Form, level: Logger.Level = .info, _ log: (Logger) -> Void
    ) -> [String] {
        let lines = Lines()
        log(
            Logger(label: "test") { _ in
                LineLogHandler(level: level, form: form) { line in
                    lines.all.withLock { $0.append(line) }
                }
            })
        return lines.all.withLock { $0 }
    }

    private let event = WorkerEvent.documentFailed(
        id: 7, jobType: "summarize", attempt: 2, reason: "no \"room\"\nleft", willRetry: true)

    @Test func textIsOneLineForAPerson() throws {
        let line = try #require(lines(.text) { $0.emit(event) }.first)
        #expect(line.prefix(24).wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
        let rest =
            #" warning document failed attempt=2 id=7 job_type=summarize "#
            + #"reason="no \"room\"\nleft" will_retry=true"#
        #expect(line.dropFirst(24) == rest + "\n")
    }

    @Test func jsonIsOneObjectWithNumbersAsNumbers() throws {
        let line = try #require(lines(.json) { $0.emit(event) }.first)
        #expect(line.dropLast().contains("\n") == false)
        let object = try #require(
            JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["level"] as? String == "warning")
        #expect(object["message"] as? String == "document failed")
        #expect(object["id"] as? Int == 7)
        #expect(object["reason"] as? String == "no \"room\"\nleft")
        #expect(object["will_retry"] as? Bool == true)
    }

    @Test func hostileValuesStayInsideTheirValue() throws {
        let all = (0..<0x30).compactMap { UnicodeScalar($0).map(String.init) }.joined() + "\u{7F}é"
        let log = lines(.json) { $0.info("\(all)", metadata: ["k": ["a": [.string(all)]]]) }
        let line = try #require(log.first)
        let object = try #require(
            JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["message"] as? String == all)
        #expect((object["k"] as? [String: [String]])?["a"] == [all])
        let text = try #require(lines(.text) { $0.info("a\nb", metadata: ["k": "c\nd"]) }.first)
        #expect(text.hasSuffix(" info a b k=\"c\\nd\"\n"))
    }

    @Test func eventsBelowTheLevelAreNotWritten() {
        let claimed = WorkerEvent.batchClaimed(lease: 1, documents: 2, claim: .zero)
        #expect(lines(.text) { $0.emit(claimed) }.isEmpty)
        #expect(lines(.text, level: .debug) { $0.emit(claimed) }.count == 1)
    }

    @Test func aBatchTellsItsCountsAndTimes() {
        var counts = BatchCounts()
        counts.documents = 12
        counts.tokensOut = 340
        var times = BatchTimes()
        times.encode = .microseconds(41_460)
        times.total = .seconds(2)
        let metadata = WorkerEvent.batchFinished(lease: 9, counts, times).metadata
        #expect(metadata["lease"]?.description == "9")
        #expect(metadata["documents"]?.description == "12")
        #expect(metadata["tokens_out"]?.description == "340")
        #expect(metadata["encode_ms"]?.description == "41.5")
        #expect(metadata["total_ms"]?.description == "2000.0")
    }
}
