import Foundation
import Settings
import TestSupport
import Testing
import Tokenizers

@testable import Training

@Suite struct ExampleReaderTests {
    private let folder: TinyModels

    init() throws { folder = try TinyModels("t5-v1.0") }

    private func read(_ text: String, _ more: String = "") throws -> ExampleReader.Examples {
        let path = try folder.scratch.write("pairs.jsonl", text.utf8)
        let tokenizer = try openTokenizer(folder: folder.path + "/llm")
        let recipe = try TrainingRecipe(
            parsing: """
                llm: llm
                output: trained
                prompt: "sum: {document} ."
                data: {train: t, validation: v\(more)}
                length: {steps: 1}
                """, file: "recipe.yaml")
        return try ExampleReader(
            recipe, promptTokenizer: tokenizer, outputTokenizer: tokenizer, endID: 1
        ).read(path)
    }

    private func refusals(_ text: String, _ more: String = "") -> [String] {
        do {
            _ = try read(text, more)
            return []
        } catch let error as Refusals {
            return error.all.map(\.description)
        } catch {
            return ["\(error)"]
        }
    }

    @Test func aPairIsThePromptAndTheResponseWithItsEnd() throws {
        let found = try read(#"{"target": "b c", "source": "a", "id": [1]}"# + "\n\n")
        let tokenizer = try openTokenizer(folder: folder.path + "/llm")
        #expect(
            found.examples == [
                TrainingExample(
                    source: tokenizer.encode("sum: a ."), target: tokenizer.encode("b c"))
            ])
        #expect(found.examples[0].target.last == 1)
    }

    @Test func aLongPromptIsCutAsAWorkerCuts() throws {
        let long = String(repeating: "word ", count: 200)
        let found = try read(
            #"{"source": "\#(long)", "target": "b"}"#, ", source_tokens: 20")
        let tokenizer = try openTokenizer(folder: folder.path + "/llm")
        let suffix = tokenizer.encode(" .")
        #expect(found.truncated == 1)
        #expect(found.examples[0].source.count == 20)
        #expect(Array(found.examples[0].source.suffix(suffix.count)) == suffix)
    }

    @Test func aLongTargetIsLeftOut() throws {
        let long = String(repeating: "word ", count: 200)
        let found = try read(
            #"{"source": "a", "target": "\#(long)"}"# + "\n" + #"{"source": "a", "target": "b"}"#)
        #expect(found.leftOut == 1)
        #expect(found.examples.count == 1)
    }

    @Test(arguments: [
        (
            #"{"source": "secret", "target": " "}"#,
            "pairs.jsonl:2: expected target to be a text that is not empty, got an empty text"
        ),
        (
            #"{"source": 5, "target": "b"}"#,
            "expected source to be a text that is not empty, got a number"
        ),
        (#"{"source": null, "target": "b"}"#, "got null"),
        (#"{"source": ["secret"], "target": "b"}"#, "got a list or an object"),
        (#"{"text": "secret", "target": "b"}"#, #"got no such field among "target", "text""#),
        (#"["secret"]"#, "expected the line to be a JSON object, got other text"),
        (#"{"source": "secret"#, "expected the line to be a JSON object"),
    ])
    func aLineThatIsNoPairIsNamedWithoutItsText(_ line: String, _ expected: String) {
        let found = refusals(#"{"source": "a", "target": "b"}"# + "\n" + line + "\n")
        #expect(found.count == 1)
        #expect(found.first?.contains(expected) == true, "\(found)")
        #expect(found.first?.contains("secret") == false)
    }

    @Test func manyFaultsAreCounted() {
        let found = refusals(String(repeating: "no\n", count: 50))
        #expect(found.count == 11)
        #expect(found.last?.contains("40 more") == true)
    }

    @Test func aFileWithoutPairsIsRefused() throws {
        #expect(refusals("\n\n").first?.contains("got none") == true)
        try FileManager.default.removeItem(atPath: folder.path + "/llm/config.json")
        #expect(throws: Refusals.self) {
            try ExampleReader(
                folder.recipe("llm: llm"),
                promptTokenizer: openTokenizer(folder: folder.path + "/llm"),
                outputTokenizer: openTokenizer(folder: folder.path + "/llm"), endID: 1
            ).read("nowhere.jsonl")
        }
    }

    @Test func fieldsMayHaveOtherNames() throws {
        let found = try read(
            #"{"src": "a", "tgt": "b"}"#, ", source_field: src, target_field: tgt")
        #expect(found.examples.count == 1)
    }
}

@Suite struct PairFilterTests {
    private func objection(
        _ source: String, _ target: String, reading: PairFilter.Reading = .whole,
        isOutputCutOff: Bool = false
    ) -> PairFilter.Reason? {
        PairFilter().objection(
            to: PairFilter.Candidate(
                source: source, target: target, reading: reading, isOutputCutOff: isOutputCutOff))
    }

    @Test func eachReasonIsFound() {
        #expect(objection("a source", "a target") == nil)
        #expect(objection("a source", " \n") == .empty)
        #expect(objection("a source", "a target", reading: .cutOff) == .sourceCutOff)
        #expect(objection("a source", "a target", reading: .split) == .sourceSplit)
        #expect(objection("a source", "a target", isOutputCutOff: true) == .outputCutOff)
        #expect(objection("a source", String(repeating: "x", count: 25)) == .tooLong)
        #expect(objection(String(repeating: "long ", count: 300), "a") == .tooShort)
        let circles = "the key of the key of the key of the key"
        #expect(objection("a source that is long enough for it", circles) == .repetition)
    }

    @Test func pairsAreWrittenOnceAndValidationIsChosenByTheSourceAlone() throws {
        let scratch = try ScratchFolder()
        func write(_ order: [Int]) throws -> (train: Set<String>, validation: Set<String>) {
            let paths = ["train", "valid"].map { scratch.path + "/\($0)-\(order[0]).jsonl" }
            let writer = try PairWriter(path: paths[0], validation: paths[1], filter: PairFilter())
            for number in order + [order[0]] {
                try writer.add(
                    PairFilter.Candidate(
                        source: "source \(number)", target: "target \(number)", reading: .whole,
                        isOutputCutOff: false))
            }
            #expect(writer.tally.kept == order.count)
            #expect(writer.tally.dropped == [.duplicate: 1])
            #expect(!FileManager.default.fileExists(atPath: paths[0]))
            try writer.finish()
            let sets = try paths.map {
                Set(
                    try String(contentsOfFile: $0, encoding: .utf8).split(separator: "\n")
                        .map(String.init))
            }
            return (sets[0], sets[1])
        }
        let one = try write(Array(0..<2000))
        let other = try write(Array((0..<2000).reversed()))
        #expect(one.train == other.train)
        #expect(one.validation == other.validation)
        #expect((15...80).contains(one.validation.count))
        #expect(
            one.train.contains(#"{"source":"source 7","target":"target 7"}"#)
                || one.validation.contains(#"{"source":"source 7","target":"target 7"}"#))
    }
}
