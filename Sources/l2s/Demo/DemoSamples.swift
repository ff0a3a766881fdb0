import Foundation
import Jobs
import Programs

/// The sample documents: a folder per job type below `jobs/samples`, a text file per document.
struct DemoSamples {
    struct Sample {
        /// The job type that the folder is named after, and its twin that the large model does
        /// alone.
        let jobType: String
        /// The file's name without `.txt`.
        let name: String
        let text: String
    }

    let jobTypes: [JobType]
    /// By job type, then by name.
    let all: [Sample]

    /// The job types that have samples.
    var sampled: [String] {
        all.reduce(into: []) { if $0.last != $1.jobType { $0.append($1.jobType) } }
    }

    init(jobsFolder: String, jobTypes: [JobType]) throws {
        let folder = jobsFolder + "/samples"
        let files = FileManager.default
        var samples: [Sample] = []
        for type in jobTypes.map(\.name).sorted() {
            let names = ((try? files.contentsOfDirectory(atPath: "\(folder)/\(type)")) ?? [])
                .filter { $0.hasSuffix(".txt") }.sorted()
            for name in names {
                let path = "\(folder)/\(type)/\(name)"
                guard let bytes = files.contents(atPath: path),
                    let text = String(validating: bytes, as: UTF8.self)
                else { throw Failure("expected \(path) to be a readable file of UTF-8") }
                samples.append(
                    Sample(jobType: type, name: String(name.dropLast(4)), text: text))
            }
        }
        guard !samples.isEmpty else {
            throw Failure(
                "expected sample documents, such as \(folder)/summarize/001.txt, found none")
        }
        self.jobTypes = jobTypes
        all = samples
        for type in sampled where !jobTypes.contains(where: { $0.name == twin(of: type, .llm) }) {
            throw Failure(
                "expected \(jobsFolder) to define job type \(twin(of: type, .llm)) too, in llm "
                    + "mode, to compare \(type) with")
        }
    }

    /// The job type that does in `mode` what `type` does.
    func twin(of type: String, _ mode: JobType.Mode) -> String {
        mode == .llm ? type + "-llm" : type
    }
}
