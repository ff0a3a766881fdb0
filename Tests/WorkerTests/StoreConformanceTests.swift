import Jobs
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// A store that the suite can put documents into.
private protocol StoreUnderTest: Sendable {
    associatedtype Store: JobStore
    var store: Store { get }
    func enqueue(_ count: Int, _ jobType: String) async throws
    /// Takes back all leases, as if their workers had gone silent long ago.
    func expireLeases() async throws
}

private struct InMemory: StoreUnderTest {
    let store = FakeStore()

    func enqueue(_ count: Int, _ jobType: String) async {
        let first = await store.state.lastID + 1
        await store.enqueue(first...first + Int64(count) - 1, jobType)
    }

    func expireLeases() async { await store.expireLeases() }
}

private struct InPostgres: StoreUnderTest {
    let store: PostgresJobStore
    private let sql: DatabaseConnection

    init() async throws {
        let database = try await TestDatabase()
        sql = try await database.connect()
        try await JobTypeTable.write([.fixture("summarize"), .fixture("translate")], sql)
        store = PostgresJobStore(try database.settings())
    }

    func enqueue(_ count: Int, _ jobType: String) async throws {
        try await sql.query(
            "SELECT l2s.enqueue($1, 'text') FROM generate_series(1, $2)",
            [.text(jobType), .int(count)])
    }

    func expireLeases() async throws {
        try await sql.query(
            "UPDATE l2s.lease SET expires_at = '-infinity', duration = '-1000 years'")
        // For a while after its start, the server spares leases, so the rescue is repeated.
        var taken = 0
        while taken == 0 { taken = try await store.rescueExpired().leases }
    }
}

/// What `JobStore` promises, tested with the store in PostgreSQL and with the one in memory, which
/// the tests of the worker use. So what those tests assume is also true of PostgreSQL.
@Suite struct StoreConformanceTests {
    private enum Kind: CaseIterable { case inMemory, inPostgres }

    private func stand(_ kind: Kind) async throws -> any StoreUnderTest {
        switch kind {
        case .inMemory: InMemory()
        case .inPostgres: try await InPostgres()
        }
    }

    private func register(_ stand: some StoreUnderTest) async throws -> WorkerID {
        try await stand.store.register(
            WorkerDescription(host: "test", processID: 7, version: "0"), jobTypes: [])
    }

    private func claim(
        _ stand: some StoreUnderTest, _ worker: WorkerID, _ documents: Int = 64,
        of jobTypes: [String] = ["summarize", "translate"]
    ) async throws -> Claim? {
        try await stand.store.claim(
            ClaimRequest(
                worker: worker, encoder: "large", jobTypes: jobTypes, maximumDocuments: documents,
                maximumTokens: 100_000, leaseDuration: .seconds(60)))
    }

    private func done(_ ids: [Int64]) -> [FinishedDocument] {
        ids.map {
            FinishedDocument(
                id: $0, outcome: .succeeded(output: "out", tokens: [1]),
                measurements: Measurements())
        }
    }

    @Test(arguments: Kind.allCases)
    private func aDocumentIsClaimedOnce(_ kind: Kind) async throws {
        let stand = try await stand(kind)
        let worker = try await register(stand)
        try await stand.enqueue(3, "summarize")
        let first = try #require(try await claim(stand, worker, 2))
        let second = try #require(try await claim(stand, worker, 2))
        #expect(first.documents.count == 2 && second.documents.count == 1)
        #expect(first.lease != second.lease)
        let ids = (first.documents + second.documents).map(\.id)
        #expect(ids == ids.sorted() && Set(ids).count == 3)
        #expect(try await claim(stand, worker) == nil)
    }

    @Test(arguments: Kind.allCases)
    private func onlyTypesThatAreAskedForAreClaimed(_ kind: Kind) async throws {
        let stand = try await stand(kind)
        let worker = try await register(stand)
        try await stand.enqueue(2, "translate")
        #expect(try await claim(stand, worker, of: ["summarize"]) == nil)
        let claimed = try #require(try await claim(stand, worker, of: ["translate"]))
        #expect(claimed.documents.map(\.jobType) == ["translate", "translate"])
    }

    @Test(arguments: Kind.allCases)
    private func aCompletionMayBeRepeated(_ kind: Kind) async throws {
        let stand = try await stand(kind)
        let worker = try await register(stand)
        try await stand.enqueue(2, "summarize")
        let claim = try #require(try await claim(stand, worker))
        let ids = claim.documents.map(\.id)
        for _ in 1...2 {
            let receipt = try await stand.store.complete(worker, claim.lease, done([ids[0]]))
            #expect(receipt == CompletionReceipt(recorded: [ids[0]]))
        }
        let rest = try await stand.store.complete(worker, claim.lease, done([ids[1]]))
        #expect(rest.recorded == [ids[1]])
        #expect(try await stand.store.unfinished(["summarize"]) == Unfinished(due: 0))
    }

    @Test(arguments: Kind.allCases)
    private func aLeaseThatWasTakenBackOwnsNothing(_ kind: Kind) async throws {
        let stand = try await stand(kind)
        let worker = try await register(stand)
        try await stand.enqueue(2, "summarize")
        let claim = try #require(try await claim(stand, worker))
        func renew() async throws -> Set<LeaseID> {
            try await stand.store.renew(
                worker, leases: [claim.lease], draining: false, load: nil
            ).owned
        }
        #expect(try await renew() == [claim.lease])
        try await stand.expireLeases()
        #expect(try await renew() == [])
        let ids = claim.documents.map(\.id)
        #expect(try await stand.store.complete(worker, claim.lease, done(ids)).stale == ids)
        #expect(try await stand.store.release(worker, claim.lease, ids) == 0)
    }

    @Test(arguments: Kind.allCases)
    private func whatIsReleasedIsClaimedAgain(_ kind: Kind) async throws {
        let stand = try await stand(kind)
        let worker = try await register(stand)
        try await stand.enqueue(2, "summarize")
        let claim = try #require(try await claim(stand, worker))
        let ids = claim.documents.map(\.id)
        #expect(try await stand.store.release(worker, claim.lease, [ids[1]]) == 1)
        #expect(try await stand.store.release(worker, claim.lease, [ids[1]]) == 0)
        let again = try #require(try await self.claim(stand, worker))
        #expect(again.documents.map(\.id) == [ids[1]])
        #expect(again.documents[0].attempt == 1, "a release counts no attempt")
        #expect(try await stand.store.unfinished(["summarize"]) == Unfinished(due: 2))
    }

    @Test(arguments: Kind.allCases)
    private func aWaitEndsForWorkAndForAnInterruption(_ kind: Kind) async throws {
        let stand = try await stand(kind)
        let worker = try await register(stand)
        let types = ["summarize", "translate"]
        // An interruption that comes before the wait ends it, too.
        stand.store.interruptWait()
        #expect(
            try await !stand.store.waitForWork(worker, jobTypes: types, timeout: .seconds(600)))
        try await stand.enqueue(1, "summarize")
        #expect(try await stand.store.waitForWork(worker, jobTypes: types, timeout: .seconds(600)))
    }
}
