package import Jobs

extension Quantity<SchemaName> {
    static let schemaName = Quantity(expected: SchemaName.expected) { SchemaName($0) }
}

extension SchemaName {
    /// The value of `--schema` or `L2S_SCHEMA`.
    package init(_ raw: RawSettings) throws(Refusals) {
        var reader = SettingReader(raw)
        self = reader.value(settingFields.schema)
        guard reader.refusals.isEmpty else { throw Refusals(reader.refusals) }
    }
}
