package import Jobs
package import Postgres

extension ConnectionSettings {
    /// All of this module's statements, and the migrations, write `l2s` for the schema's name.
    package init(
        _ text: String, schema: SchemaName, applicationName: String
    ) throws(DatabaseError) {
        try self.init(text, applicationName: applicationName)
        self.schema = SchemaPlaceholder("l2s", standsFor: schema.description)
    }

    /// For words: the name of the schema that holds the queue.
    var schemaName: String { schema?.name ?? SchemaName.standard.description }
}
