import Jobs
import Testing

@testable import Worker

@Suite struct ReadersTests {
    @Test func takeTurnsEachWithItsJobTypes() {
        var readers = Readers([
            .fixture("summarize"), .fixture("other", reader: "b"), .fixture("translate"),
        ])
        let turns = [readers.next(), readers.next(), readers.next()]
        #expect(turns.map(\.name) == ["b", "large", "b"])
        #expect(turns[1].jobTypes == ["summarize", "translate"])
    }
}
