import ArgumentParser
import Jobs
import Pipeline
import Settings

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check the job definitions and their models.",
        discussion: """
            Reads every file of the jobs folder and opens every model that they name, as a worker \
            does when it starts, and reports all that is wrong. Needs no database. Exit code 1 when \
            something is wrong. With --json: {"job_types": [{"name", "mode", "reads", "writes", \
            "ok"}], "problems": […]}.
            """)

    @OptionGroup var folders: FolderOptions

    @Flag(help: "Print what a job file may hold, and exit.")
    var fields = false

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        if fields {
            Console.print(JobField.all.reference)
            return
        }
        let installation = try folders.installation
        let (jobTypes, refusals) = readJobTypes(folder: installation.jobsFolder)
        let (faults, warnings, asRun) = try await blocking {
            modelFaults(of: jobTypes, modelsFolder: installation.modelsFolder)
        }
        let problems = refusals.map(\.description) + jobTypes.compactMap { faults[$0.name] }
        let report = Report(
            jobTypes: jobTypes.map { type in
                Report.JobType(
                    name: type.name, mode: type.mode.rawValue, reads: type.encoder,
                    writes: type.decoder, ok: faults[type.name] == nil)
            }, problems: problems)
        if json {
            try Console.printJSON(report)
        } else {
            if !jobTypes.isEmpty { Console.print(report.text) }
            for warning in warnings + asRun.compactMap(\.lengthWarning) {
                Console.note("warning: \(warning)")
            }
            for problem in problems { Console.note(problem) }
        }
        guard problems.isEmpty else {
            Console.note("\(problems.count) problem\(problems.count == 1 ? "" : "s") found")
            throw ExitCode.foundFaults
        }
    }

    private struct Report: Encodable {
        struct JobType: Encodable {
            let name, mode, reads, writes: String
            let ok: Bool
        }

        let jobTypes: [JobType]
        let problems: [String]

        var text: String {
            var table = Columns([
                ("job type", .left), ("mode", .left), ("reads", .left), ("writes", .left),
                ("", .left),
            ])
            for type in jobTypes {
                table.add([
                    type.name, type.mode, type.reads, type.writes, type.ok ? "ok" : "FAILED",
                ])
            }
            return table.lines.joined(separator: "\n")
        }
    }
}

/// Opens the models of `jobTypes`.
///
/// - Returns: `faults`, what is wrong, by the job type's name; `warnings`, what could not be checked;
///   `asRun`, the job types with the settings that they leave to their models. The first two are
///   empty when all is well.
func modelFaults(
    of jobTypes: [JobType], modelsFolder: String
) -> (faults: [String: String], warnings: [String], asRun: [JobType]) {
    // First all together, so that a model of several job types is opened once. Only after a fault are
    // they opened one by one, to tell which of them are well.
    if let library = try? ModelLibrary(jobTypes: jobTypes, modelsFolder: modelsFolder) {
        return ([:], library.warnings.unique, library.jobTypes)
    }
    return jobTypes.reduce(into: ([:], [], [])) { found, type in
        do {
            let library = try ModelLibrary(jobTypes: [type], modelsFolder: modelsFolder)
            found.warnings = (found.warnings + library.warnings).unique
            found.asRun += library.jobTypes
        } catch {
            found.faults[type.name] = "\(error)"
        }
    }
}

extension JobType {
    /// A warning for a job type that translates, judged by its name, and would cut off long outputs.
    /// Nil for others.
    fileprivate var lengthWarning: String? {
        guard name.lowercased().contains("transl"), limits.newTokens < limits.sourceTokens else {
            return nil
        }
        return "\(name): a translation is about as long as its text, but limits.new_tokens "
            + "(\(limits.newTokens)) is less than limits.source_tokens (\(limits.sourceTokens)): "
            + "outputs of long documents will be cut off (column cut_off of l2s.jobs tells)"
    }
}

extension [String] {
    /// Without repetitions: two job types of one small model have the same warning.
    fileprivate var unique: [String] {
        var seen: Set<String> = []
        return filter { seen.insert($0).inserted }
    }
}
