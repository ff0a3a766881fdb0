package import Jobs
package import Postgres

extension ConnectionSettings {
    /// Settings for a queue in a schema of any name. The statements of this module and the
    /// migrations write `l2s` for it.
    package init(
        _ text: String, schema: SchemaName, applicationName: String
    ) throws(DatabaseError) {
        try self.init(text, applicationName: applicationName)
        self.schema = SchemaPlaceholder("l2s", standsFor: schema.description)
    }

    /// The name of the schema that holds the queue, for messages.
    var schemaName: String { schema?.name ?? SchemaName.standard.description }
}
