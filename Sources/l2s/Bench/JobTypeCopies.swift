import Foundation
import Jobs
import Settings

/// Copies of job types under other names, for runs with several outputs of each document.
struct JobTypeCopies {
    let installation: Installation
    let jobTypes: [JobType]

    /// - Parameters:
    ///   - folder: gets the job files of the installation, and copies of those in `names`.
    ///   - count: how many job types each of `names` becomes, itself included.
    init(
        of names: Set<String>, count: Int, in folder: String, _ installation: Installation
    ) throws {
        let files = FileManager.default
        try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for file in try files.contentsOfDirectory(atPath: installation.jobsFolder)
        where file.hasSuffix(".yaml") || file.hasSuffix(".yml") {
            let text = try String(
                contentsOfFile: "\(installation.jobsFolder)/\(file)", encoding: .utf8)
            let jobType = try JobFile(parsing: text, file: file).jobType
            let numbers = names.contains(jobType.name) ? 1...count : 1...1
            for number in numbers {
                var copy = text.split(separator: "\n", omittingEmptySubsequences: false)
                for index in copy.indices where copy[index].hasPrefix("name:") {
                    copy[index] = "name: \(Self.name(jobType.name, number))"
                }
                try copy.joined(separator: "\n").write(
                    toFile: "\(folder)/\(number)-\(file)", atomically: false, encoding: .utf8)
            }
        }
        self.installation = try Installation(
            RawSettings(
                flags: [.jobs: folder, .models: installation.modelsFolder], environment: [:]))
        jobTypes = try loadJobTypes(folder: folder)
    }

    /// The name of copy `number` of job type `name`; number 1 is the job type itself.
    static func name(_ name: String, _ number: Int) -> String {
        number == 1 ? name : "\(name)-\(number)"
    }
}
