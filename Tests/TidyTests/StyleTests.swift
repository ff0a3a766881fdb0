import Testing

/// Words that no line of some files may hold, comments aside.
private struct Rule: Sendable, CustomTestStringConvertible {
    let words: [String]
    let advice: String
    var inComments = false
    let applies: @Sendable (SourceFile) -> Bool

    var testDescription: String { advice }

    func breaches(in file: SourceFile) -> [String] {
        guard applies(file) else { return [] }
        return file.lines.enumerated().compactMap { index, line in
            let text = inComments ? line[...] : line.withoutComment
            guard let word = words.first(where: text.holds) else { return nil }
            return "\(file.path):\(index + 1): \(word): \(advice)"
        }
    }
}

private let rules: [Rule] = [
    Rule(words: ["try!", "as!"], advice: "throw what is wrong instead of trapping") {
        $0.ends(with: ".swift")
    },
    Rule(
        words: ["fatalError("],
        advice: "throw for what comes from outside; precondition with the numbers for the rest"
    ) { $0.isBelow("Sources") },
    Rule(words: ["print(", "debugPrint("], advice: "emit a WorkerEvent, or return the text") {
        $0.isBelow("Sources") && !["l2s", "l2s-worker", "Benchmarks"].contains($0.module)
    },
    Rule(
        words: ["Thread.sleep", "usleep(", "nanosleep(", "sleep("],
        advice: "wait for a signal; a blocked thread serves nobody"
    ) { $0.ends(with: ".swift") && !$0.isBelow("Tests") },
    Rule(
        words: ["Task.sleep", "Thread.sleep", "usleep(", "nanosleep(", "sleep("],
        advice: "wait for a signal or drive a test clock: sleeping tests are slow and flaky"
    ) { $0.isBelow("Tests") },
    Rule(
        words: [
            "UnsafePointer", "UnsafeMutablePointer", "UnsafeRawPointer",
            "UnsafeMutableRawPointer", "UnsafeBufferPointer", "UnsafeMutableBufferPointer",
            "UnsafeRawBufferPointer", "UnsafeMutableRawBufferPointer", "OpaquePointer",
            "unsafeBitCast(", "Unmanaged", "withUnsafeBytes", "withUnsafeMutableBytes",
            "withUnsafePointer", "withUnsafeBufferPointer", "withUnsafeMutableBufferPointer",
        ],
        advice:
            "unsafe memory stays in Tensors, Operators, Checkpoints, Benchmarks and the doors to C; "
            + "lend spans from there"
    ) { file in
        file.isBelow("Sources")
            && ![
                "Sources/Inference/Tensors", "Sources/Inference/Operators", "Sources/Checkpoints",
                "Sources/Tokenizers", "Sources/Postgres", "Sources/Benchmarks",
                "Sources/Training/Tensors",
                "Sources/Training/Operators",
            ].contains(where: file.isBelow)
    },
    Rule(
        words: ["/home/", "/Users/", "/root/", "/work/"],
        advice: "a path of one machine: take it from a setting or relative to the repository",
        inComments: true
    ) { _ in true },
    Rule(
        words: ["/// Of ", "/// Likewise", "/// That of", "/// Those of"],
        advice: "say what it is: a comment is read without the line before it", inComments: true
    ) { $0.ends(with: ".swift") },
    Rule(
        words: ["TODO", "FIXME", "XXX"], advice: "do it, or open an issue and say nothing here",
        inComments: true
    ) { _ in true },
]

@Suite struct StyleTests {
    /// Without the files of this folder, which name what they forbid.
    private let files = Repository.files.filter { !$0.isBelow("Tests/TidyTests") }

    @Test(arguments: rules)
    fileprivate func noFileBreaks(_ rule: Rule) {
        let breaches = files.flatMap(rule.breaches)
        #expect(breaches.isEmpty, "\(breaches.joined(separator: "\n"))")
    }

    @Test func noFileIsTooLong() {
        let longest = 400
        let generated = ["migrations/schema.sql"]
        let breaches = Repository.files
            .filter { $0.lines.count > longest + 1 && !generated.contains($0.path) }
            .map { "\($0.path):\(longest): split it: \($0.lines.count) lines, \(longest) at most" }
        #expect(breaches.isEmpty, "\(breaches.joined(separator: "\n"))")
    }

    @Test func theFilesAreFound() {
        #expect(files.count > 20)
        #expect(files.contains { $0.path == "Sources/Jobs/JobType.swift" })
        #expect(files.contains { $0.path == ".ci/run" })
    }

    @Test(arguments: rules)
    fileprivate func aBreachIsNamed(_ rule: Rule) {
        for word in rule.words {
            let files = ["Sources/Worker", "Tests/WorkerTests"].map {
                SourceFile(path: "\($0)/Sample.swift", text: "let a = 1\n    \(word)a)\n")
            }
            let breaches = files.flatMap(rule.breaches)
            #expect(breaches.contains { $0.contains("Sample.swift:2: ") }, "\(word)")
        }
    }

    @Test func wordsAreWholeAndCommentsAreNot() {
        let file = SourceFile(
            path: "Sources/Worker/Sample.swift",
            text: """
                let a = fingerprint(b)
                // print(b) would not do
                let url = "postgresql://host"  // usleep(1)
                """)
        #expect(rules.flatMap { $0.breaches(in: file) }.isEmpty)
    }
}

extension StringProtocol {
    /// Whether `word` stands in the text and is not the end of a longer name or path.
    fileprivate func holds(_ word: String) -> Bool {
        ranges(of: word).contains { range in
            guard let before = self[..<range.lowerBound].last else { return true }
            return !(before.isLetter || before.isNumber || "_.$~}".contains(before))
        }
    }

    fileprivate var withoutComment: SubSequence {
        for range in ranges(of: "//") {
            // `://` belongs to an address, not to a comment.
            if self[..<range.lowerBound].last != ":" { return self[..<range.lowerBound] }
        }
        return self[...]
    }
}
