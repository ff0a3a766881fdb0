/// Lists of token ids, as generation_config.json has them.
extension JSONFields {
    /// A list of token ids, which may be empty.
    func idList(_ name: String) throws -> [Int32] {
        guard case .list(let values) = values[name] else {
            throw refuse(name, "a list of token ids")
        }
        return try ids(values, name)
    }

    /// Runs of token ids, none of them empty.
    func idLists(_ name: String) throws -> [[Int32]] {
        let lists: [[Int]]? =
            switch values[name] {
            case .lists(let lists): lists
            case .list(let values) where values.isEmpty: []
            default: nil
            }
        guard let lists, lists.allSatisfy({ !$0.isEmpty }) else {
            throw refuse(name, "lists of one token id or more")
        }
        return try lists.map { try ids($0, name) }
    }

    private func ids(_ values: [Int], _ name: String) throws -> [Int32] {
        try values.map {
            guard let id = Int32(exactly: $0), id >= 0 else {
                throw refuse(name, "token ids", "\($0)")
            }
            return id
        }
    }
}
