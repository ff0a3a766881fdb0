import Programs
import Settings
import Watch
import Worker

extension Failure {
    /// - Parameter error: what the start or the run of the worker threw.
    init(_ error: any Error) {
        switch error {
        case let error as Failure: self = error
        case is StartFailure:
            self.init("\(error); is PostgreSQL running, and is --database-url right?", .unavailable)
        case is WatchFailure: self.init("\(error)", .unavailable)
        default: self.init("\(error)", ExitStatus(for: error))
        }
    }
}
