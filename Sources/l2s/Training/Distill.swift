import ArgumentParser
import Jobs
import Programs
import Settings
import Training

struct Distill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Collect what a large model writes, for a small one to learn from.",
        discussion: """
            A small decoder learns more easily from the large model's own outputs than from \
            references (sequence-level distillation). Writes JSON Lines of \
            {"source": "…", "target": "…"} for `l2s train`. Labels that are empty, cut off, out of \
            proportion or repeat themselves are left out, and counted.
            """,
        subcommands: [DistillDocuments.self, DistillJobs.self])
}

/// The options of both subcommands.
struct LabelOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A job type of mode llm, whose large model writes the labels.", valueName: "name"))
    var jobType: String

    @Option(help: ArgumentHelp("The file of pairs to write.", valueName: "file"))
    var output: String

    @Option(
        help: ArgumentHelp(
            "Write one pair in \(PairWriter.validationShare) here instead, for validation. Its source "
                + "alone decides which.", valueName: "file"))
    var validation: String?

    @Option(help: "The fewest characters of an output for each character of its source.")
    var minimumRatio = PairFilter().lengthRatio.lowerBound

    @Option(help: "The most characters of an output for each character of its source.")
    var maximumRatio = PairFilter().lengthRatio.upperBound

    @Option(help: "The largest share of an output's word pairs that repeat an earlier one, 0 to 1.")
    var maximumRepetition = PairFilter().maximumRepetition

    @OptionGroup var folders: FolderOptions

    func validate() throws {
        guard minimumRatio >= 0, minimumRatio <= maximumRatio else {
            throw ValidationError(
                "expected --minimum-ratio to be from 0 to --maximum-ratio (\(maximumRatio)), "
                    + "got \(minimumRatio)")
        }
        guard (0...1).contains(maximumRepetition) else {
            throw ValidationError(
                "expected --maximum-repetition to be from 0 to 1, got \(maximumRepetition)")
        }
        guard validation != output else {
            throw ValidationError("expected --validation to be another file than --output")
        }
    }

    /// - Throws: `Failure` unless the jobs folder has the job type, an LLM writes its outputs, and its
    ///   prompts hold no metadata.
    func openJobType() throws -> JobType {
        let jobTypes = try loadJobTypes(folder: folders.installation.jobsFolder)
        guard let found = jobTypes.first(where: { $0.name == jobType }) else {
            let names = jobTypes.filter { $0.mode == .llm }.map(\.name)
            throw Failure(
                "expected --job-type to be a job type of mode llm "
                    + "(\(names.isEmpty ? "there is none" : names.joined(separator: ", "))), "
                    + "got \(Refusal.quoted(jobType))")
        }
        guard found.mode == .llm else {
            throw Failure(
                "expected --job-type to be a job type of mode llm, got \(found.name), which is of "
                    + "mode \(found.mode.rawValue): a small model would learn from a small one")
        }
        guard found.fields.isEmpty else {
            throw Failure(
                "expected --job-type to have prompts without {metadata.…}, since a pair for "
                    + "`l2s train` keeps no metadata, got \(found.name), whose prompts hold "
                    + found.fields.map { "{metadata.\($0)}" }.joined(separator: ", ")
                    + "; make a job type that spells it out")
        }
        return found
    }

    func writer() throws -> PairWriter {
        var filter = PairFilter()
        filter.lengthRatio = minimumRatio...maximumRatio
        filter.maximumRepetition = maximumRepetition
        return try PairWriter(path: output, validation: validation, filter: filter)
    }

    /// Puts the files in place and prints what was kept and left out.
    ///
    /// - Throws: `Failure` if no pair is left.
    func finish(_ writer: PairWriter) throws {
        guard writer.tally.kept > 0 else {
            throw Failure(
                (["no pair is left, nothing was written"] + writer.tally.lines)
                    .joined(separator: "\n"))
        }
        try writer.finish()
        Console.print(writer.tally.lines.joined(separator: "\n"))
        let train = writer.tally.kept - writer.validationPairs
        Console.print("\(output): \(train.grouped) pairs")
        if let validation {
            Console.print("\(validation): \(writer.validationPairs.grouped) pairs")
        }
    }
}
