extension String {
    /// The candidate with the fewest letters to change, when that is at most a third of the word.
    func nearest(among candidates: [String]) -> String? {
        let ranked = candidates.map { (name: $0, distance: editDistance(to: $0)) }
        guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
        return best.distance <= max(1, best.name.count / 3) ? best.name : nil
    }

    /// Levenshtein's distance of the first 64 letters, because a key can be a megabyte.
    private func editDistance(to other: String) -> Int {
        let (own, other) = (Array(prefix(64)), Array(other.prefix(64)))
        var row = Array(0...other.count)
        for (line, letter) in own.enumerated() {
            var diagonal = row[0]
            row[0] = line + 1
            for (column, candidate) in other.enumerated() {
                let replaced = diagonal + (letter == candidate ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = Swift.min(replaced, diagonal + 1, row[column] + 1)
            }
        }
        return row[other.count]
    }
}
