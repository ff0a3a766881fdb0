import Foundation
import Jobs
import Programs

/// The sample documents: a folder per job type below `jobs/samples`, a text file per document.
struct DemoSamples {
    struct Sample {
        /// The folder, named after a job type for such documents.
        let jobType: String
        /// The file's name without `.txt`.
        let name: String
        let text: String
    }

    let jobTypes: [JobType]
    /// The names of the job types whose outputs the demo shows: all but the twins, which serve for
    /// comparison.
    let shown: [String]
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
        let names = Set(jobTypes.map(\.name))
        shown = names.filter { name in
            !(name.hasSuffix("-llm") && names.contains(String(name.dropLast("-llm".count))))
        }.sorted()
        for name in shown where twin(of: name) == nil {
            throw Failure(
                "expected \(jobsFolder) to define a job type in llm mode with the same llm, "
                    + "adapter and prompts as \(name), such as \(name)-llm, to compare it with")
        }
    }

    /// The job type in which the large model does what `type` does: `type` itself in `llm` mode.
    func twin(of type: String) -> String? {
        if jobTypes.contains(where: { $0.name == type + "-llm" }) { return type + "-llm" }
        guard let given = jobTypes.first(where: { $0.name == type }) else { return nil }
        if given.mode == .llm { return type }
        return jobTypes.first {
            $0.mode == .llm && $0.llm == given.llm && $0.adapter == given.adapter
                && $0.prompt == given.prompt && $0.decoderPrompt == given.decoderPrompt
        }?.name
    }
}
