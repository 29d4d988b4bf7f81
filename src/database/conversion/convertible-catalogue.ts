import type { SealedCatalogue } from "../catalogue/sealed-catalogue.ts";
import type { EncryptionCatalogue } from "../proxy/catalogue.ts";
import type { DatabaseConversions } from "./database-conversions.ts";

/** The encryption of databases as the proxy asks for it: the catalogue of zone rules, and conversions. */
export class ConvertibleCatalogue implements EncryptionCatalogue {
  readonly #catalogue: SealedCatalogue;
  readonly #conversions: DatabaseConversions;

  constructor(catalogue: SealedCatalogue, conversions: DatabaseConversions) {
    this.#catalogue = catalogue;
    this.#conversions = conversions;
  }

  available(): string | undefined {
    return this.#catalogue.available();
  }

  isEncrypted(database: string): boolean {
    return this.#catalogue.isEncrypted(database);
  }

  isConverting(database: string): boolean {
    return this.#conversions.isConverting(database);
  }

  create(database: string): Promise<void> {
    return this.#catalogue.create(database);
  }

  drop(database: string): Promise<void> {
    return this.#catalogue.drop(database);
  }

  async sweep(): Promise<void> {
    await this.#catalogue.sweep();
  }

  convert(database: string, on: boolean): Promise<void> {
    return this.#conversions.begin(database, on);
  }
}
