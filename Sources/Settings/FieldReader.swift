import Yams

/// The fields of one YAML file as text, and the refusals met so far.
struct FieldReader {
    let file: String
    /// All fields that the file may hold.
    let fields: [FieldDescription]
    private(set) var refusals: [Refusal] = []
    /// By full name: `limits.new_tokens`.
    private var found: [String: (text: String, line: Int?)] = [:]
    /// The fields that held a list or a group in place of a text. They are refused already, so that
    /// they are not refused again as missing.
    private var unreadable: Set<String> = []

    init(file: String, fields: [FieldDescription]) {
        self.file = file
        self.fields = fields
    }

    /// Takes in the whole document and refuses what is not a known field in its place.
    mutating func scan(_ root: Node) {
        guard case .mapping(let mapping) = root else {
            return refuse(
                "the file", at: root.mark?.line,
                expected: "fields such as `\(fields.keys(of: nil).first ?? ""): …`",
                found: root.kind)
        }
        scan(mapping, section: nil)
    }

    private mutating func scan(_ mapping: Node.Mapping, section: String?) {
        let known = fields.keys(of: section)
        for (key, value) in mapping {
            let line = key.mark?.line
            let key = key.scalar?.string ?? ""
            let name = section.map { "\($0).\(key)" } ?? key
            guard known.contains(key) else {
                let nearest = key.nearest(among: known).map { "; did you mean \($0)?" } ?? ""
                refuse(
                    section ?? "the file", at: line,
                    expected: "made of \(known.joined(separator: ", "))",
                    found: Refusal.quoted(key) + nearest)
                continue
            }
            let isSection = section == nil && fields.sections.contains(key)
            switch value {
            case .scalar(let scalar) where !isSection:
                found[name] = (scalar.string, line)
            case .scalar(let scalar) where scalar.string.isEmpty:
                break  // A section with every field commented out.
            case .mapping(let inner) where isSection:
                scan(inner, section: key)
            default:
                unreadable.insert(name)
                let expected =
                    isSection
                    ? "fields such as `\(fields.keys(of: key).first ?? ""): …`"
                    : fields.first { $0.name == name }?.expected ?? "a value"
                refuse(name, at: line, expected: expected, found: value.kind)
            }
        }
    }

    func text(of field: Field<some Any>) -> String? { found[field.about.name]?.text }
    func line(of field: Field<some Any>) -> Int? { found[field.about.name]?.line }

    /// The value given, or the default. Nil, with a refusal, if it is wrong or missing.
    mutating func value<Value>(_ field: Field<Value>) -> Value? {
        guard let text = text(of: field) else {
            if let standard = field.defaultValue { return standard }
            if !unreadable.contains(field.about.name) {
                refuse(field, expected: field.quantity.expected, found: nil)
            }
            return nil
        }
        if let value = field.quantity.read(text) { return value }
        refuse(field, expected: field.quantity.expected, found: text)
        return nil
    }

    /// Nil, without a refusal, where the field is absent.
    mutating func optional<Value>(_ field: Field<Value>) -> Value? {
        text(of: field) == nil ? nil : value(field)
    }

    mutating func refuse(_ field: Field<some Any>, expected: String, found: String?) {
        let shown = found.map { $0.isEmpty ? "nothing" : Refusal.quoted($0) } ?? "nothing"
        refuse(field.about.name, at: line(of: field), expected: expected, found: shown)
    }

    mutating func refuseIfGiven(_ field: Field<some Any>, unless rule: String) {
        guard let found = text(of: field) else { return }
        refuse(field, expected: "left out unless \(rule)", found: found)
    }

    private mutating func refuse(
        _ field: String, at line: Int?, expected: String, found: String
    ) {
        refusals.append(
            Refusal(file: file, line: line, field: field, expected: expected, found: found))
    }
}

extension Node {
    /// What a refusal says that it found.
    fileprivate var kind: String {
        switch self {
        case .scalar(let scalar): scalar.string.isEmpty ? "nothing" : Refusal.quoted(scalar.string)
        case .mapping: "a group of fields"
        case .sequence: "a list"
        case .alias: "an alias"
        }
    }
}

extension [FieldDescription] {
    /// Such as `limits`, `batch` and `retry`.
    fileprivate var sections: [String] {
        reduce(into: []) { sections, field in
            let parts = field.name.split(separator: ".")
            if parts.count == 2, !sections.contains(String(parts[0])) {
                sections.append(String(parts[0]))
            }
        }
    }

    /// The keys that stand at the top, or within `section`.
    fileprivate func keys(of section: String?) -> [String] {
        guard let section else { return map(\.name).filter { !$0.contains(".") } + sections }
        return filter { $0.name.hasPrefix("\(section).") }
            .map { String($0.name.dropFirst(section.count + 1)) }
    }
}
