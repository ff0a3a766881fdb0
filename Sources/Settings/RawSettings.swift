/// What a program was told, before anything is made of it.
package struct RawSettings: Sendable {
    package var flags: [SettingName: String]
    package var environment: [String: String]

    /// - Parameters:
    ///   - flags: as typed; nil for a flag that was not.
    ///   - environment: all of the process's.
    package init(flags: [SettingName: String?], environment: [String: String]) {
        self.flags = flags.compactMapValues(\.self)
        self.environment = environment
    }

    /// The text and where it comes from: a flag goes before a variable, an empty variable is none.
    func text(of name: SettingName) -> (text: String, origin: String)? {
        if let text = flags[name] { return (text, name.flag) }
        guard let text = environment[name.variable], !text.isEmpty else { return nil }
        return (text, name.variable)
    }
}

/// Reads settings one by one and collects what is wrong with them.
struct SettingReader {
    let raw: RawSettings
    private(set) var refusals: [Refusal] = []

    init(_ raw: RawSettings) {
        self.raw = raw
    }

    /// The value given, else the default. A wrong one is refused and replaced by the default, so that
    /// reading goes on to the next.
    mutating func value<Value>(_ setting: Setting<Value>) -> Value {
        value(setting, default: setting.field.standard)
    }

    /// The same of a setting whose default is worked out.
    mutating func value<Value>(_ setting: Setting<Value>, default standard: Value) -> Value {
        guard let (text, origin) = raw.text(of: setting.name) else { return standard }
        let quantity = setting.field.quantity
        if let value = quantity.read(text) { return value }
        refusals.append(
            Refusal(field: origin, expected: quantity.expected, found: Refusal.quoted(text)))
        return standard
    }

    /// The value made by `make`. Nil when it throws, and its refusals are kept.
    mutating func keep<Value>(_ make: () throws(Refusals) -> Value) -> Value? {
        do throws(Refusals) {
            return try make()
        } catch {
            refusals += error.all
            return nil
        }
    }
}
