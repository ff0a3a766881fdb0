/// A cache with a limit on the total cost of its values. Beyond it, the least recently used value
/// is removed. Every operation takes constant time.
struct LeastRecentlyUsed<Key: Hashable, Value> {
    /// A link of the list from the oldest use to the newest. `older` and `newer` are indices into
    /// `entries`.
    private struct Entry {
        let key: Key
        let value: Value
        let cost: Int
        var older: Int?
        var newer: Int?
    }

    let costLimit: Int
    private(set) var cost = 0
    private var entries: [Entry?] = []
    private var vacant: [Int] = []
    private var indexOfKey: [Key: Int] = [:]
    private var oldest: Int?
    private var newest: Int?

    init(costLimit: Int) { self.costLimit = costLimit }

    var count: Int { indexOfKey.count }

    /// Returns the value, which becomes the most recently used one.
    mutating func use(_ key: Key) -> Value? {
        guard let index = indexOfKey[key], let entry = unlink(index) else { return nil }
        link(entry, at: index)
        return entry.value
    }

    /// Replaces the value of the key. A value that costs more than the limit is not kept.
    mutating func insert(_ value: Value, for key: Key, cost: Int) {
        if let index = indexOfKey[key] { remove(index) }
        guard cost <= costLimit else { return }
        while self.cost > costLimit - cost, let oldest { remove(oldest) }
        self.cost += cost
        let index = vacant.popLast() ?? entries.count
        if index == entries.count { entries.append(nil) }
        indexOfKey[key] = index
        link(Entry(key: key, value: value, cost: cost), at: index)
    }

    private mutating func remove(_ index: Int) {
        guard let entry = unlink(index) else { return }
        indexOfKey[entry.key] = nil
        cost -= entry.cost
        vacant.append(index)
    }

    private mutating func link(_ entry: Entry, at index: Int) {
        var entry = entry
        (entry.older, entry.newer) = (newest, nil)
        entries[index] = entry
        if let newest { entries[newest]?.newer = index } else { oldest = index }
        newest = index
    }

    private mutating func unlink(_ index: Int) -> Entry? {
        guard let entry = entries[index] else { return nil }
        let (older, newer) = (entry.older, entry.newer)
        if let older { entries[older]?.newer = newer } else { oldest = newer }
        if let newer { entries[newer]?.older = older } else { newest = older }
        entries[index] = nil
        return entry
    }
}
