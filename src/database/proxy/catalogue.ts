/**
 * What is known about the encryption of databases, and how it is changed. The proxy asks; whoever keeps the keys answers.
 * Names are those of InfluxDB, as they are.
 */
export interface EncryptionCatalogue {
  /** Undefined while encryption can be used, else why not: the message names the setting that is missing. */
  available(): string | undefined;
  /** Whether this database's data is encrypted, or would be if InfluxDB made it now. Never waits: asked for every write. */
  isEncrypted(database: string): boolean;
  /**
   * Makes the rule that whatever is stored for this database is encrypted, with its first sub-key. Durable when it
   * resolves. Rejects if the database's folders exist already, or if there is such a rule.
   */
  create(database: string): Promise<void>;
  /**
   * Takes the rule away and destroys every sub-key of the database. Called when InfluxDB says that it has no such
   * database. Rejects, and destroys nothing, while the database's folders exist. Does nothing for one without a rule.
   */
  drop(database: string): Promise<void>;
  /** Destroys the sub-keys of shards and retention policies whose folders are gone. Called after each drop of one. */
  sweep(): Promise<void>;
  /** Whether this database is being converted: it can be used, but neither dropped nor converted once more. */
  isConverting(database: string): boolean;
  /**
   * Begins to convert an existing database; the rest happens in the background, with influxd away for a moment. Durable when it
   * resolves.
   */
  convert(database: string, on: boolean): Promise<void>;
}
