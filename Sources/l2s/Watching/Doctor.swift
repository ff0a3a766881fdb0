import ArgumentParser
import Foundation
import Inference
import LocalPostgres
import Postgres
import PostgresJobs
import Settings

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check that everything that l2s needs is there, and say what to do if not.",
        discussion: """
            Looks at the machine, the job definitions, the models, the database and the workers. \
            Exit code 1 when a check failed. Without --database-url or L2S_DATABASE_URL, the checks \
            of the database are skipped. With --json: [{"check", "verdict", "words"}], where the \
            verdict is ok, failed, skipped or noted.
            """)

    @Flag(help: "Print JSON.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "A transaction that is open for longer is a finding.", valueName: "seconds"))
    var oldTransaction = 300

    @Option(
        name: .customLong(SettingName.listenURL.rawValue),
        help: ArgumentHelp(
            "The workers' --listen-url, to see whether notifications arrive. [\(SettingName.listenURL.variable)]",
            valueName: "url"))
    var listenURL: String?

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var folders: FolderOptions

    func run() async throws {
        var findings = [processor, await libraries(), serverPrograms]
        findings += await definitions()
        findings += await databaseFindings()
        if json {
            try Console.printJSON(findings)
        } else {
            let width = findings.map(\.check.count).max() ?? 0
            for finding in findings {
                Console.print(
                    "\(finding.verdict.word.padded(to: 7)) \(finding.check.padded(to: width))  "
                        + finding.words)
            }
        }
        let failed = findings.count { $0.verdict == .failed }
        guard failed == 0 else {
            Console.note("\(failed) check\(failed == 1 ? "" : "s") failed")
            throw ExitCode.foundFaults
        }
    }

    struct Finding: Sendable, Encodable {
        enum Verdict: String, Encodable {
            case ok, failed, skipped
            /// Nothing is broken, but it may not be what the user expects.
            case noted

            var word: String {
                switch self {
                case .ok: "ok"
                case .failed: "FAILED"
                case .skipped: "skipped"
                case .noted: "note"
                }
            }
        }

        let verdict: Verdict
        let check: String
        /// What was found; for a failure also what to do.
        let words: String
    }

    private var processor: Finding {
        let processors = Processors.available
        do { try KernelLevel.checkChoice() } catch {
            return Finding(verdict: .failed, check: "processor", words: "\(error)")
        }
        let level = KernelLevel.chosen
        return Finding(
            verdict: level == .portable ? .noted : .ok, check: "processor",
            words: "\(processors.cores) cores"
                + (processors.quota.map {
                    ", of which the control group allows \($0.rounded(digits: 2))"
                } ?? "") + ", \(level.rawValue) kernels"
                + (level == .portable
                    ? ": without AVX2 or NEON dot products l2s works at a fraction of its speed"
                    : ""))
    }

    /// Says which libraries were found. Without them the program would not have started.
    private func libraries() async -> Finding {
        var found: [String] = []
        if var maps = try? InputFile(path: "/proc/self/maps") {
            while case .bytes(let line)? = try? await maps.nextLine() {
                let file = String(decoding: line, as: UTF8.self).split(separator: "/").last ?? ""
                let isWanted = ["libpq.so", "libsentencepiece.so", "libicuuc.so"].contains {
                    file.hasPrefix($0)
                }
                if isWanted, !found.contains(String(file)) { found.append(String(file)) }
            }
        }
        return Finding(
            verdict: .ok, check: "system libraries",
            words: found.isEmpty ? "linked in" : found.joined(separator: ", "))
    }

    private var serverPrograms: Finding {
        do {
            return Finding(
                verdict: .ok, check: "PostgreSQL programs",
                words: try PrivateServer.programsFolder + " (only l2s demo and tests need them)")
        } catch {
            return Finding(
                verdict: .noted, check: "PostgreSQL programs",
                words: "\(error) (only l2s demo and tests need them)")
        }
    }

    /// Each reason once, with the job types that it concerns.
    private func words(_ faults: [String: String]) -> String {
        let types = Dictionary(grouping: faults.keys.sorted()) { name in
            faults[name]?.replacing("job type \(name): ", with: "") ?? ""
        }
        return types.sorted { $0.value[0] < $1.value[0] }.map { reason, names in
            "job type\(names.count == 1 ? "" : "s") \(names.joined(separator: ", ")): \(reason)"
        }.joined(separator: "; ")
    }

    private func definitions() async -> [Finding] {
        do {
            let installation = try folders.installation
            let (jobTypes, refusals) = readJobTypes(folder: installation.jobsFolder)
            let faults = try await blocking {
                modelFaults(of: jobTypes, modelsFolder: installation.modelsFolder).faults
            }
            return [
                Finding(
                    verdict: refusals.isEmpty ? .ok : .failed, check: "job definitions",
                    words: refusals.isEmpty
                        ? "\(jobTypes.count) in \(installation.jobsFolder)"
                        : refusals.map(\.description).joined(separator: "; ")),
                Finding(
                    verdict: faults.isEmpty ? .ok : .failed, check: "models",
                    words: faults.isEmpty
                        ? "all open, in \(installation.modelsFolder)"
                        : words(faults)),
            ]
        } catch {
            return [Finding(verdict: .failed, check: "job definitions", words: "\(error)")]
        }
    }
}
