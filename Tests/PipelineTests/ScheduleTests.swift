import Foundation
import Jobs
import Testing

@testable import Pipeline

/// What a free lane does next, decided on plain numbers without a model.
@Suite struct ScheduleTests {
    private struct Submitted: SubmittedWork, Equatable {
        let source: SourceDocument

        init(_ id: Int64, _ text: String = "") {
            source = SourceDocument(id: id, jobType: "any", text: text)
        }
    }

    private struct Prepared: PreparedWork {
        let name: Int
        var prompt: Prompt
        var prepared: ContinuousClock.Instant
        var rows = 1
        var batch: JobType.BatchLimits
    }

    private struct Encoded: EncodedWork {
        let name: Int
        var decoder = 0
        var rows = 1
    }

    private typealias Tested = Schedule<Submitted, Prepared, Encoded>

    private let start = ContinuousClock.now

    private func schedule(
        encoders: Int = 1, decoders: Int = 1, replicas: Int = 1, rows: Int = 8, handoff: Int = 64
    ) -> Tested {
        Tested(
            encoders: encoders, decoders: decoders,
            bounds: ScheduleBounds(
                replicasPerDecoder: replicas, rowsPerReplica: rows, handoffCapacity: handoff))
    }

    /// Parts named from 0, each with the prompt that its number in `prompts` stands for.
    private func parts(
        _ prompts: [Int32], length: Int = 1, rows: Int = 1, encoder: Int = 0, documents: Int = 32,
        tokens: Int = 8192, wait: Duration = .zero
    ) -> [Prepared] {
        prompts.enumerated().map { name, prompt in
            Prepared(
                name: name,
                prompt: Prompt(
                    encoder: encoder, tokens: Array(repeating: prompt, count: length)),
                prepared: start, rows: rows,
                batch: JobType.BatchLimits(
                    documents: documents, paddedTokens: tokens, wait: wait))
        }
    }

    /// What the lane is told, in words that a failure can show.
    private func next(_ schedule: inout Tested, after wait: Duration = .zero) -> String {
        switch schedule.next(now: start + wait) {
        case .prepare(let documents): "prepare \(documents.map(\.source.id))"
        case .encode(let encoder, let parts): "encode \(encoder) \(parts.map(\.name))"
        case .decode(let replica, let parts): "decode \(replica) \(parts.map(\.name))"
        case .rest(nil): "rest"
        case .rest(let until?): "rest for \(start.duration(to: until))"
        }
    }

    /// Hands over `count` parts that no lane had to read.
    private func handOver(
        _ schedule: inout Tested, _ count: Int, rows: Int = 1, decoder: Int = 0
    ) {
        schedule.handedOn((0..<count).map { Encoded(name: $0, decoder: decoder, rows: rows) })
    }

    // MARK: Preparing

    @Test func documentsArePreparedAFewAtATime() {
        var schedule = schedule()
        schedule.submitted((1...10).map { Submitted($0, "text \($0)") })
        #expect(next(&schedule) == "prepare [1, 2, 3, 4, 5, 6, 7, 8]")
        #expect(next(&schedule) == "prepare [9, 10]")
        #expect(next(&schedule) == "rest")
    }

    @Test func documentsOfOneTextArePreparedTogether() {
        var schedule = schedule()
        schedule.submitted((1...7).map { Submitted($0, "text \($0)") })
        schedule.submitted((8...12).map { Submitted($0, "the same") } + [Submitted(13, "last")])
        #expect(next(&schedule) == "prepare [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]")
        #expect(next(&schedule) == "prepare [13]")
    }

    @Test func nothingIsPreparedWhileEnoughIsReady() {
        var schedule = schedule(rows: 2)
        schedule.prepared(parts([1, 2, 3, 4], wait: .seconds(1)))
        schedule.submitted([Submitted(1)])
        #expect(next(&schedule) == "rest for 1.0 seconds")
    }

    @Test func onlyWhatNoLaneHasTakenUpIsWithdrawn() {
        var schedule = schedule()
        schedule.submitted((1...10).map { Submitted($0, "text \($0)") })
        _ = next(&schedule)
        #expect(schedule.withdraw([1, 9, 11]) == [Submitted(9, "text 9")])
        #expect(next(&schedule) == "prepare [10]")
    }

    // MARK: Reading

    @Test func aBatchThatIsNotFullWaits() {
        var schedule = schedule()
        schedule.prepared(parts([1, 2], documents: 3, wait: .milliseconds(20)))
        #expect(next(&schedule) == "rest for 0.02 seconds")
        #expect(next(&schedule, after: .milliseconds(20)) == "encode 0 [0, 1]")
        schedule.prepared(parts([3, 4, 5, 6], documents: 3, wait: .milliseconds(20)))
        #expect(next(&schedule) == "encode 0 [0, 1, 2]")
    }

    @Test func aBatchHoldsSoManyTokensWithPadding() {
        var schedule = schedule()
        schedule.prepared(parts([1, 2, 3], length: 10, tokens: 25, wait: .seconds(1)))
        #expect(next(&schedule) == "encode 0 [0, 1]")
        // A single prompt is encoded, however long it is.
        var long = self.schedule()
        long.prepared(parts([1, 2], length: 100, tokens: 25, wait: .seconds(1)))
        #expect(next(&long) == "encode 0 [0]")
    }

    @Test func thePromptThatWaitedLongestGoesFirst() {
        var schedule = schedule(encoders: 2)
        var late = parts([1], encoder: 0)
        late[0].prepared += .milliseconds(5)
        schedule.prepared(late)
        schedule.prepared(parts([2], encoder: 1))
        #expect(next(&schedule, after: .milliseconds(5)) == "encode 1 [0]")
        #expect(next(&schedule, after: .milliseconds(5)) == "encode 0 [0]")
    }

    @Test func partsOfOnePromptCountForOneInABatch() {
        var schedule = schedule(handoff: 4)
        // Room for four parts; the sixth comes along with the first.
        schedule.prepared(parts([1, 2, 3, 4, 5, 1]))
        #expect(next(&schedule) == "encode 0 [0, 1, 2, 3, 5]")
    }

    @Test func whatIsBeingReadIsNotReadAgain() {
        var schedule = schedule()
        schedule.prepared(parts([1]))
        #expect(next(&schedule) == "encode 0 [0]")
        schedule.prepared(parts([1, 2]))
        #expect(next(&schedule) == "encode 0 [1]")
        #expect(next(&schedule) == "rest")
        let joined = schedule.readingEnded(Prompt(encoder: 0, tokens: [1]))
        #expect(joined.map(\.name) == [0])
        // It could not share that reading, so it waits for one of its own, before all others.
        schedule.prepared(parts([3]))
        schedule.unread(joined)
        #expect(next(&schedule) == "encode 0 [0, 0]")
    }

    @Test func readingStopsWhileTheHandoffIsFull() {
        var schedule = schedule(handoff: 2)
        schedule.prepared(parts([1, 2, 3]))
        #expect(next(&schedule) == "encode 0 [0, 1]")
        #expect(next(&schedule) == "rest")
        schedule.encoded([Encoded(name: 0), Encoded(name: 1)])
        #expect(next(&schedule) == "decode 0 [0, 1]")
        #expect(next(&schedule) == "encode 0 [2]")
    }

    // MARK: Writing

    @Test func readingGoesBeforeWritingWhileDecodersCouldTakeMore() {
        var schedule = schedule(rows: 4)
        handOver(&schedule, 2)
        schedule.prepared(parts([1]))
        #expect(next(&schedule) == "encode 0 [0]")
        handOver(&schedule, 2)
        schedule.prepared(parts([2]))
        #expect(next(&schedule) == "decode 0 [0, 1, 0, 1]")
    }

    @Test func aDecoderTakesNoMoreRowsThanItHas() {
        var schedule = schedule(replicas: 2)
        handOver(&schedule, 5, rows: 4)
        // 20 rows for 2 × 8.
        #expect(next(&schedule) == "decode 0 [0, 1]")
        #expect(next(&schedule) == "decode 1 [2, 3]")
        #expect(next(&schedule) == "rest")
        schedule.decoded(replica: 0, rows: 8)
        #expect(next(&schedule) == "decode 0 []")
        schedule.decoded(replica: 0, rows: 4)
        #expect(next(&schedule) == "decode 0 [4]")
    }

    @Test func aPartOfMoreRowsThanADecoderHasIsWrittenAlone() {
        var schedule = schedule(replicas: 2)
        handOver(&schedule, 3, rows: 9)
        #expect(next(&schedule) == "decode 0 [0]")
        #expect(next(&schedule) == "decode 1 [1]")
        #expect(next(&schedule) == "rest")
    }

    @Test func decodersShareWhatWaits() {
        var schedule = schedule(replicas: 2, rows: 16)
        handOver(&schedule, 12)
        #expect(next(&schedule) == "decode 0 [0, 1, 2, 3, 4, 5]")
        #expect(next(&schedule) == "decode 1 [6, 7, 8, 9, 10, 11]")
        // A step of four rows costs as much as a step of one.
        handOver(&schedule, 3)
        schedule.decoded(replica: 0, rows: 0)
        schedule.decoded(replica: 1, rows: 0)
        #expect(next(&schedule) == "decode 0 [0, 1, 2]")
    }

    @Test func theDecoderThatRestedLongestGoesNext() {
        var schedule = schedule(decoders: 2, rows: 4)
        handOver(&schedule, 1, decoder: 0)
        handOver(&schedule, 1, decoder: 1)
        #expect(next(&schedule) == "decode 0 [0]")
        schedule.decoded(replica: 0, rows: 1)
        #expect(next(&schedule) == "decode 1 [0]")
        schedule.decoded(replica: 1, rows: 1)
        #expect(next(&schedule) == "decode 0 []")
    }
}

@Suite struct AdmissionTests {
    private let first = UUID()
    private let second = UUID()

    @Test func callersAreToldOfRoomThatIsWorthwhile() {
        var admission = Admission<Int>(capacity: 8)
        admission.accept(7)
        #expect(admission.wait(first, 1).waiters == [])
        #expect(admission.wait(second, 2).waiters == [])
        let answers = admission.release(1)
        #expect(Set(answers.waiters) == [1, 2] && answers.room == 2)
        #expect(admission.release(6).waiters == [])
        #expect(admission.documents == 0)
    }

    @Test func whoIsCancelledBeforeOrWhileItWaitsIsAnsweredOnce() {
        var admission = Admission<Int>(capacity: 4)
        admission.accept(4)
        #expect(admission.cancel(first).waiters == [])
        let late = admission.wait(first, 1)
        #expect(late.waiters == [1] && late.room == 0)
        #expect(admission.wait(second, 2).waiters == [])
        #expect(admission.cancel(second).waiters == [2])
        #expect(admission.release(4).waiters == [])
    }

    @Test func nobodyWaitsAfterTheEnd() {
        var admission = Admission<Int>(capacity: 4)
        admission.accept(4)
        _ = admission.wait(first, 1)
        let end = admission.close()
        #expect(end.waiters == [1] && end.room == 0)
        #expect(admission.wait(second, 2).waiters == [2])
    }
}
