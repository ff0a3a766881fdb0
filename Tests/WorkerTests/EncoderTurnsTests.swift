import Jobs
import Testing

@testable import Worker

@Suite struct EncoderTurnsTests {
    @Test func takeTurnsEachWithItsJobTypes() {
        var encoders = EncoderTurns([
            .fixture("summarize"), .fixture("other", encoder: "b"), .fixture("translate"),
        ])
        let turns = [encoders.next(), encoders.next(), encoders.next()]
        #expect(turns.map(\.name) == ["b", "large", "b"])
        #expect(turns[1].jobTypes == ["summarize", "translate"])
    }
}
