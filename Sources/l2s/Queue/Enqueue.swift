import ArgumentParser
import Postgres
import PostgresJobs
import Programs

struct Enqueue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Enqueue documents.",
        discussion: """
            Each file is one document; with --lines each line of it, with --json-lines each line's \
            JSON object: {"document": "…"}, optionally with "job_type", "priority", "run_at", \
            "dedupe_key", "group", "tenant" and "metadata", which override the options. Without \
            files, standard input is read.

            Metadata is a JSON object that is kept beside the job, in l2s.jobs. One key of it means \
            something here: "traceparent", the W3C trace context that the worker's spans continue.

            All documents are enqueued, or none. Prints the jobs' ids, one per line, in the order of \
            the documents, and for each document in the order of its job types; with --json: \
            {"ids": […]}. The same from SQL: SELECT l2s.enqueue('summarize', 'text …').
            """)

    @Argument(help: "Files of UTF-8 text; - is standard input.")
    var files: [String] = []

    @Option(
        help: ArgumentHelp(
            "The job type of the documents. May be repeated: then each document has a job of each "
                + "type, and its text is stored once and read once.", valueName: "name"))
    var jobType: [String] = []

    @Flag(help: "Each line is a document.")
    var lines = false

    @Flag(help: "Each line is a JSON object with a document.")
    var jsonLines = false

    @Option(
        help: ArgumentHelp("Greater numbers go first, -32767 to 32767.", valueName: "number"))
    var priority = 0

    @Option(
        help: ArgumentHelp(
            "Begin at this time at the earliest, as PostgreSQL reads times. Default: now.",
            valueName: "time"))
    var runAt: String?

    @Option(
        help: ArgumentHelp(
            "A job type takes no second document with the same key. Only for a single document.",
            valueName: "key"))
    var dedupeKey: String?

    @Option(
        help: ArgumentHelp(
            "Documents to watch, wait for and cancel together.", valueName: "name"))
    var group: String?

    @Option(
        help: ArgumentHelp(
            "Whose documents they are: tenants take turns within a priority.", valueName: "name"))
    var tenant: String?

    @Option(
        help: ArgumentHelp("What to keep beside each job: a JSON object.", valueName: "object"))
    var metadata: Metadata?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var database: DatabaseOptions

    func validate() throws {
        guard !lines || !jsonLines else {
            throw ValidationError("expected --lines or --json-lines, got both")
        }
        guard !jobType.isEmpty || jsonLines else {
            throw ValidationError("expected --job-type, got nothing")
        }
        guard dedupeKey == nil || (!lines && !jsonLines && files.count <= 1) else {
            throw ValidationError("expected --dedupe-key with one document, got more")
        }
    }

    func run() async throws {
        let form: InputForm = jsonLines ? .json : lines ? .text : .whole
        let connection = try await database.open()
        var queue = EnqueueTransaction(connection)
        let progress = Progress("enqueueing", unit: "documents")
        defer { progress.end() }
        try await queue.begin()
        let files = files.isEmpty ? ["-"] : files
        for (index, file) in files.enumerated() {
            var input = try InputFile(path: file)
            if form == .whole {
                try await queue.add(newJob(input.rest(), form, place: input.name))
                progress.update(queue.count, of: files.count)
                continue
            }
            var number = 0
            while let piece = try await input.nextLine() {
                number += 1
                try await queue.add(newJob(piece, form, place: "\(input.name):\(number)"))
                // All files count the same, because the number of their lines is not known.
                let read = input.fractionRead.map { (Double(index) + $0) / Double(files.count) }
                progress.update(queue.count, fraction: read)
            }
        }
        let ids = try await queue.commit()
        progress.end()
        if json { return try Console.printJSON(Report(ids: ids)) }
        if !ids.isEmpty { Console.print(ids.map(String.init).joined(separator: "\n")) }
        Console.note("enqueued \(ids.count.grouped) document\(ids.count == 1 ? "" : "s")")
    }

    private struct Report: Encodable {
        let ids: [Int64]
    }

    private func newJob(
        _ piece: InputFile.Piece, _ form: InputForm, place: String
    ) throws -> PlacedJob {
        do throws(DocumentLine.Fault) {
            let line = try DocumentLine(piece, form)
            let types = line.jobType.map { [$0] } ?? jobType
            guard !types.isEmpty else {
                throw DocumentLine.Fault(
                    expected: "a \"job_type\", as there is no --job-type", found: "none")
            }
            let keys = [line.dedupeKey ?? dedupeKey, line.group ?? group, line.tenant ?? tenant]
            let texts = types + [line.document] + keys.compactMap(\.self)
            guard !texts.contains(where: { $0.utf8.contains(0) }) else {
                throw DocumentLine.Fault(
                    expected: "a text that PostgreSQL can store", found: "U+0000 in it")
            }
            var job = NewJob(jobTypes: types, document: line.document)
            job.priority = line.priority ?? priority
            job.runAt = line.runAt ?? runAt
            job.dedupeKey = line.dedupeKey ?? dedupeKey
            job.group = line.group ?? group
            job.tenant = line.tenant ?? tenant
            job.metadata = (line.metadata ?? metadata)?.json
            return PlacedJob(job: job, place: place)
        } catch {
            throw Failure("\(place): \(error); nothing was enqueued")
        }
    }
}

struct PlacedJob {
    let job: NewJob
    /// Such as `articles.jsonl:7`.
    let place: String
}

/// Enqueues any number of documents, all or none, in statements of bounded size.
struct EnqueueTransaction {
    private static let chunk = 1000
    private static let chunkBytes = 8_000_000

    private let connection: DatabaseConnection
    private var waiting: [PlacedJob] = []
    private var waitingBytes = 0
    private var ids: [Int64] = []

    /// Documents added so far, including those that are not sent yet.
    var count: Int { ids.count + waiting.count }

    init(_ connection: DatabaseConnection) { self.connection = connection }

    func begin() async throws { try await connection.query("BEGIN") }

    mutating func add(_ job: PlacedJob) async throws {
        waiting.append(job)
        waitingBytes += job.job.document.utf8.count
        if waiting.count >= Self.chunk || waitingBytes >= Self.chunkBytes { try await flush() }
    }

    mutating func commit() async throws -> [Int64] {
        try await flush()
        try await connection.query("COMMIT")
        return ids
    }

    /// How often documents are enqueued before a command gives up over deadlocks.
    private static let attempts = 10

    private mutating func flush() async throws {
        guard !waiting.isEmpty else { return }
        for attempt in 1... {
            do {
                ids += try await QueueClient(connection).enqueue(waiting.map(\.job))
                break
            } catch let error as DatabaseError where error.refusal != nil {
                try await connection.query("ROLLBACK")
                guard error.refusal?.sqlState == "40P01" else {
                    throw try await culprit() ?? error
                }
                // The other transaction, which enqueues the same keys in another order, can go on now,
                // and ends before this one goes on.
                guard ids.isEmpty, attempt < Self.attempts else {
                    throw Failure(
                        "another transaction enqueues the same dedupe keys in another order; nothing "
                            + "was enqueued: run the command again")
                }
                try await connection.query("BEGIN")
            }
        }
        waiting = []
        waitingBytes = 0
    }

    /// Says which document was refused. It enqueues them one by one to find it, and commits none.
    private func culprit() async throws -> Failure? {
        try await connection.query("BEGIN")
        for placed in waiting {
            do {
                _ = try await QueueClient(connection).enqueue([placed.job])
            } catch let error as DatabaseError {
                guard let refusal = error.refusal else { throw error }
                // l2s.enqueue's own detail counts bytes and names job types, never texts.
                let words = [refusal.message, refusal.detail, refusal.hint].compactMap(\.self)
                    .map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }
                return Failure(
                    "\(placed.place): \(words.joined(separator: ". ")). Nothing was enqueued")
            }
        }
        try await connection.query("ROLLBACK")
        return nil
    }
}
