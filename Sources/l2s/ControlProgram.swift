import ArgumentParser
import Postgres
import PostgresJobs
import Programs
import Settings

/// `l2s`, the control program: one subcommand per file.
@main
struct ControlProgram: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "l2s",
        abstract: "Summarize and translate documents from a queue in PostgreSQL.",
        discussion: """
            Documents are enqueued with SQL or with `l2s enqueue`; l2s-worker processes them. To see \
            all of it at work, run `l2s demo`.

            \(ExitStatus.table)
            """,
        version: "l2s \(Version.current), schema version \(schemaVersion)",
        subcommands: [
            Demo.self, Migrate.self, Enqueue.self, Status.self, Top.self, Trace.self, Plan.self,
            Cancel.self, Pause.self, Resume.self, Retry.self, Wait.self, Results.self,
            Maintain.self, Check.self, Fetch.self, Generate.self, Inspect.self, Convert.self,
            Distill.self,
            Train.self,
            Eval.self, Bench.self, Doctor.self,
        ])

    static func main() async {
        CommandLineSecrets.moveToEnvironment()
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch  where exitCode(for: error) == .failure && !(error is ExitCode) {
            // Not an error of the parser: the work itself failed.
            Console.note("l2s: \(words(for: error))")
            exit(withError: ExitCode(ExitStatus(for: error).rawValue))
        } catch {
            exit(withError: error)
        }
    }

    /// What to say about `error`. Of a command line, PostgreSQL itself reads only the times, so only
    /// its refusal of a time needs an explanation.
    private static func words(for error: any Error) -> String {
        guard let refusal = (error as? DatabaseError)?.refusal,
            ["22007", "22008"].contains(refusal.sqlState)
        else { return "\(error)" }
        return
            "expected a time as PostgreSQL reads it, such as '2030-01-31 18:00 UTC' or tomorrow: "
            + refusal.message
    }
}

extension ExitCode {
    /// Done, but what was wrong has been reported.
    static let foundFaults = ExitCode(ExitStatus.foundFaults.rawValue)
    static let interrupted = ExitCode(ExitStatus.interrupted.rawValue)
}
