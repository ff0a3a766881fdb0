import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// The comparison of the queue with the model of it.
extension Play {
    /// Works until every document is finished.
    mutating func finishAll() async throws {
        if paused { _ = try await pauseOrResume() }
        var random = SeededRandom(seed: 0)
        while documents.values.contains(where: { !$0.isFinished }) {
            _ = try await promote()
            while documents.values.contains(where: { $0.lease != nil }) {
                _ = try await finish(&random)
            }
            _ = try await claim(&random)
        }
        try await eventually("all is streamed: other tests' transactions hold it up") {
            _ = try await stream()
            return Set(streamed.keys) == Set(documents.keys)
        }
    }

    func compare(_ place: String) async throws {
        let rows = try await queue.sql.query("SELECT id, state, attempt, output FROM l2s.jobs")
        #expect(rows.count == documents.count, "\(place)")
        var wrong: [String] = []
        for row in rows {
            let id: Int64 = try row.value("id")
            guard let document = documents[id] else { throw Disagreement(id: id) }
            let (state, attempt): (String, Int) = (try row.value("state"), try row.value("attempt"))
            let isAtWork = [.running, .cancelling, .succeeded].contains(document.state)
            let output = try row.optional("output", as: String.self)
            if state != document.state.rawValue || attempt != document.ended + (isAtWork ? 1 : 0)
                || (output != nil) != (document.state == .succeeded)
            {
                wrong.append("document \(id): \(state), attempt \(attempt); model: \(document)")
            }
        }
        #expect(wrong.isEmpty, "\(place): \(wrong.prefix(3))")
        let leases = Set(documents.values.compactMap(\.lease)).count
        #expect(try await queue.count("l2s.lease") == leases, "\(place)")
        let unfinished = documents.values.count { !$0.isFinished }
        #expect(try await queue.count("l2s.queue") == unfinished, "\(place)")
        #expect(
            try await queue.count("l2s.result") == documents.count - unfinished, "\(place)")
        let counted = try await QueueClient(queue.sql).status()
        let states: [Document.State] = [.succeeded, .failed, .cancelled]
        func sum(_ count: (JobTypeStatus) -> Int) -> Int { counted.reduce(0) { $0 + count($1) } }
        #expect(
            [sum(\.succeeded), sum(\.failed), sum(\.cancelled)]
                == states.map { state in documents.values.count { $0.state == state } }, "\(place)")
        for name in ["a", "b"] {
            let members = documents.values.filter { $0.group == name }
            let status = try await QueueClient(queue.sql).group(name)
            #expect(status?.documents ?? 0 == members.count, "\(place)")
            #expect(
                status?.cancelled ?? 0 == members.count { $0.state == .cancelled }, "\(place)")
        }
    }

    func expect(_ receipt: CompletionReceipt, _ expected: CompletionReceipt) {
        #expect(Set(receipt.recorded) == Set(expected.recorded))
        #expect(Set(receipt.retried) == Set(expected.retried))
        #expect(Set(receipt.cancelled) == Set(expected.cancelled))
        #expect(Set(receipt.stale) == Set(expected.stale))
    }
}

private struct Disagreement: Error {
    let id: Int64
}
