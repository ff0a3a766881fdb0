import Telemetry
import Testing

@testable import Worker

@Suite struct OutagesTests {
    @Test func anOutageIsToldOnceWhenItBeginsAndOnceWhenAllIsWell() {
        var outages = Outages()
        let start = ContinuousClock.now
        func failed(_ link: Outages.Link, _ doing: String, _ seconds: Int) -> WorkerEvent? {
            outages.failed(link, doing: doing, reason: "r", now: start + .seconds(seconds))
        }
        #expect(outages.succeeded(.work, now: start) == nil)
        #expect(failed(.work, "claim", 0) == .storeUnavailable(doing: "claim", reason: "r"))
        #expect(failed(.work, "claim", 1) == nil)
        #expect(failed(.heartbeat, "renew", 2) == nil)
        #expect(outages.succeeded(.work, now: start + .seconds(3)) == nil)
        #expect(
            outages.succeeded(.heartbeat, now: start + .seconds(4))
                == .reconnected(outage: .seconds(4)))
        #expect(failed(.work, "claim", 5) == .storeUnavailable(doing: "claim", reason: "r"))
    }
}
