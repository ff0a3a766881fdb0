/// Porter's suffix stripping (Program 14.3, 1980) for English words of a–z and 0–9, with the
/// extensions of NLTK 3.10, which rouge-score uses.
enum PorterStemmer {
    private typealias Word = ArraySlice<UInt8>
    private typealias Condition = (Word) -> Bool

    private static let irregular = [
        "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "innings": "inning",
        "outings": "outing", "cannings": "canning", "sky": "sky", "news": "news",
        "inning": "inning", "outing": "outing", "canning": "canning", "howe": "howe",
        "proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
    ]

    static func stem(_ word: String) -> String {
        if let known = irregular[word] { return known }
        guard word.utf8.count > 2 else { return word }
        var stem = Array(word.utf8)[...]
        for step in [step1a, step1b, step1c, step2, step3, step4, step5a, step5b] {
            stem = step(stem)
        }
        return String(decoding: stem, as: UTF8.self)
    }

    // MARK: Steps

    private static func step1a(_ word: Word) -> Word {
        if word.count == 4, word.ends(with: "ies") { return word.dropLast(1) }
        return apply([("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")], to: word)
    }

    private static func step1b(_ word: Word) -> Word {
        if word.ends(with: "ied") { return word.dropLast(word.count == 4 ? 1 : 2) }
        if word.ends(with: "eed") {
            return measure(word.dropLast(3)) > 0 ? word.dropLast(1) : word
        }
        guard
            let suffix = ["ed", "ing"].first(where: {
                word.ends(with: $0) && containsVowel(word.dropLast($0.utf8.count))
            })
        else { return word }
        let stem = word.dropLast(suffix.utf8.count)
        for short in ["at", "bl", "iz"] where stem.ends(with: short) { return stem + "e".utf8 }
        if endsWithDoubleConsonant(stem) {
            return "lsz".utf8.contains(stem.last ?? 0) ? stem : stem.dropLast(1)
        }
        return measure(stem) == 1 && endsConsonantVowelConsonant(stem) ? stem + "e".utf8 : stem
    }

    private static func step1c(_ word: Word) -> Word {
        guard word.ends(with: "y"), word.count > 2, consonants(word.dropLast(1)).last == true
        else { return word }
        return word.dropLast(1) + "i".utf8
    }

    private static func step2(_ word: Word) -> Word {
        if word.ends(with: "alli"), measure(word.dropLast(4)) > 0 {
            return step2(word.dropLast(2))
        }
        if word.ends(with: "logi") {
            return measure(word.dropLast(3)) > 0 ? word.dropLast(1) : word
        }
        return apply(
            [
                ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"),
                ("izer", "ize"), ("bli", "ble"), ("alli", "al"), ("entli", "ent"), ("eli", "e"),
                ("ousli", "ous"), ("ization", "ize"), ("ation", "ate"), ("ator", "ate"),
                ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"),
                ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"), ("fulli", "ful"),
            ], to: word
        ) { measure($0) > 0 }
    }

    private static func step3(_ word: Word) -> Word {
        apply(
            [
                ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"),
                ("ful", ""), ("ness", ""),
            ], to: word
        ) { measure($0) > 0 }
    }

    private static func step4(_ word: Word) -> Word {
        let first = [
            "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent",
        ]
        for suffix in first where word.ends(with: suffix) {
            let stem = word.dropLast(suffix.utf8.count)
            return measure(stem) > 1 ? stem : word
        }
        if word.ends(with: "ion") {
            let stem = word.dropLast(3)
            return measure(stem) > 1 && "st".utf8.contains(stem.last ?? 0) ? stem : word
        }
        return apply(
            ["ou", "ism", "ate", "iti", "ous", "ive", "ize"].map { ($0, "") }, to: word
        ) { measure($0) > 1 }
    }

    private static func step5a(_ word: Word) -> Word {
        guard word.ends(with: "e") else { return word }
        let stem = word.dropLast(1)
        let measure = measure(stem)
        return measure > 1 || measure == 1 && !endsConsonantVowelConsonant(stem) ? stem : word
    }

    private static func step5b(_ word: Word) -> Word {
        word.ends(with: "ll") && measure(word.dropLast(1)) > 1 ? word.dropLast(1) : word
    }

    // MARK: Conditions

    /// The first rule whose suffix the word has decides, whether its condition holds or not.
    private static func apply(
        _ rules: [(suffix: String, replacement: String)], to word: Word,
        where condition: Condition = { _ in true }
    ) -> Word {
        guard let rule = rules.first(where: { word.ends(with: $0.suffix) }) else { return word }
        let stem = word.dropLast(rule.suffix.utf8.count)
        return condition(stem) ? stem + rule.replacement.utf8 : word
    }

    /// For each letter, whether it is a consonant. A y is one at the start and after a vowel.
    private static func consonants(_ word: Word) -> [Bool] {
        word.reduce(into: []) { flags, letter in
            if letter == UInt8(ascii: "y") {
                flags.append(flags.last.map { !$0 } ?? true)
            } else {
                flags.append(!"aeiou".utf8.contains(letter))
            }
        }
    }

    /// How many vowels are followed by a consonant: Porter's m.
    private static func measure(_ stem: Word) -> Int {
        let flags = consonants(stem)
        return zip(flags, flags.dropFirst()).count { !$0 && $1 }
    }

    private static func containsVowel(_ stem: Word) -> Bool { consonants(stem).contains(false) }

    private static func endsWithDoubleConsonant(_ word: Word) -> Bool {
        word.count >= 2 && word.last == word.dropLast(1).last && consonants(word).last == true
    }

    private static func endsConsonantVowelConsonant(_ word: Word) -> Bool {
        let flags = consonants(word).suffix(3)
        if word.count == 2 { return flags.elementsEqual([false, true]) }
        return flags.elementsEqual([true, false, true]) && !"wxy".utf8.contains(word.last ?? 0)
    }
}

extension ArraySlice<UInt8> {
    fileprivate func ends(with suffix: String) -> Bool {
        self.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }
}
