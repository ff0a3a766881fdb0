internal import Pipeline
internal import Postgres
internal import PostgresJobs
package import Settings

extension ExitStatus {
    /// How a program ends after an error that reached its top. Both programs answer alike.
    package init(for error: any Error) {
        self =
            switch error {
            case let failure as Failure: failure.status
            case is Refusals, DatabaseError.badConnectionString: .usage
            case DatabaseError.unreachable, DatabaseError.connectionLost: .unavailable
            case is SchemaMismatch, is ModelLibraryError: .configuration
            default: .failed
            }
    }
}
