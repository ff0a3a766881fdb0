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
            something is wrong.
            """)

    @OptionGroup var folders: FolderOptions

    @Flag(help: "Print what a job file may hold, and exit.")
    var fields = false

    func run() async throws {
        if fields {
            Console.print(JobField.all.reference)
            return
        }
        let installation = try folders.installation
        let (jobTypes, refusals) = readJobTypes(folder: installation.jobsFolder)
        let faults = try await blocking {
            modelFaults(of: jobTypes, modelsFolder: installation.modelsFolder)
        }
        var table = Columns([
            ("job type", .left), ("mode", .left), ("reads", .left), ("writes", .left), ("", .left),
        ])
        for type in jobTypes {
            table.add([
                type.name, type.mode.rawValue, type.reader, type.writer,
                faults[type.name] == nil ? "ok" : "FAILED",
            ])
        }
        if !jobTypes.isEmpty { Console.print(table.lines.joined(separator: "\n")) }
        let problems = refusals.map(\.description) + jobTypes.compactMap { faults[$0.name] }
        for problem in problems { Console.note(problem) }
        guard problems.isEmpty else {
            Console.note("\(problems.count) problem\(problems.count == 1 ? "" : "s") found")
            throw ProgramExit.foundFaults
        }
    }
}

/// What is wrong with the models of job types, by job type; empty when all can be opened.
func modelFaults(of jobTypes: [JobType], modelsFolder: String) -> [String: String] {
    // Together, so that a model of several job types is opened once; only a fault makes it worth
    // opening them one by one to tell which are well.
    if (try? ModelLibrary(jobTypes: jobTypes, modelsFolder: modelsFolder)) != nil { return [:] }
    return jobTypes.reduce(into: [:]) { faults, type in
        do {
            _ = try ModelLibrary(jobTypes: [type], modelsFolder: modelsFolder)
        } catch {
            faults[type.name] = "\(error)"
        }
    }
}
