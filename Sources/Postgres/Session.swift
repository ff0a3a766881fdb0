internal import CLibpq
import Glibc

/// One libpq connection. Every call blocks. Only one thread may use it.
final class Session {
    private let handle: OpaquePointer
    private let settings: ConnectionSettings
    /// Whether a pooler such as pgbouncer stands between. Then nothing may be set for the session,
    /// because the pooler lends it to others after each transaction.
    private(set) var isPooled = false
    /// Whether the session was given up because an answer did not come in time. A late answer would
    /// be taken for the answer to another statement.
    private var isSilent = false

    init(_ settings: ConnectionSettings) throws(DatabaseError) {
        self.settings = settings
        let keywords = Array(settings.keywords)
        guard
            let handle = CStrings.withArrays(
                keywords.map(\.key), keywords.map(\.value), { PQconnectdbParams($0, $1, 0) })
        else { throw .unreachable(place: settings.place, reason: "out of memory") }
        self.handle = handle
        guard PQstatus(handle) == CONNECTION_OK else {
            throw .unreachable(place: settings.place, reason: lastMessage)
        }
        // No call of libpq waits from now on. `answer` waits instead, and knows how long.
        PQsetnonblocking(handle, 1)
        // Notices are dropped, because they may quote values.
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        // A pooler invents the process number that it gives to clients, so it differs from the
        // backend's own.
        let own = settings.sessionSettings
        let setUp = try query(
            """
            SELECT own.process = $1 AS is_direct, CASE WHEN own.process = $1 THEN (
                SELECT count(set_config(s.name, s.value, false))
                FROM unnest($2::text[], $3::text[]) AS s(name, value)) END
            FROM pg_backend_pid() AS own(process)
            """,
            [
                .int(Int64(PQbackendPID(handle))), .texts(own.map(\.name)),
                .texts(own.map(\.value)),
            ])
        isPooled = try !setUp.single()
    }

    deinit { PQfinish(handle) }

    var socket: Int32 { PQsocket(handle) }
    var isBroken: Bool { isSilent || PQstatus(handle) != CONNECTION_OK }

    func query(_ text: String, _ parameters: [Parameter]) throws(DatabaseError) -> Rows {
        let sql = settings.schema?.render(text) ?? text
        var literals: [String?] = []
        for (index, parameter) in parameters.enumerated() {
            let literal = parameter.literal
            // libpq would silently end the text at this byte.
            if let literal, literal.utf8.contains(0) {
                throw .badParameter(
                    statement: Self.name(of: sql), position: index + 1,
                    reason: "expected a text without U+0000, which PostgreSQL cannot store")
            }
            literals.append(literal)
        }
        let isSent = CStrings.withArray(literals) {
            PQsendQueryParams(handle, sql, Int32(literals.count), nil, $0, nil, nil, 0) == 1
        }
        guard isSent else {
            throw .connectionLost(statement: Self.name(of: sql), reason: lastMessage)
        }
        let result = try answer(to: sql)
        // The server sends the result before it commits. Only the next answer tells whether it did.
        var trouble: DatabaseError?
        do throws(DatabaseError) {
            while let further = try answer(to: sql) {
                do throws(DatabaseError) {
                    _ = try check(further, sql)
                } catch { trouble = trouble ?? error }
            }
        } catch { trouble = trouble ?? error }
        let rows = try check(result, sql)
        if let trouble { throw trouble }
        return rows
    }

    /// Returns the next result; nil after the last.
    ///
    /// Waits somewhat longer than the server lets the statement take. TCP itself notices a dead
    /// peer; this limit is for a frozen server or pooler, which is alive and says nothing.
    private func answer(to sql: String) throws(DatabaseError) -> OpaquePointer? {
        let limit = settings.answerTimeout.map { ContinuousClock.now + $0 }
        while true {
            let unsent = PQflush(handle)
            // Input is read before the time is checked, because this process may have been frozen.
            guard unsent >= 0, PQconsumeInput(handle) == 1 else {
                throw .connectionLost(statement: Self.name(of: sql), reason: lastMessage)
            }
            if unsent == 0, PQisBusy(handle) == 0 { return PQgetResult(handle) }
            let left = limit.map { ($0 - .now) / Duration.milliseconds(1) }
            if let left, left <= 0 {
                isSilent = true
                throw .connectionLost(
                    statement: Self.name(of: sql),
                    reason: "no answer within \(settings.answerTimeout ?? .zero)")
            }
            let events = unsent > 0 ? POLLIN | POLLOUT : POLLIN
            var source = pollfd(fd: socket, events: Int16(events), revents: 0)
            poll(&source, 1, left.map { Int32(min($0, 3_600_000).rounded(.up)) } ?? -1)
        }
    }

    /// Runs several statements, separated by semicolons, without parameters.
    func script(_ sql: String, name: String) throws(DatabaseError) {
        _ = try check(PQexec(handle, settings.schema?.render(sql) ?? sql), name)
    }

    func quoted(identifier: String) throws(DatabaseError) -> String {
        guard let quoted = PQescapeIdentifier(handle, identifier, identifier.utf8.count) else {
            throw .badParameter(statement: "an identifier", position: 1, reason: lastMessage)
        }
        defer { PQfreemem(quoted) }
        return String(cString: quoted)
    }

    /// Reads what has arrived. Returns whether it holds at least one notification.
    func takeNotifications() throws(DatabaseError) -> Bool {
        guard PQconsumeInput(handle) == 1 else {
            throw .connectionLost(statement: "LISTEN", reason: lastMessage)
        }
        var any = false
        while let notification = PQnotifies(handle) {
            PQfreemem(notification)
            any = true
        }
        return any
    }

    private func check(_ result: OpaquePointer?, _ sql: String) throws(DatabaseError) -> Rows {
        guard let result else {
            throw .connectionLost(statement: Self.name(of: sql), reason: lastMessage)
        }
        let status = PQresultStatus(result)
        if status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK {
            return Rows(answer: Answer(owning: result))
        }
        defer { PQclear(result) }
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        // The letters are libpq's PG_DIAG constants. A message without an SQLSTATE is libpq's own.
        guard !isBroken, let sqlState = field("C") else {
            throw .connectionLost(
                statement: Self.name(of: sql), reason: field("M") ?? lastMessage)
        }
        throw .refused(
            DatabaseError.Refusal(
                statement: Self.name(of: sql), sqlState: sqlState, message: field("M") ?? "",
                detail: field("D"), hint: field("H")))
    }

    private var lastMessage: String {
        let words = PQerrorMessage(handle).map { String(cString: $0) } ?? ""
        return settings.redact(
            words.split(whereSeparator: \.isWhitespace).joined(separator: " "))
    }

    /// A statement's first words, enough to recognise it. They reveal nothing, because statements
    /// never hold values.
    private static func name(of sql: String) -> String {
        let words = sql.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return words.count > 60 ? words.prefix(60) + "…" : words
    }
}
