import Pipeline
import Postgres
import PostgresJobs
import Settings
import Watch
import Worker

/// Why the program ends early, in words for standard error and as an exit code.
struct Failure: Error {
    let status: ExitStatus
    let words: String

    init(_ status: ExitStatus, _ words: String) {
        self.status = status
        self.words = words
    }

    /// - Parameter error: what the start or the run of the worker threw.
    init(_ error: any Error) {
        switch error {
        case let error as Refusals: self.init(.usage, error.description)
        case DatabaseError.badConnectionString: self.init(.usage, "\(error)")
        case let error as StartFailure:
            self.init(
                .unavailable, "\(error); is PostgreSQL running, and is --database-url right?")
        case let error as SchemaMismatch: self.init(.configuration, error.description)
        case let error as WatchFailure: self.init(.unavailable, error.description)
        case let error as ModelLibraryError: self.init(.configuration, error.description)
        default: self.init(.failed, "\(error)")
        }
    }
}
